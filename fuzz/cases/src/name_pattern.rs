//! Patterns of DNS names.

use policy::NamePattern;
use regex::Regex;

/// Reads the first line as a pattern, the others as names. It matches those that the regular expression does which
/// Cilium makes of it (`pkg/fqdn/matchpattern`).
pub fn name_pattern(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or_default();
    let Ok(pattern) = first.parse::<NamePattern>() else { return };
    let expression = Regex::new(&expression(first)).expect("a regular expression");
    for name in lines.take(16) {
        let absolute =
            if name.ends_with('.') { name.to_ascii_lowercase() } else { name.to_ascii_lowercase() + "." };
        assert_eq!(pattern.matches(name), expression.is_match(&absolute), "{first:?} {name:?} {expression}");
    }
}

/// The regular expression of a valid pattern, for names that end in a dot.
fn expression(pattern: &str) -> String {
    const LABEL: &str = "[-a-zA-Z0-9_]";
    let pattern = pattern.trim().to_ascii_lowercase();
    let stars = pattern.strip_suffix('.').unwrap_or(&pattern);
    if !stars.is_empty() && stars.chars().all(|c| c == '*') {
        return format!(r"\A(?:({LABEL}+[.])+|[.])\z");
    }
    let absolute = if pattern.ends_with('.') { pattern } else { pattern + "." };
    let (start, mut rest) = match absolute.strip_prefix("**.") {
        Some(rest) => (format!("{LABEL}+([.]{LABEL}+)*[.]"), rest),
        None => (String::new(), absolute.as_str()),
    };
    let mut body = String::new();
    while let Some(next) = rest.chars().next() {
        let run = rest.len() - rest.trim_start_matches('*').len();
        if run > 0 {
            body += &format!("{LABEL}*");
            rest = &rest[run..];
        } else {
            body += &regex::escape(&next.to_string());
            rest = &rest[next.len_utf8()..];
        }
    }
    format!(r"\A{start}{body}\z")
}
