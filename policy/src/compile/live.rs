//! A compiled policy that is kept up to date while peers come and go.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use abi::{Direction, Peer, PeerClass, PortClass};

use super::atom::{Atom, Atoms};
use super::columns::Columns;
use super::compiled::Compiled;
use super::rows::{Rows, Verdicts};
use crate::l7::Proxy;
use crate::label::LabelSet;
use crate::peers::PeerIndex;
use crate::pod::{NamedPort, named_ports};
use crate::port::Protocol;
use crate::resolve::Resolved;
use crate::selector_cache::{Context, SelectorCache, SelectorId};
use crate::tables::{PortRange, Tables, other_index, prefixes};

/// A compiled policy, and what it takes to add a peer to it.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    compiled: Arc<Compiled>,
    /// Whether it has to be compiled anew before it is used: a peer did not fit in, or too little is left of it.
    pub(crate) stale: bool,
    atoms: Vec<Atom>,
    /// The atoms for everyone.
    for_all: Vec<u32>,
    /// Whether rules about everyone depend on the names of peers' ports.
    pub(crate) asks_everyone: bool,
    names: BTreeMap<String, BTreeSet<(Protocol, u16)>>,
    proxies: Vec<Proxy>,
    columns: Columns,
    class_of_column: Vec<u32>,
    /// How many columns each class has.
    columns_in_class: Vec<u32>,
    rows: Vec<Row>,
    row_of: HashMap<Verdicts, u32>,
}

/// A class of peers.
#[derive(Clone, Debug)]
struct Row {
    verdicts: Verdicts,
    /// How many peers are in it.
    peers: u32,
}

/// More cells than these are kept sparsely where most of them say nothing.
const MAX_DENSE: usize = 1 << 16;

impl Live {
    /// Compiles the rules that hold for a subject.
    pub(crate) fn new(
        resolved: &Resolved<'_>,
        direction: Direction,
        own_ports: &BTreeSet<NamedPort>,
        selectors: &mut SelectorCache,
        context: Context<'_>,
    ) -> Self {
        if resolved.allows_all() {
            return Self::allow_all(resolved);
        }
        let Atoms { list: atoms, peers: named, names } =
            Atoms::of(resolved, direction, own_ports, selectors, context);
        let proxies: BTreeSet<Proxy> = atoms.iter().filter_map(|atom| atom.opinion.proxy).collect();
        let columns = Columns::of(atoms.iter().map(|atom| atom.ports.as_ref()));
        let mut compiled = Compiled::new(resolved);
        compiled.tables.logs.clone_from(&resolved.logs);
        compiled.tables.proxies = proxies.iter().copied().collect();
        let everyone = |number: &u32| atoms[*number as usize].peers.is_everyone();
        let mut live = Self {
            compiled: Arc::default(),
            stale: false,
            for_all: (0..atoms.len() as u32).filter(everyone).collect(),
            asks_everyone: direction == Direction::Egress
                && resolved.rules.iter().any(|held| held.rule.names_ports_of_everyone()),
            atoms,
            names,
            proxies: proxies.into_iter().collect(),
            columns,
            class_of_column: Vec::new(),
            columns_in_class: Vec::new(),
            rows: Vec::new(),
            row_of: HashMap::new(),
        };
        live.classify_peers(&mut compiled, &Rows::of(&named, context.peers.slots()), context.peers);
        live.classify_ports(&mut compiled);
        live.write_cells(&mut compiled.tables);
        live.compiled = Arc::new(compiled);
        live
    }

    fn allow_all(resolved: &Resolved<'_>) -> Self {
        Self {
            compiled: Arc::new(Compiled::allow_all(resolved)),
            stale: false,
            atoms: Vec::new(),
            for_all: Vec::new(),
            asks_everyone: false,
            names: BTreeMap::new(),
            proxies: Vec::new(),
            columns: Columns::of(std::iter::empty()),
            class_of_column: Vec::new(),
            columns_in_class: Vec::new(),
            rows: Vec::new(),
            row_of: HashMap::new(),
        }
    }

    /// With tables whose verdicts are only reported, if `audit`.
    pub(crate) fn with_audit(mut self, audit: bool) -> Self {
        if audit {
            Arc::make_mut(&mut self.compiled).tables.audit = true;
        }
        self
    }

    /// The policy as it is now.
    pub(crate) const fn compiled(&self) -> &Arc<Compiled> {
        &self.compiled
    }

