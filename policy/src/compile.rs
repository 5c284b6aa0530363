//! From rules to tables.
//!
//! Rules are cut into atoms: a set of peers times a set of ports, and an action. Peers that the same atoms
//! name make one row, ports that the same atoms name one column. Rows that turn out alike are then merged, and so
//! are columns.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use abi::{Cell, Direction, PeerClass, PortClass};
use roaring::RoaringBitmap;

use crate::cidr::CidrRegistry;
use crate::columns::{Columns, Span};
use crate::l7::Proxy;
use crate::label::LabelSet;
use crate::peer_selector::{PeerSelector, Peers};
use crate::peers::PeerIndex;
use crate::pod::{NamedPort, named_ports};
use crate::policy_key::RuleRef;
use crate::port::{PortMatch, Ports, Protocol};
use crate::resolve::Resolved;
use crate::rule::Rule;
use crate::tables::{PortRange, Tables, prefixes};
use crate::verdict::{Opinion, Opinions};

/// A policy's tables, and what is needed to explain them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// The tables.
    pub tables: Tables,
    /// The specs that close the direction to what no rule allows.
    pub closed_by: Vec<RuleRef>,
    closed: bool,
    rules: Vec<(Opinion, RuleRef)>,
    /// The rules that name some peer of a class, and some port of a class.
    by_peer: Vec<BTreeSet<u32>>,
    by_port: Vec<BTreeSet<u32>>,
}

impl Compiled {
    /// The rules behind a cell: those that give some peer of the one class, on some port of the other, the
    /// cell's verdict. Where no rule does, the specs that close the direction.
    #[must_use]
    pub fn reasons(&self, peer: PeerClass, port: PortClass) -> Vec<&RuleRef> {
        let (Some(by_peer), Some(by_port)) =
            (self.by_peer.get(peer.0 as usize), self.by_port.get(port.0 as usize))
        else {
            return Vec::new();
        };
        let both = || by_peer.intersection(by_port).filter_map(|rule| self.rules.get(*rule as usize));
        let mut opinions = Opinions::default();
        both().for_each(|(opinion, _)| opinions.merge(&(*opinion).into()));
        let decisive = both().filter(|(opinion, _)| opinions.is_decisive(self.closed, opinion));
        let rules: Vec<&RuleRef> = decisive.map(|(_, origin)| origin).collect();
        if rules.is_empty() { self.closed_by.iter().collect() } else { rules }
    }
}

/// What a rule says, with names of ports resolved.
struct Atom {
    rule: u32,
    opinion: Opinion,
    /// Everyone where there is none.
    peers: Option<RoaringBitmap>,
    /// Every port of every protocol where there is none.
    ports: Option<BTreeSet<Span>>,
}

/// More cells than these are kept sparsely where most of them say nothing.
const MAX_DENSE: usize = 1 << 16;

/// Compiles the rules that hold for a subject.
pub(crate) fn compile(
    resolved: &Resolved<'_>,
    direction: Direction,
    subject: &LabelSet,
    peers: &PeerIndex,
    cidrs: &CidrRegistry,
) -> Compiled {
    let closed_by = resolved.closed_by.iter().copied().cloned().collect();
    let closed = resolved.is_closed();
    let logs = resolved.logs();
    let opinions = resolved.opinions(&logs);
    let origins = resolved.rules.iter().map(|held| held.rule.origin.clone());
    let rules = opinions.iter().copied().zip(origins).collect();
    if resolved.allows_all() {
        let all: BTreeSet<u32> = (0..resolved.rules.len() as u32).collect();
        let tables = Tables::allow_all();
        return Compiled { tables, closed_by, closed, rules, by_peer: vec![all.clone()], by_port: vec![all] };
    }
    let atoms = atoms(resolved, &opinions, direction, &named_ports(subject), peers, cidrs);
    let rows = Rows::of(&atoms, peers);
    let columns = Columns::of(atoms.iter().map(|atom| atom.ports.as_ref()));
    let mut compiled = Compiled { closed_by, closed, rules, ..Compiled::default() };
    compiled.tables.logs = logs;
    fill(&mut compiled, &atoms, &rows, &columns, peers);
    compiled
}

