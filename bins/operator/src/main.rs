//! Netloom's cluster operator.

fn main() {}
