//! Formats of texts that the reference checks. Formats that it does not know, it does not check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnetwork::IpNetwork;
use regex::Regex;

/// A pattern that was tried by a test.
fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

static UUID: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$"));
static HOST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(
        r"^([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]{0,61}[a-zA-Z0-9])(\.([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]{0,61}[a-zA-Z0-9]))*$",
    )
});
static EMAIL: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"^[^@\s]+@[^@\s]+$"));
static MAC: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern("^([0-9A-Fa-f]{2}[:-]){5}([0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){0,2})$"));
static DURATION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(
        r"^([-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h|d|w))+$|^0$|^[0-9]+ *(ns|us|ms|s|sec|m|min|h|hr|d|day|w|wk|second|minute|hour|week)s?$",
    )
});
static COLOR: LazyLock<Option<Regex>> = LazyLock::new(|| pattern("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"));

/// Whether a text has a format.
pub(super) fn holds(format: &str, text: &str) -> bool {
    let by = |pattern: &Option<Regex>| pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "ip" => text.parse::<IpAddr>().is_ok(),
        "cidr" => text.contains('/') && text.parse::<IpNetwork>().is_ok(),
        "hostname" => text.len() <= 255 && by(&HOST),
        "email" => by(&EMAIL),
        "mac" => by(&MAC),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => by(&UUID),
        "uri" => {
            text.split_once(':').is_some_and(|(scheme, _)| {
                scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                    && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
            }) || text.starts_with('/')
        }
        "byte" => base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).is_ok(),
        "duration" => by(&DURATION),
        "hexcolor" => by(&COLOR),
        _ => true,
    }
}

/// Formats of numbers.
pub(super) fn holds_number(format: &str, number: f64) -> bool {
    match format {
        "int32" => number >= f64::from(i32::MIN) && number <= f64::from(i32::MAX),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        for (format, yes, no) in [
            ("date-time", "2026-11-22T09:00:00Z", "yesterday"),
            ("date", "2026-11-22", "22.11.2026"),
            ("ipv4", "10.0.0.1", "10.0.0.256"),
            ("ipv6", "fd00::1", "10.0.0.1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0"),
            ("hostname", "a.b-c", "a_b"),
            ("mac", "02:00:00:00:00:01", "02:00"),
            ("uuid", "074c4c46-dcf5-4896-b32e-ba721d1aedca", "074c"),
            ("uri", "https://a/b", "a b"),
            ("byte", "YQ==", "a"),
            ("duration", "1h30m", "long"),
            ("email", "a@b", "a"),
            ("hexcolor", "#fff", "#ggg"),
        ] {
            assert!(holds(format, yes), "{format} {yes}");
            assert!(!holds(format, no), "{format} {no}");
        }
        assert!(holds("unheard-of", "anything"));
    }
}
