//! What keys and values of labels may look like.

const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Whether a text is made as a DNS label is, of whatever length.
#[must_use]
pub fn is_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let edge = |c: Option<&u8>| c.is_some_and(|c| *c != b'-');
    let bytes = text.as_bytes();
    bytes.iter().all(|c| inner(*c)) && edge(bytes.first()) && edge(bytes.last())
}

/// Whether a text is a DNS subdomain.
#[must_use]
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    text.len() <= 63
        && bytes.iter().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
        && edge(bytes.first())
        && edge(bytes.last())
}

/// What is wrong with the key of a label or annotation.
#[must_use]
pub fn qualified_name(key: &str) -> Option<&'static str> {
    match key.rsplit_once('/') {
        None => (!is_word(key)).then_some(QUALIFIED),
        Some((prefix, name)) => (!is_word(name) || !is_subdomain(prefix)).then_some(QUALIFIED),
    }
}

/// What is wrong with the value of a label.
#[must_use]
pub fn label_value(value: &str) -> Option<&'static str> {
    (!value.is_empty() && !is_word(value)).then_some(VALUE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values() {
        assert!(qualified_name("k8s.io/App_1").is_none());
        for bad in ["", "/a", "a/", "A_/b", "a b", "a/b/c d"] {
            assert!(qualified_name(bad).is_some(), "{bad}");
        }
        assert!(label_value("").is_none());
        assert!(label_value("-").is_some());
    }
}
