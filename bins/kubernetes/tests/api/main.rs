//! Against real API servers.

mod definitions;
mod install;
