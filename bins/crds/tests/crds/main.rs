//! Types and definitions, against themselves and against real API servers.

mod types;