fn atoms(
    resolved: &Resolved<'_>,
    opinions: &[Opinion],
    direction: Direction,
    own_ports: &BTreeSet<NamedPort>,
    peers: &PeerIndex,
    cidrs: &CidrRegistry,
) -> Vec<Atom> {
    let mut selected: HashMap<&PeerSelector, RoaringBitmap> = HashMap::new();
    let mut atoms = Vec::new();
    for ((number, held), opinion) in (0u32..).zip(&resolved.rules).zip(opinions) {
        let rule = held.rule;
        let bitmap = match &rule.peers {
            Peers::Any => None,
            Peers::OneOf(selectors) => Some(selectors.iter().fold(RoaringBitmap::new(), |all, selector| {
                all | &*selected.entry(selector).or_insert_with(|| peers.select(selector, cidrs))
            })),
        };
        let atom = |peers, ports| Atom { rule: number, opinion: *opinion, peers, ports };
        let Some((spans, names)) = spans(rule, direction, own_ports) else {
            atoms.push(atom(bitmap, None));
            continue;
        };
        // A name may stand for another port with each peer.
        for (name, protocols) in names {
            for (protocol, port, having) in peers.with_port(name) {
                if protocols.contains(&protocol) {
                    let having = bitmap.as_ref().map_or_else(|| having.clone(), |bitmap| bitmap & having);
                    atoms.push(atom(Some(having), Some([Span::new(protocol, port, port)].into())));
                }
            }
        }
        if !spans.is_empty() {
            atoms.push(atom(bitmap, Some(spans)));
        }
    }
    atoms.retain(|atom| atom.peers.as_ref().is_none_or(|peers| !peers.is_empty()));
    atoms
}

type Names<'a> = Vec<(&'a str, &'a BTreeSet<Protocol>)>;

/// The ports of a rule, and the names among them that only peers can resolve; none where it is about all.
fn spans<'a>(
    rule: &'a Rule,
    direction: Direction,
    own_ports: &BTreeSet<NamedPort>,
) -> Option<(BTreeSet<Span>, Names<'a>)> {
    let Ports::OneOf(selectors) = &rule.ports else { return None };
    let (mut spans, mut names) = (BTreeSet::new(), Vec::new());
    for selector in selectors {
        match &selector.port {
            PortMatch::Named(name) if direction == Direction::Egress => {
                names.push((name.as_str(), &selector.protocols));
            }
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
    Some((spans, names))
}

/// Peers by the atoms that name them.
struct Rows {
    /// The row of each slot. Row 0 is named by no atom.
    of_slot: Vec<u32>,
    /// Each row has the atoms of another one, and one more.
    parents: Vec<(u32, u32)>,
}

impl Rows {
    fn of(atoms: &[Atom], peers: &PeerIndex) -> Self {
        let mut rows = Self { of_slot: vec![0; peers.slots()], parents: vec![(0, 0)] };
        let mut split: HashMap<u32, u32> = HashMap::new();
        for (number, atom) in (0u32..).zip(atoms) {
            split.clear();
            for slot in atom.peers.iter().flatten() {
                let row = &mut rows.of_slot[slot as usize];
                *row = *split.entry(*row).or_insert_with(|| {
                    rows.parents.push((*row, number));
                    rows.parents.len() as u32 - 1
                });
            }
        }
        rows
    }

    /// The atoms that name the peers of a row.
    fn atoms(&self, row: u32) -> impl Iterator<Item = usize> + '_ {
        let mut next = row;
        std::iter::from_fn(move || {
            let (parent, atom) = self.parents[next as usize];
            (next != 0).then(|| {
                next = parent;
                atom as usize
            })
        })
    }
}

/// A row's verdicts: that of column 0, and those of the columns where it differs, in order.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Verdicts {
    other: Cell,
    named: Vec<(u32, Cell)>,
}

/// The verdicts of a row that these atoms name.
fn verdicts(
    atoms: &[Atom],
    numbers: &[usize],
    columns: &Columns,
    closed: bool,
    proxies: &mut Vec<Proxy>,
) -> Verdicts {
    let mut everywhere = Opinions::default();
    let mut somewhere: BTreeMap<u32, Opinions> = BTreeMap::new();
    for &number in numbers {
        let opinion = atoms[number].opinion.into();
        match columns.of_atom(number) {
            None => everywhere.merge(&opinion),
            Some(of_atom) => {
                for column in of_atom {
                    somewhere.entry(*column).or_default().merge(&opinion);
                }
            }
        }
    }
    let mut cell = |opinions: &Opinions| {
        opinions.cell(closed, |proxy| {
            let at = proxies.iter().position(|known| *known == proxy).unwrap_or_else(|| {
                proxies.push(proxy);
                proxies.len() - 1
            });
            at as u16 + 1
        })
    };
    let other = cell(&everywhere);
    let named = somewhere.into_iter().filter_map(|(column, mut opinions)| {
        opinions.merge(&everywhere);
        let cell = cell(&opinions);
        (cell != other).then_some((column, cell))
    });
    Verdicts { other, named: named.collect() }
}

