//! Fields of JSON objects.

use proptest::prelude::*;
use serde_json::Value;

/// An object of the fields that are there.
pub(crate) fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    Value::Object(fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
}

/// One of these.
pub(crate) fn one_of<T: Clone + std::fmt::Debug + 'static, const N: usize>(
    items: [T; N],
) -> BoxedStrategy<T> {
    proptest::sample::select(Vec::from(items)).boxed()
}

/// A list of `least` to `most` items.
pub(crate) fn list(
    item: impl Strategy<Value = Value> + 'static,
    least: usize,
    most: usize,
) -> BoxedStrategy<Value> {
    proptest::collection::vec(item, least..=most).prop_map(Value::from).boxed()
}

/// The same, or no list at all.
pub(crate) fn perhaps(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    proptest::option::weighted(0.7, value).boxed()
}
