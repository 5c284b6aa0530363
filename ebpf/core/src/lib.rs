//! The datapath's decisions, generic over its tables: the same source runs in the kernel and in tests.
