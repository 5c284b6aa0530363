//! Probes, and the answers of every engine.

mod probes;
mod random;
mod support;
