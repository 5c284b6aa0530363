//! From rules to tables.
//!
//! Rules are cut into atoms: a set of peers times a set of ports, and an opinion. Peers that the same atoms
//! name make one row, ports that the same atoms name one column. Rows that turn out alike are then merged, and so
//! are columns. Peers that come later find their row's class, or make a new one.

mod atom;
mod columns;
mod compiled;
mod live;
mod rows;

pub use compiled::Compiled;
pub(crate) use live::Live;
