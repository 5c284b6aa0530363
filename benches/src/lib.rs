//! Benchmarks of the datapath.
