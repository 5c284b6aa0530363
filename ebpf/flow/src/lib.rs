//! Datapath events decoded to flows.
