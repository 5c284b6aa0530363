//! The custom resources of `cilium.io`: their types, and their definitions with validation and printer columns.