/// Merges rows and columns, numbers the classes and writes the tables.
fn fill(compiled: &mut Compiled, atoms: &[Atom], rows: &Rows, columns: &Columns, peers: &PeerIndex) {
    let for_all: Vec<usize> = (0..atoms.len()).filter(|number| atoms[*number].peers.is_none()).collect();
    let rule_of = |number: &usize| atoms[*number].rule;

    // Rows to classes, in the order of peers. Class 0 is what holds for everyone.
    let closed = compiled.closed;
    let mut proxies = Vec::new();
    let zero = verdicts(atoms, &for_all, columns, closed, &mut proxies);
    let mut classes: Vec<Verdicts> = vec![zero.clone()];
    let mut class_of_verdicts: HashMap<Verdicts, u32> = [(zero, 0)].into();
    let mut class_of_row: HashMap<u32, u32> = HashMap::new();
    compiled.by_peer = vec![for_all.iter().map(rule_of).collect()];
    for (peer, slot) in peers.iter() {
        let row = rows.of_slot[slot as usize];
        let class = *class_of_row.entry(row).or_insert_with(|| {
            let mut numbers: Vec<usize> = rows.atoms(row).collect();
            numbers.extend(&for_all);
            let verdicts = verdicts(atoms, &numbers, columns, closed, &mut proxies);
            let class = *class_of_verdicts.entry(verdicts).or_insert_with_key(|verdicts| {
                classes.push(verdicts.clone());
                compiled.by_peer.push(BTreeSet::new());
                classes.len() as u32 - 1
            });
            if class != 0 {
                compiled.by_peer[class as usize].extend(numbers.iter().map(rule_of));
            }
            class
        });
        if class != 0 {
            compiled.tables.peers.insert(peer, PeerClass(class));
        }
    }

    // Columns to classes, in the order of ports. A column is told by where it differs from column 0.
    let mut differences: Vec<Vec<(u32, Cell)>> = vec![Vec::new(); columns.len()];
    for (class, verdicts) in (0u32..).zip(&classes) {
        for (column, action) in &verdicts.named {
            differences[*column as usize].push((class, *action));
        }
    }
    let mut class_of_column: Vec<Option<u32>> = vec![None; columns.len()];
    let mut numbers: HashMap<&[(u32, Cell)], u32> = HashMap::new();
    let mut first_columns: Vec<u32> = Vec::new();
    let in_order = std::iter::once(0).chain(columns.other).chain(columns.intervals.iter().map(|i| i.column));
    for column in in_order {
        let class = *numbers.entry(differences[column as usize].as_slice()).or_insert_with(|| {
            first_columns.push(column);
            compiled.by_port.push(BTreeSet::new());
            first_columns.len() as u32 - 1
        });
        if class_of_column[column as usize].replace(class).is_none() {
            compiled.by_port[class as usize].extend(columns.atoms(column).map(|number| atoms[number].rule));
        }
    }
    write_ports(&mut compiled.tables, columns, |column| {
        PortClass(class_of_column[column as usize].unwrap_or_default())
    });
    compiled.tables.proxies = proxies;
    write_cells(&mut compiled.tables, &classes, &class_of_column, first_columns.len());
}

fn write_ports(tables: &mut Tables, columns: &Columns, class: impl Fn(u32) -> PortClass) {
    for (index, column) in columns.other.into_iter().enumerate() {
        tables.other_ports[index] = class(column);
    }
    let mut intervals = columns.intervals.iter().peekable();
    while let Some(first) = intervals.next() {
        let mut last = first.span.last;
        while let Some(next) = intervals.next_if(|next| {
            next.span.protocol == first.span.protocol
                && class(next.column) == class(first.column)
                && u32::from(next.span.first) == u32::from(last) + 1
        }) {
            last = next.span.last;
        }
        let proto = first.span.protocol.number();
        if class(first.column) == tables.other_ports[crate::tables::other_index(proto)] {
            continue;
        }
        for (port, bits) in prefixes(first.span.first, last) {
            let class = class(first.column);
            if bits == 16 {
                tables.ports.insert((proto, port), class);
            } else {
                tables.ranges.push(PortRange { proto, port, bits, class });
            }
        }
    }
}

fn write_cells(tables: &mut Tables, classes: &[Verdicts], class_of_column: &[Option<u32>], stride: usize) {
    let class = |column: u32| class_of_column[column as usize].unwrap_or_default();
    tables.stride = stride as u32;
    let named: usize = classes.iter().map(|verdicts| verdicts.named.len()).sum();
    let says_little = classes.iter().all(|verdicts| verdicts.other == Cell::default());
    if says_little && named > 0 && classes.len() * stride > MAX_DENSE.max(4 * named) {
        for (row, verdicts) in (0u32..).zip(classes) {
            for (column, action) in &verdicts.named {
                tables.sparse.insert((PeerClass(row), PortClass(class(*column))), *action);
            }
        }
        return;
    }
    for verdicts in classes {
        let start = tables.cells.len();
        tables.cells.resize(start + stride, verdicts.other);
        for (column, action) in &verdicts.named {
            tables.cells[start + class(*column) as usize] = *action;
        }
    }
}
