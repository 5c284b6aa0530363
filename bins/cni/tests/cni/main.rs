//! The built plugin from outside: as a runtime calls it, and under the CNI project's own library.

mod libcni;
mod plugin;
mod support;
