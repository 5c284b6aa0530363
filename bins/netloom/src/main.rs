//! Netloom's command line.

fn main() {}
