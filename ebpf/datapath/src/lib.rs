//! Loads, attaches, pins and feeds Netloom's eBPF datapath.
