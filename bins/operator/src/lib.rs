//! Netloom's cluster operator, as a library.
