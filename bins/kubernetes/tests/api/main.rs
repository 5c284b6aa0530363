//! Against real API servers.

mod definitions;
mod install;
mod rbac;
mod render;
