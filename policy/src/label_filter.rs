//! Which labels count for identities.

use std::str::FromStr;

use regex::bytes::{Regex, RegexBuilder};

use crate::label::{Label, Source};
use crate::pod::{CLUSTER, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT};

/// Patterns that always hold, as in Cilium's `defaultLabelPrefixCfg`: what policies need is included, what changes
/// with each pod or each roll-out is excluded.
const DEFAULT: [Pattern; 21] = [
    Pattern { source: Some(Source::Reserved), exclude: false, keys: Keys::Whole("") },
    include(NAMESPACE),
    include(NAMESPACE_LABELS),
    include("app.kubernetes.io"),
    include(CLUSTER),
    include(SERVICE_ACCOUNT),
    exclude(Keys::Prefix("io.kubernetes")),
    exclude(Keys::Prefix("kubernetes.io")),
    exclude(Keys::Prefix("statefulset.kubernetes.io/pod-name")),
    exclude(Keys::Prefix("apps.kubernetes.io/pod-index")),
    exclude(Keys::Prefix("batch.kubernetes.io/job-completion-index")),
    exclude(Keys::Prefix("batch.kubernetes.io/controller-uid")),
    exclude(Keys::Through("beta.kubernetes.io")),
    exclude(Keys::Prefix("k8s.io")),
    exclude(Keys::Prefix("pod-template-generation")),
    exclude(Keys::Prefix("pod-template-hash")),
    exclude(Keys::Prefix("controller-revision-hash")),
    exclude(Keys::Prefix("controller-uid")),
    exclude(Keys::Whole("annotation")),
    exclude(Keys::Prefix("etcd_node")),
    exclude(Keys::Prefix("topology.kubernetes.io")),
];

const fn include(prefix: &'static str) -> Pattern {
    Pattern { source: None, exclude: false, keys: Keys::Prefix(prefix) }
}

const fn exclude(keys: Keys) -> Pattern {
    Pattern { source: None, exclude: true, keys }
}

/// Which labels count for identities: Cilium's `labels` option (`pkg/labelsfilter`).
///
/// A label is left out where a pattern that excludes matches its key; where one that includes matches more of the key
/// (the longest of these against the shortest of those), it is taken. A label that no pattern matches is taken, unless
/// one of the configured patterns includes: then only what is included is taken. The default patterns hold beside those
/// that are configured.
///
/// What is left out cannot be selected by any policy. With all of it, pods that are replaced would each get an
/// identity of their own.
///
/// ```
/// use netloom_policy::{Label, LabelFilter};
///
/// let filter: LabelFilter = "k8s:app !app-hash".parse()?;
/// assert!(filter.accepts(&Label::k8s("app", "web")));
/// assert!(!filter.accepts(&Label::k8s("app-hash", "5f")));
/// assert!(!filter.accepts(&Label::k8s("team", "a")));
/// assert!(LabelFilter::default().accepts(&Label::k8s("team", "a")));
/// # Ok::<(), netloom_policy::InvalidLabelFilter>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LabelFilter {
    /// Beside the default ones.
    configured: Vec<Pattern>,
    /// Whether what no pattern matches is left out.
    only_included: bool,
}

#[derive(Clone, Debug)]
struct Pattern {
    /// Labels of every source where there is none.
    source: Option<Source>,
    exclude: bool,
    keys: Keys,
}

/// How much of a key a pattern matches.
#[derive(Clone, Debug)]
enum Keys {
    /// The text that it begins with.
    Prefix(&'static str),
    /// All of a key that begins so.
    Whole(&'static str),
    /// A key up to the end of the last such text in it.
    Through(&'static str),
    /// What an expression finds at the start of it.
    Expression(Regex),
}

/// A text that is no list of label patterns.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidLabelFilter {
    /// There is nothing behind the source or the exclamation mark.
    #[error("label pattern {pattern:?} matches no key")]
    Empty {
        /// The pattern.
        pattern: String,
    },
    /// What stands before the colon is no source.
    #[error(
        "label pattern {pattern:?}: {source_name:?} is not a label source (an exclamation mark stands behind the \
         colon)"
    )]
    UnknownSource {
        /// The pattern.
        pattern: String,
        /// What stands for the source.
        source_name: String,
    },
    /// The key is no regular expression.
    #[error("label pattern {pattern:?} is not a regular expression: {source}")]
    Expression {
        /// The pattern.
        pattern: String,
        /// Why.
        #[source]
        source: regex::Error,
    },
}

impl LabelFilter {
    /// Reads patterns apart by spaces: `[SOURCE:][!]EXPRESSION`. A regular expression is matched from the start of the
    /// key and need not reach its end. The default patterns hold as well.
    ///
    /// # Errors
    /// Names the first pattern that is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidLabelFilter> {
        let configured = text.split_whitespace().map(Pattern::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { only_included: configured.iter().any(|pattern| !pattern.exclude), configured })
    }

    /// Whether a label counts.
    #[must_use]
    pub fn accepts(&self, label: &Label) -> bool {
        let (mut included, mut excluded) = (0, None::<usize>);
        for pattern in DEFAULT.iter().chain(&self.configured) {
            match pattern.matched(label) {
                Some(length) if !pattern.exclude => included = included.max(length),
                // One that matches nothing of the key excludes nothing.
                Some(length) if length > 0 => {
                    excluded = Some(excluded.map_or(length, |shortest| shortest.min(length)));
                }
                _ => {}
            }
        }
        match excluded {
            None => included > 0 || !self.only_included,
            Some(excluded) => included > excluded,
        }
    }
}

