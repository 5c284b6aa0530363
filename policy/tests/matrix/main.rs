//! Probes, and the answers of every engine.

mod probes;
mod support;
