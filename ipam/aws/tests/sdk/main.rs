//! The client against the emulator, and against servers that give credentials.
//!
//! The SDK takes what it needs from the environment, which a process has but one of: each test runs in a process of its
//! own, with nothing but the variables that it names.

mod contract;
mod credentials;
mod environment;
mod recorder;
