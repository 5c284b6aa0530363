//! Label selectors, and the blocks of addresses that everything else lies in.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use crate::field::object;

/// A label selector over these keys, all of which know these values.
pub(crate) fn selector(keys: &[&'static str], values: &[&'static str]) -> BoxedStrategy<Value> {
    let (keys, values) = (keys.to_vec(), values.to_vec());
    let label = of((select(keys.clone()), select(values.clone())));
    let expression =
        (select(keys), 0..4usize, subsequence(values, 1..=2)).prop_map(|(key, operator, values)| {
            let operators = ["In", "NotIn", "Exists", "DoesNotExist"];
            let values = (operator < 2).then(|| Value::from(values));
            object([
                ("key", Some(key.into())),
                ("operator", Some(operators[operator].into())),
                ("values", values),
            ])
        });
    prop_oneof![
        1 => Just(json!({})),
        1 => (label, vec(expression, 0..2)).prop_map(|(label, expressions)| {
            object([
                ("matchLabels", label.map(|(key, value)| json!({key: value}))),
                ("matchExpressions", (!expressions.is_empty()).then(|| expressions.into())),
            ])
        }),
    ]
    .boxed()
}

/// Selects pods by their own labels. One of the keys is left out by the label filter.
pub(crate) fn pods() -> BoxedStrategy<Value> {
    let keys = ["app", "app", "tier", "pod-template-hash"];
    selector(&keys, &["web", "db"])
}

/// Selects namespaces by their labels, of which Kubernetes itself gives the name.
pub(crate) fn namespaces() -> BoxedStrategy<Value> {
    prop_oneof![
        2 => Just(json!({})),
        3 => selector(&["team"], &["web", "db"]),
        1 => selector(&["kubernetes.io/metadata.name"], &["x", "y"]),
    ]
    .boxed()
}

/// A CIDR and parts of it: pods are in 10.0.0.0/22 and fd00::/16, nodes in 10.0.9.0/24, all else is outside.
const BLOCKS: [(&str, &[&str]); 11] = [
    ("0.0.0.0/0", &["10.0.0.0/8", "192.0.2.0/25", "10.0.1.0/24"]),
    ("10.0.0.0/8", &["10.0.0.0/16", "10.1.0.0/16", "10.0.2.0/24"]),
    ("10.0.0.0/16", &["10.0.0.0/24", "10.0.0.1/32", "10.0.1.2/32", "10.0.9.0/24"]),
    ("10.0.1.0/24", &["10.0.1.0/30", "10.0.1.1/32"]),
    ("10.0.0.1/32", &[]),
    ("10.0.9.0/24", &["10.0.9.1/32", "10.0.9.2/31"]),
    ("192.0.2.0/24", &["192.0.2.0/25", "192.0.2.1/32"]),
    ("192.0.2.1/32", &[]),
    ("::/0", &["fd00::/8", "2001:db8::/32"]),
    ("fd00::/8", &["fd00::1/128", "fd00::/126", "fd00:9::/32"]),
    ("2001:db8::/32", &["2001:db8::1/128"]),
];

/// A CIDR.
pub(crate) fn cidr() -> BoxedStrategy<Value> {
    select(BLOCKS.map(|(cidr, _)| cidr).to_vec()).prop_map(Value::from).boxed()
}

/// A CIDR without some of its parts, as `ipBlock` and `fromCIDRSet` write it.
pub(crate) fn block() -> BoxedStrategy<Value> {
    select(BLOCKS.to_vec())
        .prop_flat_map(|(cidr, parts)| {
            subsequence(parts.to_vec(), 0..=parts.len().min(2)).prop_map(move |except| {
                let except = (!except.is_empty()).then(|| Value::from(except));
                object([("cidr", Some(cidr.into())), ("except", except)])
            })
        })
        .boxed()
}
