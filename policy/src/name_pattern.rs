//! Patterns of DNS names.

use std::fmt;
use std::str::FromStr;

/// A pattern of DNS names, or one name: Cilium's `matchPattern` and `matchName` (`pkg/fqdn/matchpattern`).
///
/// A `*` stands for any number of letters, digits, `-` and `_`, but no dot; a leading `**.` for one or more whole
/// labels; a pattern of stars alone for every name, a dot alone for the root. Lower case, without the dot at
/// the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePattern(String);

/// A text that is no pattern of DNS names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// There is nothing.
    #[error("a DNS name is empty")]
    Empty,
    /// More than 255 characters.
    #[error("a DNS name has {0} characters, more than 255")]
    TooLong(usize),
    /// A character that no DNS name has.
    #[error("a DNS name has no {0:?}")]
    Character(char),
}

impl NamePattern {
    /// The pattern as written, in lower case and without the dot at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name matches; case and a dot at the end do not count.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let pattern = self.0.as_str();
        if !pattern.is_empty() && pattern.bytes().all(|byte| byte == b'*') {
            return name.split('.').all(|label| !label.is_empty() && label.bytes().all(in_label))
                || name.is_empty();
        }
        match pattern.strip_prefix("**.") {
            None => wild(pattern.as_bytes(), name.as_bytes()),
            Some(rest) => name
                .match_indices('.')
                .any(|(dot, _)| labels(&name[..dot]) && wild(rest.as_bytes(), &name.as_bytes()[dot + 1..])),
        }
    }
}

fn in_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn labels(text: &str) -> bool {
    text.split('.').all(|label| !label.is_empty() && label.bytes().all(in_label))
}

/// Matches where a run of stars stands for any part of one label. Takes at most the product of both lengths, however
/// many stars there are.
fn wild(pattern: &[u8], name: &[u8]) -> bool {
    // Which beginnings of the name the pattern so far matches, by length.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for wanted in pattern {
        if *wanted == b'*' {
            for (at, byte) in name.iter().enumerate() {
                reached[at + 1] |= reached[at] && in_label(*byte);
            }
        } else {
            for (at, byte) in name.iter().enumerate().rev() {
                reached[at + 1] = reached[at] && byte == wanted;
            }
            reached[0] = false;
        }
    }
    reached[name.len()]
}

impl FromStr for NamePattern {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().to_ascii_lowercase();
        let bad = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*')));
        match (text.len(), bad) {
            (0, _) => Err(InvalidName::Empty),
            (len, _) if len > 255 => Err(InvalidName::TooLong(len)),
            (_, Some(bad)) => Err(InvalidName::Character(bad)),
            _ => Ok(Self(text.strip_suffix('.').map_or_else(|| text.clone(), ToOwned::to_owned))),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<NamePattern>().unwrap().matches(name)
    }

    #[test]
    fn stars_stay_within_a_label_save_two_in_front() {
        assert!(matches("Example.com.", "example.COM"));
        assert!(!matches("example.com", "www.example.com"));
        assert!(matches("*.example.com", "www.example.com"));
        assert!(!matches("*.example.com", "a.b.example.com"));
        assert!(!matches("*.example.com", "example.com"));
        assert!(matches("**.example.com", "a.b.example.com"));
        assert!(matches("**.example.com", "b.example.com"));
        assert!(!matches("**.example.com", "example.com"));
        assert!(matches("www*.example.com", "www.example.com"));
        assert!(matches("a*b*c.com", "a-x-b-y-c.com"));
        assert!(matches("*", "example.com"));
        assert!(matches("*", "localhost"));
        assert!(matches("*", ".") && matches(".", "."));
        assert!(!matches(".", "example.com"));
    }

    #[test]
    fn many_stars_take_no_longer() {
        let (pattern, name) = ("*a".repeat(60) + "b", "a".repeat(250));
        assert!(!matches(&pattern, &name));
        assert!(matches(&pattern, &(name + "b")));
    }

    #[test]
    fn what_is_no_name_says_why() {
        assert_eq!("".parse::<NamePattern>(), Err(InvalidName::Empty));
        assert_eq!("a b".parse::<NamePattern>(), Err(InvalidName::Character(' ')));
        assert_eq!("a".repeat(256).parse::<NamePattern>(), Err(InvalidName::TooLong(256)));
    }
}
