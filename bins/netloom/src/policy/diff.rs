//! `netloom policy diff`.
