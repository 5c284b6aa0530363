//! `netloom policy convert`.
