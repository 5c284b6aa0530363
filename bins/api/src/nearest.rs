//! What a misspelt word was probably meant to be.

/// How many letters may be wrong in a word of this many.
const fn tolerated(letters: usize) -> usize {
    if letters < 6 { 1 } else { letters / 4 + 1 }
}

/// The known word that this one is nearest to, if it is near to any. Case, dashes and underscores do not count:
/// `subnetTags` is `subnet-tags`.
///
/// ```
/// use netloom_api::nearest;
///
/// assert_eq!(nearest("subnetTag", ["subnet-ids", "subnet-tags"]), Some("subnet-tags"));
/// assert_eq!(nearest("colour", ["subnet-ids", "subnet-tags"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| -> String {
        text.chars().filter(|letter| !matches!(letter, '-' | '_')).flat_map(char::to_lowercase).collect()
    };
    let word = plain(word);
    let far = |other: &str| strsim::osa_distance(&word, &plain(other));
    let near = known.into_iter().map(|other| (far(other), other));
    let (distance, other) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= tolerated(word.chars().count())).then_some(other)
}

/// The end of a message about an unknown word: ` (did you mean "…"?)`, or nothing.
#[must_use]
pub fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|known| format!(" (did you mean {known:?}?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_seen_through_and_other_words_left_alone() {
        let keys = ["mtu", "first-interface-index", "security-groups", "security-group-tags", "subnet-tags"];
        for (word, meant) in [
            ("firstInterfaceIndex", Some("first-interface-index")),
            ("first-inteface-idnex", Some("first-interface-index")),
            ("security-group-ids", Some("security-groups")),
            ("security_groups", Some("security-groups")),
            ("mut", Some("mtu")),
            ("instance-tags-filter", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, keys), meant, "{word}");
        }
        assert_eq!(did_you_mean(Some("mtu")), r#" (did you mean "mtu"?)"#);
    }
}
