//! The runner: what it refuses, what it reports, and the suites that come with it.

mod answers;
mod format;
mod suites;
mod support;
