//! Netloom's CNI plugin.

fn main() {}
