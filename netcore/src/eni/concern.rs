//! Which changes that others made call for the plumbing to be asserted again.

use std::collections::BTreeSet;

use crate::{
    mac::MacAddr,
    monitor::Change,
    state::{Owned, State},
};

/// Whether `change` took away or altered something that is `desired`, put something there that is ours to
/// remove, or brought a link that is `awaited`. What we did ourselves is as desired and of no concern.
#[must_use]
pub fn concerns(change: &Change, owned: &Owned, desired: &State, awaited: &BTreeSet<MacAddr>) -> bool {
    match change {
        Change::Link(link) => match desired.links.get(&link.index) {
            Some(settings) => *settings != link.settings(),
            None => link.mac.is_some_and(|mac| awaited.contains(&mac)),
        },
        Change::LinkGone(index) => desired.links.contains_key(index),
        Change::Address(address) => owned.address(address) && !desired.addresses.contains(address),
        Change::AddressGone(address) => desired.addresses.contains(address),
        Change::Route(route) => {
            let replaces = || desired.routes.iter().any(|ours| ours.key() == route.key());
            !desired.routes.contains(route) && (owned.is_on_our_link(route) || replaces())
        }
        Change::RouteGone(route) => desired.routes.contains(route),
        Change::RuleGone(rule) => desired.rules.contains(rule),
        Change::Overrun => true,
    }
}
