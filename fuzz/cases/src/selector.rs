//! Label selectors.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Arbitrary, Unstructured};
use policy::manifest::{Expression, LabelSelector, Operator};
use policy::selector::{Requirement, Test};
use policy::{Label, LabelSet, Selector, Source};

const KEYS: [&str; 4] = ["app", "application", "team", "io.kubernetes.pod.namespace"];
const VALUES: [&str; 4] = ["", "a", "b", "web"];
const SOURCES: [Source; 3] = [Source::K8s, Source::Cni, Source::Reserved];

#[derive(Debug, Arbitrary)]
struct Input {
    labels: Vec<(u8, u8, u8)>,
    requirements: Vec<Wanted>,
}

#[derive(Debug, Arbitrary)]
struct Wanted {
    /// Past the last source: any.
    source: u8,
    key: u8,
    operator: u8,
    values: Vec<u8>,
}

fn pick<T: Copy>(from: &[T], number: u8) -> T {
    from[usize::from(number) % from.len()]
}

/// Reads the input as labels and requirements. A selector selects what a plain reading of its requirements does; and
/// without sources, what Kubernetes' own definition does. The order of requirements does not count; labels survive
/// their text form.
pub fn selector(input: &[u8]) {
    let Ok(input) = Input::arbitrary(&mut Unstructured::new(input)) else { return };
    let facts: BTreeMap<(Source, &str), &str> = input
        .labels
        .iter()
        .map(|(source, key, value)| ((pick(&SOURCES, *source), pick(&KEYS, *key)), pick(&VALUES, *value)))
        .collect();
    let labels: LabelSet =
        facts.iter().map(|((source, key), value)| Label::new(*source, *key, *value)).collect();
    for label in &labels {
        assert_eq!(label.to_string().parse().as_ref(), Ok(label));
    }

    let requirements: Vec<Requirement> = input.requirements.iter().map(requirement).collect();
    let expected = requirements.iter().all(|requirement| holds(requirement, &facts));
    let selector: Selector = requirements.iter().cloned().collect();
    assert_eq!(selector.matches(&labels), expected, "{selector} of {labels}");
    let backwards = requirements.iter().rev().cloned().fold(Selector::everything(), Selector::and);
    assert_eq!(selector, backwards);

    // The same with labels and keys of one source, as Kubernetes has them.
    let plain: BTreeMap<String, String> =
        facts.iter().map(|((_, key), value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let of_k8s: LabelSet = plain.iter().map(|(key, value)| Label::k8s(key, value)).collect();
    let kubernetes = LabelSelector {
        match_labels: BTreeMap::new(),
        match_expressions: requirements.iter().map(expression).collect(),
    };
    let ours: Selector = requirements
        .into_iter()
        .map(|requirement| Requirement { source: Source::K8s, ..requirement })
        .collect();
    assert_eq!(ours.matches(&of_k8s), kubernetes.matches(&plain), "{ours} of {of_k8s}");
}

fn requirement(wanted: &Wanted) -> Requirement {
    let values: BTreeSet<String> =
        wanted.values.iter().map(|value| pick(&VALUES, *value).to_owned()).collect();
    Requirement {
        key: pick(&KEYS, wanted.key).to_owned(),
        source: SOURCES.get(usize::from(wanted.source % 4)).copied().unwrap_or(Source::Any),
        test: match wanted.operator % 4 {
            0 => Test::In(values),
            1 => Test::NotIn(values),
            2 => Test::Exists,
            _ => Test::DoesNotExist,
        },
    }
}

fn holds(requirement: &Requirement, facts: &BTreeMap<(Source, &str), &str>) -> bool {
    let mut found = Vec::new();
    for ((source, key), value) in facts {
        if *key == requirement.key && (requirement.source == Source::Any || requirement.source == *source) {
            found.push(*value);
        }
    }
    match &requirement.test {
        Test::In(values) => found.iter().any(|value| values.contains(*value)),
        Test::NotIn(values) => found.iter().all(|value| !values.contains(*value)),
        Test::Exists => !found.is_empty(),
        Test::DoesNotExist => found.is_empty(),
    }
}

fn expression(requirement: &Requirement) -> Expression {
    let (operator, values) = match &requirement.test {
        Test::In(values) => (Operator::In, values.clone()),
        Test::NotIn(values) => (Operator::NotIn, values.clone()),
        Test::Exists => (Operator::Exists, BTreeSet::new()),
        Test::DoesNotExist => (Operator::DoesNotExist, BTreeSet::new()),
    };
    Expression { key: requirement.key.clone(), operator, values }
}
