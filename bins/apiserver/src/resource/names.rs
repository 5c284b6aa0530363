//! What names may look like.

use std::fmt::Write;

use super::Resource;

use selector::words::{is_label, is_subdomain};
pub(crate) use selector::words::{label_value, qualified_name};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

/// Whether a text is a DNS label.
pub(crate) fn label(text: &str) -> Option<&'static str> {
    (text.len() > 63 || !is_label(text)).then_some(LABEL)
}

/// Whether a text is a DNS subdomain.
pub(crate) fn subdomain(text: &str) -> Option<&'static str> {
    (!is_subdomain(text)).then_some(SUBDOMAIN)
}

/// What is wrong with an object's name, if anything.
pub(crate) fn object_name(resource: &Resource, name: &str) -> Option<&'static str> {
    match (&*resource.group, &*resource.plural) {
        ("", "namespaces") => label(name),
        ("", "services") => {
            let good =
                name.len() <= 63 && is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase());
            (!good).then_some(LABEL_1035)
        }
        // Anything that can stand in a path.
        ("rbac.authorization.k8s.io", _) => {
            let bad = name == "." || name == ".." || name.contains(['/', '%']);
            bad.then_some("may not be '.' or '..', nor contain '/' or '%'")
        }
        _ => subdomain(name),
    }
}

/// What is wrong with the name of a port.
pub(crate) fn port(name: &str) -> Option<&'static str> {
    let lower = |c: char| c.is_ascii_lowercase();
    if name.len() > 15 {
        Some("must be no more than 15 characters")
    } else if name.is_empty() || !name.chars().all(|c| lower(c) || c.is_ascii_digit() || c == '-') {
        Some("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    } else if !name.contains(lower) {
        Some("must contain at least one letter (a-z)")
    } else if name.contains("--") {
        Some("must not contain consecutive hyphens")
    } else if name.starts_with('-') || name.ends_with('-') {
        Some("must not begin or end with a hyphen")
    } else {
        None
    }
}

/// What is wrong with a key of a config map or secret: it may become the name of a file.
pub(crate) fn key(key: &str) -> Option<&'static str> {
    let spelled = key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let good = spelled && !key.is_empty() && key.len() <= 253 && key != "." && !key.starts_with("..");
    (!good).then_some("a valid config key must consist of alphanumeric characters, '-', '_' or '.'")
}

/// A name that begins as wanted and ends in five random characters.
pub(crate) fn generated(prefix: &str) -> String {
    // No vowels, so that no words come out.
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut name: String = prefix.chars().take(58).collect();
    for byte in uuid::Uuid::new_v4().as_bytes().iter().take(5) {
        let _ = write!(name, "{}", char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(subdomain("a.b-c.1").is_none());
        for bad in ["", "A", "a..b", "-a", "a-", "a_b", "a."] {
            assert!(subdomain(bad).is_some(), "{bad}");
        }
        assert!(label("a-1").is_none());
        assert!(label("a.b").is_some());
        assert!(port("http-2").is_none());
        for bad in ["", "Http", "80", "a--b", "-a", "a-", "a_b", "sixteen-letters-"] {
            assert!(port(bad).is_some(), "{bad}");
        }
        assert!(key("tls.crt").is_none() && key(".hidden").is_none());
        for bad in ["", ".", "..", "..a", "a b", "a/b"] {
            assert!(key(bad).is_some(), "{bad}");
        }
        let name = generated("web-");
        assert!(name.starts_with("web-") && name.len() == 9 && subdomain(&name).is_none());
        assert_ne!(name, generated("web-"));
    }
}
