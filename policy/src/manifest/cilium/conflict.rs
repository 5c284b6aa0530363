//! Rules of one policy that no proxy can honour together.

use abi::Direction;

use super::{CiliumRule, CiliumSpec, CiliumSubject, L3, PortRule};
use crate::l7::L7;
use crate::manifest::reader::Field;
use crate::port::PortSelector;
use crate::rule::Action;

/// Notes each item that wants another kind of proxy than an earlier one for the same subjects, direction, peers and
/// ports. `sites` has a list for each spec, with a list for each of its rules, with the places of its items.
///
/// Cilium finds out when it merges rules (`L7ParserType.Merge` in `pkg/policy/l4.go`), too late for the user.
pub(super) fn check(specs: &[CiliumSpec], sites: &[Vec<Vec<Field<'_>>>]) {
    let mut seen: Vec<Item<'_>> = Vec::new();
    for (spec, sites) in specs.iter().zip(sites) {
        for (rule, sites) in spec.rules.iter().zip(sites) {
            for (port, site) in rule.ports.iter().zip(sites) {
                let Some(l7) = port.l7.as_deref().filter(|_| rule.action == Action::Allow) else { continue };
                let item = Item { subject: &spec.subject, rule, port, l7, site };
                if let Some((other, what)) = seen.iter().find_map(|other| Some((other, item.clash(other)?))) {
                    let place = format!("{} (line {})", other.site.path(), other.site.line());
                    site.error(
                        format!("{what} clash with those of {place}"),
                        "one kind of rules for the same peers and ports",
                    );
                }
                seen.push(item);
            }
        }
    }
}

struct Item<'a> {
    subject: &'a CiliumSubject,
    rule: &'a CiliumRule,
    port: &'a PortRule,
    l7: &'a L7,
    site: &'a Field<'a>,
}

/// What decides which proxy takes a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Dns,
    Listener,
    /// Server names or TLS contexts alone, which any other kind but DNS can have too.
    Tls,
}

impl Kind {
    const fn of(l7: &L7) -> Self {
        if l7.listener.is_some() {
            Self::Listener
        } else if !l7.http.is_empty() {
            Self::Http
        } else if !l7.dns.is_empty() {
            Self::Dns
        } else {
            Self::Tls
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Http => "rules for http",
            Self::Dns => "rules for dns",
            Self::Listener => "listeners",
            Self::Tls => "rules for TLS",
        }
    }

    fn goes_with(self, other: Self) -> bool {
        self == other
            || (self == Self::Tls && other != Self::Dns)
            || (other == Self::Tls && self != Self::Dns)
    }
}

impl Item<'_> {
    /// What clashes, if these two do.
    fn clash(&self, other: &Self) -> Option<&'static str> {
        let kind = Kind::of(self.l7);
        let differ = |one: &Option<_>, two: &Option<_>| one.is_some() && two.is_some() && one != two;
        let what = if !kind.goes_with(Kind::of(other.l7)) {
            kind.name()
        } else if differ(&self.l7.terminating_tls, &other.l7.terminating_tls)
            || differ(&self.l7.originating_tls, &other.l7.originating_tls)
        {
            "TLS contexts"
        } else {
            return None;
        };
        let same = (self.direction(), self.peers(), self.subject)
            == (other.direction(), other.peers(), other.subject);
        (same && share_a_port(&self.port.ports, &other.port.ports)).then_some(what)
    }

    const fn direction(&self) -> Direction {
        self.rule.direction
    }

    const fn peers(&self) -> Option<&L3> {
        self.rule.peers.as_ref()
    }
}

/// Whether both name the same port. Ports that only overlap are told apart, as by the reference.
fn share_a_port(one: &[PortSelector], two: &[PortSelector]) -> bool {
    let same = |one: &PortSelector, two: &PortSelector| {
        one.port == two.port && one.protocols.iter().any(|protocol| two.protocols.contains(protocol))
    };
    one.iter().any(|one| two.iter().any(|two| same(one, two)))
}