impl FromStr for LabelFilter {
    type Err = InvalidLabelFilter;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, InvalidLabelFilter> {
        let (source, rest) = match text.split_once(':') {
            None => (None, text),
            Some(("", rest)) => (None, rest),
            Some((name, rest)) => {
                let unknown = || InvalidLabelFilter::UnknownSource {
                    pattern: text.to_owned(),
                    source_name: name.to_owned(),
                };
                (Some(Source::from_name(name).ok_or_else(unknown)?), rest)
            }
        };
        let (exclude, key) = rest.strip_prefix('!').map_or((false, rest), |key| (true, key));
        if key.is_empty() {
            return Err(InvalidLabelFilter::Empty { pattern: text.to_owned() });
        }
        // Keys are ASCII.
        let expression = RegexBuilder::new(key)
            .unicode(false)
            .build()
            .map_err(|source| InvalidLabelFilter::Expression { pattern: text.to_owned(), source })?;
        Ok(Self { source, exclude, keys: Keys::Expression(expression) })
    }

    /// How much of a label's key it matches, in bytes.
    fn matched(&self, label: &Label) -> Option<usize> {
        let key = label.key.as_str();
        if self.source.is_some_and(|source| source != label.source) {
            return None;
        }
        match &self.keys {
            Keys::Prefix(prefix) => key.starts_with(prefix).then_some(prefix.len()),
            Keys::Whole(prefix) => key.starts_with(prefix).then_some(key.len()),
            Keys::Through(text) => key.rfind(text).map(|start| start + text.len()),
            Keys::Expression(expression) => {
                let found = expression.find(key.as_bytes())?;
                (found.start() == 0).then_some(found.end())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(filter: &LabelFilter, key: &str) -> bool {
        filter.accepts(&Label::k8s(key, "value"))
    }

    #[test]
    fn the_default_leaves_out_what_changes_with_each_pod() {
        let filter = LabelFilter::default();
        for key in [
            "app",
            "pod",
            "app.kubernetes.io/name",
            "team.example.com/owner",
            "io.kubernetes.pod.namespace",
            "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name",
        ] {
            assert!(accepted(&filter, key), "{key}");
        }
        for key in [
            "pod-template-hash",
            "kubernetes.io/arch",
            "beta.kubernetes.io/os",
            "failure-domain.beta.kubernetes.io/zone",
            "app.kubernetes.io/a.beta.kubernetes.io",
            "statefulset.kubernetes.io/pod-name",
            "topology.kubernetes.io/zone",
            "controller-revision-hash",
            "annotation.x",
            "io.kubernetes.pod.name",
        ] {
            assert!(!accepted(&filter, key), "{key}");
        }
        assert!(filter.accepts(&Label::reserved("host")));
    }

    #[test]
    fn configured_patterns_stand_beside_the_default_ones() {
        for (text, key, expected) in [
            // One that excludes leaves the rest as it was.
            ("!team", "app", true),
            ("!team", "teamwork", false),
            ("!team$", "teamwork", true),
            ("!team", "steam", true),
            // One that includes leaves the rest out, but not what the default includes.
            ("k8s:app", "app", true),
            ("k8s:app", "application", true),
            ("k8s:app", "team", false),
            ("k8s:app", "io.kubernetes.pod.namespace", true),
            ("k8s:app", "app.kubernetes.io/name", true),
            ("cni:app", "app", false),
            (":app", "app", true),
            ("any", "app", false),
            // The longest that includes against the shortest that excludes.
            ("foo.bar !foo", "foo.bar", true),
            ("foo.bar !foo", "foo.baz", false),
            ("foo !foo.bar", "foo.bar", false),
            ("foo !foo", "foo", false),
            ("kubernetes.io/arch", "kubernetes.io/arch", true),
            ("kubernetes.io/arch", "kubernetes.io/os", false),
            ("k8s:!id.*", "id.5", false),
            // Matches nothing, and excludes nothing.
            ("!x*", "app", true),
            ("", "app", true),
        ] {
            let filter = LabelFilter::parse(text).unwrap();
            assert_eq!(accepted(&filter, key), expected, "{text:?} {key:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let error = |text: &str| LabelFilter::parse(text).unwrap_err();
        assert_eq!(error("app k8s:!"), InvalidLabelFilter::Empty { pattern: "k8s:!".into() });
        assert!(error("!k8s:app").to_string().contains("stands behind the colon"));
        assert!(matches!(error("dog:app"), InvalidLabelFilter::UnknownSource { .. }));
        assert!(matches!(error("a)(b"), InvalidLabelFilter::Expression { .. }));
    }
}
