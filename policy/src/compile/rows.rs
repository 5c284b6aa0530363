//! Peers by the atoms that name them, and what these say of each column.

use std::collections::BTreeMap;

use abi::Cell;
use roaring::RoaringBitmap;

use super::atom::Atom;
use super::columns::Columns;
use crate::l7::Proxy;
use crate::verdict::Opinions;

/// Peers by the atoms that name them.
pub(super) struct Rows {
    /// The row of each slot. Row 0 is named by no atom.
    pub(super) of_slot: Vec<u32>,
    /// Each row has the atoms of another one, and one more.
    parents: Vec<(u32, u32)>,
}

impl Rows {
    pub(super) fn of(peers: &[Option<RoaringBitmap>], slots: usize) -> Self {
        let mut rows = Self { of_slot: vec![0; slots], parents: vec![(0, 0)] };
        // For each row, the row that the latest atom made of it.
        let mut split: Vec<u32> = vec![0];
        for (number, peers) in (0u32..).zip(peers) {
            let before = rows.parents.len() as u32;
            for slot in peers.iter().flatten() {
                let row = &mut rows.of_slot[slot as usize];
                let mut half = split[*row as usize];
                if half < before {
                    half = rows.parents.len() as u32;
                    split[*row as usize] = half;
                    split.push(0);
                    rows.parents.push((*row, number));
                }
                *row = half;
            }
        }
        rows
    }

    /// How many rows there are.
    pub(super) const fn len(&self) -> usize {
        self.parents.len()
    }

    /// The atoms that name the peers of a row, besides those for everyone.
    pub(super) fn atoms(&self, row: u32) -> impl Iterator<Item = u32> + '_ {
        let mut next = row;
        std::iter::from_fn(move || {
            let (parent, atom) = self.parents[next as usize];
            (next != 0).then(|| {
                next = parent;
                atom
            })
        })
    }
}

/// A row's verdicts: that of column 0, and those of the columns where it differs, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Verdicts {
    pub(super) other: Cell,
    pub(super) named: Vec<(u32, Cell)>,
}

impl Verdicts {
    /// The verdicts of a row that these atoms name.
    pub(super) fn of(
        naming: impl IntoIterator<Item = u32>,
        atoms: &[Atom],
        columns: &Columns,
        closed: bool,
        proxies: &[Proxy],
    ) -> Self {
        let mut everywhere = Opinions::default();
        let mut somewhere: BTreeMap<u32, Opinions> = BTreeMap::new();
        for number in naming {
            let opinion = atoms[number as usize].opinion.into();
            match columns.of_atom(number as usize) {
                None => everywhere.merge(&opinion),
                Some(of_atom) => {
                    for column in of_atom {
                        somewhere.entry(*column).or_default().merge(&opinion);
                    }
                }
            }
        }
        let number = |proxy| proxies.binary_search(&proxy).map_or(0, |at| at as u16 + 1);
        let other = everywhere.cell(closed, number);
        let named = somewhere.into_iter().filter_map(|(column, mut opinions)| {
            opinions.merge(&everywhere);
            let cell = opinions.cell(closed, number);
            (cell != other).then_some((column, cell))
        });
        Self { other, named: named.collect() }
    }
}
