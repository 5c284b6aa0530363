//! Ports by the rules that name them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::port::Protocol;

/// Ports of one protocol, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) protocol: Protocol,
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl Span {
    pub(crate) const fn new(protocol: Protocol, first: u16, last: u16) -> Self {
        Self { protocol, first, last }
    }

    const fn is_all(&self) -> bool {
        self.first == 0 && self.last == u16::MAX
    }
}

/// Ports that the same atoms name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interval {
    pub(crate) span: Span,
    pub(crate) column: u32,
}

/// Columns: sets of atoms, each the set of those that name some port. Column 0 is that of protocols without ports.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    /// The intervals between the ends of spans, in order. Ports outside are in the protocol's other column.
    pub(crate) intervals: Vec<Interval>,
    /// For each protocol of [`Protocol::ALL`], the column of the ports that no span names but by "all".
    pub(crate) other: [u32; Protocol::ALL.len()],
    /// The atoms of each column, without those for all ports of all protocols.
    columns: Vec<Vec<u32>>,
    /// The columns of each atom; none for those for all ports of all protocols.
    of_atom: Vec<Option<Vec<u32>>>,
    for_all: Vec<u32>,
}

impl Columns {
    pub(crate) fn of<'a>(atoms: impl Iterator<Item = Option<&'a BTreeSet<Span>>>) -> Self {
        let (mut of_atom, mut for_all) = (Vec::new(), Vec::new());
        let mut by_span: BTreeMap<Span, Vec<u32>> = BTreeMap::new();
        for (number, spans) in (0u32..).zip(atoms) {
            of_atom.push(spans.map(|_| Vec::new()));
            if spans.is_none() {
                for_all.push(number);
            }
            for span in spans.into_iter().flatten() {
                by_span.entry(*span).or_default().push(number);
            }
        }
        let mut columns = Self {
            intervals: Vec::new(),
            other: [0; Protocol::ALL.len()],
            columns: Vec::new(),
            of_atom,
            for_all,
        };
        let mut numbers: HashMap<Vec<u32>, u32> = HashMap::new();
        columns.number(Vec::new(), &mut numbers);
        for (index, protocol) in Protocol::ALL.into_iter().enumerate() {
            let spans: Vec<(Span, &[u32])> = by_span
                .iter()
                .filter(|(span, _)| span.protocol == protocol)
                .map(|(span, atoms)| (*span, atoms.as_slice()))
                .collect();
            columns.sweep(index, protocol, &spans, &mut numbers);
        }
        for (column, atoms) in (0u32..).zip(&columns.columns) {
            for atom in atoms {
                if let Some(of_atom) = &mut columns.of_atom[*atom as usize] {
                    of_atom.push(column);
                }
            }
        }
        columns
    }

    fn number(&mut self, atoms: Vec<u32>, numbers: &mut HashMap<Vec<u32>, u32>) -> u32 {
        *numbers.entry(atoms).or_insert_with_key(|atoms| {
            self.columns.push(atoms.clone());
            self.columns.len() as u32 - 1
        })
    }

    /// Walks a protocol's ports upwards, with the spans that begin and end on the way.
    fn sweep(
        &mut self,
        index: usize,
        protocol: Protocol,
        spans: &[(Span, &[u32])],
        numbers: &mut HashMap<Vec<u32>, u32>,
    ) {
        let collect = |active: &BTreeSet<usize>| {
            let mut atoms: Vec<u32> = active.iter().flat_map(|span| spans[*span].1).copied().collect();
            atoms.sort_unstable();
            atoms.dedup();
            atoms
        };
        // A port at which spans begin, and the one after their last, at which they end.
        let mut turns: BTreeMap<u32, Vec<(bool, usize)>> = BTreeMap::new();
        let mut active: BTreeSet<usize> = BTreeSet::new();
        for (number, (span, _)) in spans.iter().enumerate() {
            if span.is_all() {
                active.insert(number);
            } else {
                turns.entry(u32::from(span.first)).or_default().push((true, number));
                turns.entry(u32::from(span.last) + 1).or_default().push((false, number));
            }
        }
        let others = active.len();
        self.other[index] = self.number(collect(&active), numbers);
        let ends: Vec<u32> = turns.keys().copied().skip(1).collect();
        for ((start, turns), end) in turns.iter().zip(ends) {
            for (begins, number) in turns {
                if *begins {
                    active.insert(*number);
                } else {
                    active.remove(number);
                }
            }
            if active.len() > others {
                let column = self.number(collect(&active), numbers);
                let span = Span::new(protocol, *start as u16, (end - 1) as u16);
                self.intervals.push(Interval { span, column });
            }
        }
    }

    /// The number of columns.
    pub(crate) const fn len(&self) -> usize {
        self.columns.len()
    }

    /// The columns that an atom is in; none where it is in all of them.
    pub(crate) fn of_atom(&self, atom: usize) -> Option<&[u32]> {
        self.of_atom[atom].as_deref()
    }

    /// The atoms of a column.
    pub(crate) fn atoms(&self, column: u32) -> impl Iterator<Item = usize> + '_ {
        self.columns[column as usize].iter().chain(&self.for_all).map(|atom| *atom as usize)
    }
}
