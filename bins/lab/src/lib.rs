//! A whole cluster on one machine: nodes and pods as network namespaces.
