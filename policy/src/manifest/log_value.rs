//! `log.value` of Cilium's policies.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, HirKind};

/// The longest value, in characters.
const LENGTH: usize = 32;

/// Unicode's general category C: control, format, surrogate, private and unassigned characters.
static OTHER: LazyLock<Option<ClassUnicode>> = LazyLock::new(|| {
    let parsed = regex_syntax::parse(r"\pC").ok()?;
    match parsed.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        _ => None,
    }
});

/// What is wrong with a value, if anything is.
pub(super) fn wrong(value: &str) -> Option<String> {
    let length = value.chars().count();
    if length > LENGTH {
        return Some(format!("has {length} characters"));
    }
    let unprintable = value.chars().find(|c| !is_printable(*c))?;
    Some(format!("has {unprintable:?}, which cannot be printed"))
}

fn is_printable(c: char) -> bool {
    let other = |class: &ClassUnicode| class.iter().any(|range| (range.start()..=range.end()).contains(&c));
    !OTHER.as_ref().map_or(c.is_control(), other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short_and_printable() {
        assert_eq!(wrong(""), None);
        assert_eq!(wrong("zuständig: 平台 team"), None);
        assert_eq!(wrong(&"ä".repeat(32)), None);
        assert_eq!(wrong(&"a".repeat(33)).unwrap(), "has 33 characters");
        assert_eq!(wrong("a\tb").unwrap(), "has '\\t', which cannot be printed");
        assert!(wrong("a\u{200d}b").is_some());
    }
}
