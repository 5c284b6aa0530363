//! The filter of labels that count for identities.

use policy::{Label, LabelFilter};
use regex::bytes::RegexBuilder;

/// Cilium's default patterns, as regular expressions of keys.
const INCLUDED: [&str; 5] = [
    r"io\.kubernetes\.pod\.namespace",
    r"io\.cilium\.k8s\.namespace\.labels",
    r"app\.kubernetes\.io",
    r"io\.cilium\.k8s\.policy\.cluster",
    r"io\.cilium\.k8s\.policy\.serviceaccount",
];
const EXCLUDED: [&str; 15] = [
    r"io\.kubernetes",
    r"kubernetes\.io",
    r"statefulset\.kubernetes\.io/pod-name",
    r"apps\.kubernetes\.io/pod-index",
    r"batch\.kubernetes\.io/job-completion-index",
    r"batch\.kubernetes\.io/controller-uid",
    r".*beta\.kubernetes\.io",
    r"k8s\.io",
    r"pod-template-generation",
    r"pod-template-hash",
    r"controller-revision-hash",
    r"controller-uid",
    r"annotation.*",
    r"etcd_node",
    r"topology\.kubernetes\.io",
];

/// Reads the first line as a list of patterns, the others as keys. The filter takes what these patterns and the default
/// ones take as regular expressions: the longest match of those that include against the shortest of the others.
pub fn label_filter(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or_default();
    let Ok(filter) = LabelFilter::parse(first) else { return };
    let (mut included, mut excluded) =
        (INCLUDED.map(str::to_owned).to_vec(), EXCLUDED.map(str::to_owned).to_vec());
    let mut only_included = false;
    for word in first.split_whitespace() {
        let (source, pattern) = word.split_once(':').unwrap_or(("", word));
        let of_k8s = matches!(source, "" | "k8s");
        match pattern.strip_prefix('!') {
            Some(pattern) if of_k8s => excluded.push(pattern.to_owned()),
            Some(_) => {}
            None => {
                only_included = true;
                if of_k8s {
                    included.push(pattern.to_owned());
                }
            }
        }
    }
    for key in lines.take(8).filter(|key| key.is_ascii() && !key.contains(['\r', '\x0b', '\x0c'])) {
        let most = included.iter().filter_map(|pattern| matched(pattern, key)).max().unwrap_or(0);
        let least =
            excluded.iter().filter_map(|pattern| matched(pattern, key)).filter(|length| *length > 0).min();
        let expected = match least {
            None => !only_included || most > 0,
            Some(least) => most > least,
        };
        assert_eq!(filter.accepts(&Label::k8s(key, "")), expected, "{first:?} {key:?}");
    }
}

fn matched(pattern: &str, key: &str) -> Option<usize> {
    let expression = RegexBuilder::new(pattern).unicode(false).build().expect("a regular expression");
    expression.find(key.as_bytes()).filter(|found| found.start() == 0).map(|found| found.end())
}
