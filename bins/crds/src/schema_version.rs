//! Which of two definitions is the newer one.
//!
//! A definition carries the version of its schema in a label. Versions are of three numbers; a missing one is zero.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// The label.
pub const LABEL: &str = "io.cilium.k8s.crd.schema.version";

/// The version of the schemas here. It is that of the reference whose fields they have, so that its operator and
/// ours agree about who may replace what. Whoever changes a schema here raises the last number.
pub const OURS: &str = "1.34.2";

/// Whether `existing` is of an older schema than `ours`, or of none that can be read, and is to be replaced. One of
/// the same version is left alone, or two operators with different texts would replace each other's for ever; and
/// what has no version itself replaces nothing.
#[must_use]
pub fn older(existing: &CustomResourceDefinition, ours: &CustomResourceDefinition) -> bool {
    version(ours).is_some_and(|ours| version(existing).is_none_or(|existing| existing < ours))
}

/// Whether `existing` is of a newer schema than `ours`.
#[must_use]
pub fn newer(existing: &CustomResourceDefinition, ours: &CustomResourceDefinition) -> bool {
    match (version(existing), version(ours)) {
        (Some(existing), Some(ours)) => existing > ours,
        (existing, _) => existing.is_some(),
    }
}

fn version(definition: &CustomResourceDefinition) -> Option<[u64; 3]> {
    let text = definition.metadata.labels.as_ref()?.get(LABEL)?;
    let mut numbers = [0; 3];
    // What follows `-` or `+` tells builds of the same version apart, and schemas have no builds.
    let release = text.strip_prefix('v').unwrap_or(text).split(['-', '+']).next()?;
    let mut parts = release.split('.');
    for number in &mut numbers {
        let Some(part) = parts.next() else { break };
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: Option<&str>) -> CustomResourceDefinition {
        let mut definition = CustomResourceDefinition::default();
        definition.metadata.labels = version.map(|version| [(LABEL.to_owned(), version.to_owned())].into());
        definition
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let cases = [
            // existing, ours, older, newer
            (Some("1.9.0"), Some("1.10.0"), true, false),
            (Some("1.10.0"), Some("1.9.0"), false, true),
            (Some("1.34.2"), Some("1.34.2"), false, false),
            (Some("1.34"), Some("1.34.0"), false, false),
            (Some("v1.34.1"), Some("1.34.2-rc.1"), true, false),
            (Some("2"), Some("1.99.99"), false, true),
            (None, Some("1.0.0"), true, false),
            (None, None, false, false),
            (Some("1.0.0"), None, false, true),
            (Some("latest"), Some("1.0.0"), true, false),
            (Some("1.2.3.4"), Some("1.0.0"), true, false),
        ];
        for (existing, ours, is_older, is_newer) in cases {
            let (a, b) = (of(existing), of(ours));
            assert_eq!((older(&a, &b), newer(&a, &b)), (is_older, is_newer), "{existing:?} and {ours:?}");
        }
        assert_eq!(version(&of(Some(OURS))).map(|[major, ..]| major), Some(1), "ours can be read");
    }
}
