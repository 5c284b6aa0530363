//! Whether the engine says what the oracle says: of a cluster that is built from scratch ([`fresh`]), and of one that
//! lives through changes ([`sequence`]).

mod change;
mod cluster;
mod compare;
mod facts;
pub mod fresh;
pub mod sequence;
mod tally;

pub use change::{Change, change};
pub use compare::Failure;
pub use tally::Tally;
