//! Types and definitions, against themselves and against real API servers.

mod definitions;
mod types;
