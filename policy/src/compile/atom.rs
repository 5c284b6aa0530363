//! Rules cut into atoms: a set of peers times a set of ports, and what is said of them.

use std::collections::{BTreeMap, BTreeSet};

use abi::Direction;
use roaring::RoaringBitmap;

use super::columns::Span;
use crate::peer_selector::Peers;
use crate::peers::PeerIndex;
use crate::pod::NamedPort;
use crate::port::{PortMatch, Ports, Protocol};
use crate::resolve::Resolved;
use crate::rule::Rule;
use crate::selector_cache::{Context, SelectorCache, SelectorId};
use crate::verdict::Opinion;

/// What a rule says, with names of ports resolved.
#[derive(Clone, Debug)]
pub(super) struct Atom {
    /// The rule's number among the resolved ones.
    pub(super) rule: u32,
    pub(super) opinion: Opinion,
    pub(super) peers: AtomPeers,
    /// Every port of every protocol where there is none.
    pub(super) ports: Option<BTreeSet<Span>>,
}

/// Whom an atom names.
#[derive(Clone, Debug)]
pub(super) struct AtomPeers {
    /// Everyone where there is none.
    pub(super) selectors: Option<Vec<SelectorId>>,
    /// Only peers that have this port.
    pub(super) having: Option<NamedPort>,
}

impl AtomPeers {
    pub(super) const fn is_everyone(&self) -> bool {
        self.selectors.is_none() && self.having.is_none()
    }
}

/// The atoms of a subject's rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Atoms {
    pub(super) list: Vec<Atom>,
    /// The peers of each atom; none for everyone.
    pub(super) peers: Vec<Option<RoaringBitmap>>,
    /// The names of peers' ports that rules use, with the ports that atoms know. A peer with another port of such a
    /// name needs an atom of its own.
    pub(super) names: BTreeMap<String, BTreeSet<(Protocol, u16)>>,
}

impl Atoms {
    pub(super) fn of(
        resolved: &Resolved<'_>,
        direction: Direction,
        own_ports: &BTreeSet<NamedPort>,
        selectors: &mut SelectorCache,
        context: Context<'_>,
    ) -> Self {
        let mut atoms = Self::default();
        for ((number, held), opinion) in (0u32..).zip(&resolved.rules).zip(&resolved.opinions) {
            let (ids, bitmap) = match &held.rule.peers {
                Peers::Any => (None, None),
                Peers::OneOf(wanted) => {
                    let (mut ids, mut all) = (Vec::new(), RoaringBitmap::new());
                    for selector in wanted {
                        if let Some((id, peers)) = selectors.select(selector, context) {
                            ids.push(id);
                            all |= peers;
                        }
                    }
                    (Some(ids), Some(all))
                }
            };
            let atom = |having, ports| Atom {
                rule: number,
                opinion: *opinion,
                peers: AtomPeers { selectors: ids.clone(), having },
                ports,
            };
            let Some(spans) = spans(held.rule, direction, own_ports) else {
                atoms.push(atom(None, None), bitmap);
                continue;
            };
            let mut no_port_yet = false;
            if direction == Direction::Egress {
                let before = atoms.list.len();
                for (name, protocols) in names(held.rule) {
                    atoms.push_named(name, protocols, &atom, bitmap.as_ref(), context.peers);
                }
                // Peers that come may have ports of these names: the rule is about them, if on no port yet.
                no_port_yet = held.rule.ports.have_names() && atoms.list.len() == before && ids.is_some();
            }
            if !spans.is_empty() || no_port_yet {
                atoms.push(atom(None, Some(spans)), bitmap);
            }
        }
        atoms
    }

    fn push(&mut self, atom: Atom, peers: Option<RoaringBitmap>) {
        self.list.push(atom);
        self.peers.push(peers);
    }

    /// A name may stand for another port with each peer: an atom for each.
    fn push_named(
        &mut self,
        name: &str,
        protocols: &BTreeSet<Protocol>,
        atom: &impl Fn(Option<NamedPort>, Option<BTreeSet<Span>>) -> Atom,
        selected: Option<&RoaringBitmap>,
        peers: &PeerIndex,
    ) {
        let mut known: BTreeSet<(Protocol, u16)> = BTreeSet::new();
        for (protocol, port, having) in peers.with_port(name) {
            known.insert((protocol, port));
            if protocols.contains(&protocol) {
                let having = selected.map_or_else(|| having.clone(), |selected| selected & having);
                let named = NamedPort { name: name.to_owned(), protocol, port };
                self.push(atom(Some(named), Some([Span::new(protocol, port, port)].into())), Some(having));
            }
        }
        self.names.entry(name.to_owned()).or_default().extend(known);
    }
}

/// The ports of a rule, without those that only peers can tell; none where it is about all.
fn spans(rule: &Rule, direction: Direction, own_ports: &BTreeSet<NamedPort>) -> Option<BTreeSet<Span>> {
    let Ports::OneOf(selectors) = &rule.ports else { return None };
    let mut spans = BTreeSet::new();
    for selector in selectors {
        match &selector.port {
            PortMatch::Named(_) if direction == Direction::Egress => {}
            PortMatch::Named(name) => spans.extend(
                own_ports
                    .iter()
                    .filter(|own| own.name == *name && selector.protocols.contains(&own.protocol))
                    .map(|own| Span::new(own.protocol, own.port, own.port)),
            ),
            PortMatch::All => spans.extend(selector.protocols.iter().map(|p| Span::new(*p, 0, u16::MAX))),
            PortMatch::Range(first, last) => {
                spans.extend(selector.protocols.iter().map(|p| Span::new(*p, *first, *last)));
            }
        }
    }
    Some(spans)
}

fn names(rule: &Rule) -> impl Iterator<Item = (&str, &BTreeSet<Protocol>)> {
    let Ports::OneOf(selectors) = &rule.ports else { return [].iter().filter_map(named as Named) };
    selectors.iter().filter_map(named as Named)
}

type Named = fn(&crate::port::PortSelector) -> Option<(&str, &BTreeSet<Protocol>)>;

fn named(selector: &crate::port::PortSelector) -> Option<(&str, &BTreeSet<Protocol>)> {
    match &selector.port {
        PortMatch::Named(name) => Some((name, &selector.protocols)),
        _ => None,
    }
}
