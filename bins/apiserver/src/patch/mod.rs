//! Patches: merge (RFC 7386), strategic merge, and server-side apply with its managed fields.

pub(crate) mod apply;
pub(crate) mod fieldset;
pub(crate) mod managed;
pub(crate) mod merge;
pub(crate) mod strategic;
