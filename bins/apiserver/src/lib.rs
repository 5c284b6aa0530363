//! A small Kubernetes API server in memory, for labs and tests.
