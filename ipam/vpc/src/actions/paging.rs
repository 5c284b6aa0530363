//! Pages of long lists.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    Operation, Query, Refusal,
    actions::filters::{self, Listed},
    answer::Page,
};

/// How many there may be on a page.
pub(super) struct Limits {
    /// The most that may be asked for; the least is 5.
    pub(super) most: i64,
    /// How many there are if nothing is asked for.
    pub(super) usual: usize,
    /// Whether ids and a length exclude each other (cilium #39120).
    pub(super) ids_or_length: bool,
}

/// Filters a list, sorted by id, and cuts a page out of it.
pub(super) fn page<T: Listed>(
    operation: Operation,
    query: &Query,
    limits: &Limits,
    all: impl Iterator<Item = T>,
) -> Result<Page<T>, Refusal> {
    if limits.ids_or_length && !query.ids.is_empty() && query.max_results.is_some() {
        return Err(Refusal::combination(
            "The parameter MaxResults cannot be used with IDs in the same call",
        ));
    }
    if let Some(length) = query.max_results.filter(|length| !(5..=limits.most).contains(length)) {
        let message =
            format!("Value ( {length} ) for parameter maxResults is invalid: 5 to {} are", limits.most);
        return Err(Refusal::new("InvalidMaxResults", message));
    }
    filters::check::<T>(&query.filters)?;
    let digest = digest(operation, query);
    let after = match &query.next_token {
        None => None,
        Some(token) => Some(read(token, digest)?),
    };
    let length = query.max_results.map_or(limits.usual, |length| usize::try_from(length).unwrap_or(0));
    let mut items: Vec<T> = all
        .filter(|item| after.as_deref().is_none_or(|after| item.id() > after))
        .filter(|item| filters::pass(item, &query.filters))
        .take(length.saturating_add(1))
        .collect();
    let more = items.len() > length;
    items.truncate(length);
    let next_token = items.last().filter(|_| more).map(|last| write(last.id(), digest));
    Ok(Page { items, next_token })
}

/// What a token is good for: the same operation with the same ids and filters; a page's length may change.
fn digest(operation: Operation, query: &Query) -> u64 {
    let mut hasher = DefaultHasher::new();
    (operation, &query.ids, &query.filters).hash(&mut hasher);
    hasher.finish()
}

/// A token after which the list goes on behind an id.
fn write(last: &str, digest: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{digest:016x}{last}"))
}

fn read(token: &str, digest: u64) -> Result<String, Refusal> {
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let last = text.as_deref().and_then(|text| text.strip_prefix(&format!("{digest:016x}")));
    last.map(str::to_owned)
        .ok_or_else(|| Refusal::new("InvalidNextToken", "The token is not valid for this request"))
}