    /// The selectors that its atoms use, each with the atom's number.
    pub(crate) fn selectors(&self) -> impl Iterator<Item = (SelectorId, u32)> + '_ {
        (0u32..).zip(&self.atoms).flat_map(|(number, atom)| {
            atom.peers.selectors.iter().flatten().map(move |selector| (*selector, number))
        })
    }

    /// The atoms that name a slot, besides those for everyone.
    pub(crate) fn naming(&self, slot: u32, selectors: &SelectorCache) -> Vec<u32> {
        let names = |atom: &Atom| {
            atom.peers.selectors.iter().flatten().any(|selector| selectors.selects(*selector, slot))
        };
        (0u32..).zip(&self.atoms).filter(|(_, atom)| names(atom)).map(|(number, _)| number).collect()
    }

    /// Enters a peer that these atoms name, besides those for everyone.
    pub(crate) fn enter(&mut self, peer: Peer, labels: &LabelSet, mut naming: Vec<u32>) {
        if self.stale || self.compiled.tables.allow_all {
            return;
        }
        if !self.names.is_empty() {
            let ports = named_ports(labels);
            let unknown = |port: &NamedPort| {
                self.names.get(&port.name).is_some_and(|known| !known.contains(&(port.protocol, port.port)))
            };
            if ports.iter().any(unknown) {
                self.stale = true;
                return;
            }
            // Atoms for everyone who has a port are no selector's.
            let of_anyone = (0u32..).zip(&self.atoms).filter(|(_, atom)| atom.peers.selectors.is_none());
            naming.extend(of_anyone.map(|(number, _)| number));
            naming.retain(|number| {
                self.atoms[*number as usize].peers.having.as_ref().is_none_or(|port| ports.contains(port))
            });
        } else {
            naming.extend(&self.for_all);
        }
        naming.sort_unstable();
        naming.dedup();
        let verdicts = self.verdicts(naming.iter().copied(), self.compiled.closed);
        let known = self.row_of.get(&verdicts).copied();
        let class = match known {
            Some(class) => class,
            None if self.fits(&verdicts) => self.add_row(verdicts),
            None => {
                self.stale = true;
                return;
            }
        };
        self.leave(peer, Some(class));
        if class == 0 {
            return;
        }
        let compiled = Arc::make_mut(&mut self.compiled);
        if compiled.tables.peers.insert(peer, PeerClass(class)).is_none() {
            self.rows[class as usize].peers += 1;
        }
        let rules: Vec<u32> = naming.iter().map(|number| self.atoms[*number as usize].rule).collect();
        let reasons = &compiled.by_peer[class as usize];
        if rules.iter().any(|rule| !reasons.contains(rule)) {
            Arc::make_mut(&mut compiled.by_peer)[class as usize].extend(rules);
        }
    }

    /// Takes a peer out.
    pub(crate) fn remove(&mut self, peer: Peer) {
        if !self.stale {
            self.leave(peer, None);
        }
    }

    /// Takes a peer out of its class, unless it is this one.
    fn leave(&mut self, peer: Peer, stays_in: Option<u32>) {
        let Some(class) = self.compiled.tables.peers.get(&peer).map(|class| class.0) else { return };
        if stays_in == Some(class) {
            return;
        }
        Arc::make_mut(&mut self.compiled).tables.peers.remove(&peer);
        let row = &mut self.rows[class as usize];
        row.peers -= 1;
        if row.peers == 0 && self.is_wasteful() {
            self.stale = true;
        }
    }

    /// Whether there are more than 1.25 times the classes that are needed, of peers or of ports.
    fn is_wasteful(&self) -> bool {
        let used = |(number, row): &(usize, &Row)| *number == 0 || row.peers > 0;
        let needed = self.rows.iter().enumerate().filter(used).count();
        if 4 * self.rows.len() > 5 * needed {
            return true;
        }
        let mut differences: BTreeMap<u32, BTreeSet<(usize, abi::Cell)>> = BTreeMap::new();
        for (number, row) in self.rows.iter().enumerate().filter(used) {
            for (column, cell) in &row.verdicts.named {
                differences
                    .entry(self.class_of_column[*column as usize])
                    .or_default()
                    .insert((number, *cell));
            }
        }
        // Those without a difference are one more.
        let alike = usize::from(differences.len() < self.columns_in_class.len());
        let columns: BTreeSet<_> = differences.into_values().collect();
        4 * self.columns_in_class.len() > 5 * (columns.len() + alike)
    }

    /// Whether a row treats the columns of each class alike.
    fn fits(&self, verdicts: &Verdicts) -> bool {
        let mut by_class: BTreeMap<u32, (u32, BTreeSet<abi::Cell>)> = BTreeMap::new();
        for (column, cell) in &verdicts.named {
            let (count, cells) = by_class.entry(self.class_of_column[*column as usize]).or_default();
            *count += 1;
            cells.insert(*cell);
        }
        let alike = by_class.iter().all(|(class, (count, cells))| {
            *count == self.columns_in_class[*class as usize] && cells.len() == 1
        });
        // A table of the other form would not be the smaller one any more; and rows have a limit in the dense one.
        let tables = &self.compiled.tables;
        let cells = (self.rows.len() + 1) * tables.stride as usize;
        alike
            && if tables.sparse.is_empty() {
                cells <= MAX_DENSE.max(2 * tables.cells.len())
            } else {
                verdicts.other == abi::Cell::default()
            }
    }

    fn add_row(&mut self, verdicts: Verdicts) -> u32 {
        let class = self.rows.len() as u32;
        let tables = &mut Arc::make_mut(&mut self.compiled).tables;
        let of_column = |column: &u32| self.class_of_column[*column as usize];
        if tables.sparse.is_empty() {
            let cells = Arc::make_mut(&mut tables.cells);
            let start = cells.len();
            cells.resize(start + tables.stride as usize, verdicts.other);
            for (column, cell) in &verdicts.named {
                cells[start + of_column(column) as usize] = *cell;
            }
        } else {
            let sparse = Arc::make_mut(&mut tables.sparse);
            for (column, cell) in &verdicts.named {
                sparse.insert((PeerClass(class), PortClass(of_column(column))), *cell);
            }
        }
        Arc::make_mut(&mut Arc::make_mut(&mut self.compiled).by_peer).push(BTreeSet::new());
        self.row_of.insert(verdicts.clone(), class);
        self.rows.push(Row { verdicts, peers: 0 });
        class
    }

    fn verdicts(&self, naming: impl IntoIterator<Item = u32>, closed: bool) -> Verdicts {
        Verdicts::of(naming, &self.atoms, &self.columns, closed, &self.proxies)
    }

    /// Rows to classes, in the order of peers. Class 0 is what holds for everyone.
    fn classify_peers(&mut self, compiled: &mut Compiled, rows: &Rows, peers: &PeerIndex) {
        let closed = compiled.closed;
        let rule_of = |live: &Self, number: u32| live.atoms[number as usize].rule;
        let zero = self.verdicts(self.for_all.iter().copied(), closed);
        self.row_of.insert(zero.clone(), 0);
        self.rows.push(Row { verdicts: zero, peers: 0 });
        let mut reasons: Vec<BTreeSet<u32>> =
            vec![self.for_all.iter().map(|number| rule_of(self, *number)).collect()];
        let mut class_of_row: Vec<Option<u32>> = vec![None; rows.len()];
        let mut entries = Vec::new();
        for (peer, slot) in peers.iter() {
            let row = rows.of_slot[slot as usize];
            if row == 0 {
                continue;
            }
            let class = match class_of_row[row as usize] {
                Some(class) => class,
                None => {
                    let naming: Vec<u32> = rows.atoms(row).chain(self.for_all.iter().copied()).collect();
                    let verdicts = self.verdicts(naming.iter().copied(), closed);
                    let class = self.row_of.get(&verdicts).copied().unwrap_or_else(|| {
                        self.row_of.insert(verdicts.clone(), self.rows.len() as u32);
                        self.rows.push(Row { verdicts, peers: 0 });
                        reasons.push(BTreeSet::new());
                        self.rows.len() as u32 - 1
                    });
                    if class != 0 {
                        let rules = naming.iter().map(|number| rule_of(self, *number));
                        reasons[class as usize].extend(rules);
                    }
                    class_of_row[row as usize] = Some(class);
                    class
                }
            };
            if class != 0 {
                self.rows[class as usize].peers += 1;
                entries.push((peer, PeerClass(class)));
            }
        }
        compiled.tables.peers = entries.into_iter().collect();
        compiled.by_peer = Arc::new(reasons);
    }

    /// Columns to classes, in the order of ports. A column is told by where it differs from column 0.
    fn classify_ports(&mut self, compiled: &mut Compiled) {
        let mut differences: Vec<Vec<(u32, abi::Cell)>> = vec![Vec::new(); self.columns.len()];
        for (class, row) in (0u32..).zip(&self.rows) {
            for (column, cell) in &row.verdicts.named {
                differences[*column as usize].push((class, *cell));
            }
        }
        let mut class_of_column: Vec<Option<u32>> = vec![None; self.columns.len()];
        let mut numbers: HashMap<&[(u32, abi::Cell)], u32> = HashMap::new();
        let mut reasons: Vec<BTreeSet<u32>> = Vec::new();
        let intervals = self.columns.intervals.iter().map(|interval| interval.column);
        for column in std::iter::once(0).chain(self.columns.other).chain(intervals) {
            let class = *numbers.entry(differences[column as usize].as_slice()).or_insert_with(|| {
                reasons.push(BTreeSet::new());
                reasons.len() as u32 - 1
            });
            if class_of_column[column as usize].replace(class).is_none() {
                let rules = self.columns.atoms(column).map(|number| self.atoms[number].rule);
                reasons[class as usize].extend(rules);
            }
        }
        self.columns_in_class = vec![0; reasons.len()];
        self.class_of_column = class_of_column.into_iter().map(Option::unwrap_or_default).collect();
        for class in &self.class_of_column {
            self.columns_in_class[*class as usize] += 1;
        }
        compiled.tables.stride = reasons.len() as u32;
        compiled.by_port = Arc::new(reasons);
        self.write_ports(&mut compiled.tables);
    }

    fn write_ports(&self, tables: &mut Tables) {
        let class = |column: u32| PortClass(self.class_of_column[column as usize]);
        let other = |protocol: Protocol| {
            let at = Protocol::ALL.iter().position(|known| *known == protocol);
            class(at.map_or(0, |at| self.columns.other[at]))
        };
        let (mut ports, mut ranges) = (BTreeMap::new(), Vec::new());
        for protocol in Protocol::ALL {
            let number = protocol.number();
            if other_index(number) != abi::PolicyRecord::OTHER_PROTO {
                tables.other_ports[other_index(number)] = other(protocol);
            } else if other(protocol) != class(0) {
                // Protocols without ports have port 0.
                ports.insert((number, 0), other(protocol));
            }
        }
        tables.other_ports[abi::PolicyRecord::OTHER_PROTO] = class(0);
        let mut next = 0;
        while let Some(first) = self.columns.intervals.get(next) {
            let (proto, of_first) = (first.span.protocol.number(), class(first.column));
            let mut last = first.span.last;
            next += 1;
            let follows = |at: usize, last: u16| {
                self.columns.intervals.get(at).filter(|interval| {
                    interval.span.protocol == first.span.protocol
                        && u32::from(interval.span.first) == u32::from(last) + 1
                })
            };
            let is_other = of_first == other(first.span.protocol);
            while let Some(interval) = follows(next, last) {
                let alone = interval.span.first == interval.span.last;
                if class(interval.column) == of_first {
                    last = interval.span.last;
                    next += 1;
                } else if !is_other
                    && alone
                    && let Some(beyond) = follows(next + 1, interval.span.last)
                    && class(beyond.column) == of_first
                {
                    // Exact ports are looked at first: a single port does not cut a range in two.
                    ports.insert((proto, interval.span.first), class(interval.column));
                    last = beyond.span.last;
                    next += 2;
                } else {
                    break;
                }
            }
            if is_other {
                continue;
            }
            for (port, bits) in prefixes(first.span.first, last) {
                if bits < 16 {
                    ranges.push(PortRange { proto, port, bits, class: of_first });
                } else {
                    // What is alone in the range by its place may be a port of its own already.
                    ports.entry((proto, port)).or_insert(of_first);
                }
            }
        }
        tables.ports = Arc::new(ports);
        tables.ranges = Arc::new(ranges);
    }

    fn write_cells(&self, tables: &mut Tables) {
        let stride = tables.stride as usize;
        let of_column = |column: &u32| self.class_of_column[*column as usize];
        let named: usize = self.rows.iter().map(|row| row.verdicts.named.len()).sum();
        let says_little = self.rows.iter().all(|row| row.verdicts.other == abi::Cell::default());
        if says_little && named > 0 && self.rows.len() * stride > MAX_DENSE.max(4 * named) {
            let mut sparse = BTreeMap::new();
            for (class, row) in (0u32..).zip(&self.rows) {
                for (column, cell) in &row.verdicts.named {
                    sparse.insert((PeerClass(class), PortClass(of_column(column))), *cell);
                }
            }
            tables.sparse = Arc::new(sparse);
            return;
        }
        let mut cells = Vec::with_capacity(self.rows.len() * stride);
        for row in &self.rows {
            let start = cells.len();
            cells.resize(start + stride, row.verdicts.other);
            for (column, cell) in &row.verdicts.named {
                cells[start + of_column(column) as usize] = *cell;
            }
        }
        tables.cells = Arc::new(cells);
    }
}
