//! Netloom's node agent.

fn main() {}
