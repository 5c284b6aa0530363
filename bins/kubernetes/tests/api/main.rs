//! Against API servers: the embedded one, and real ones where there are some.

mod definitions;
mod install;
mod rbac;
mod render;
