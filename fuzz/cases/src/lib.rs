//! What Netloom's fuzz targets do with their input.
//!
//! Each target is a plain function that panics where the code under test does, or where it breaks a
//! promise. `fuzz/fuzz_targets` gives them to libFuzzer (with the nightly); `cargo test` replays
//! every input in `fuzz/regressions/<target>/` with them, so that what was found once stays found.
//!
//! ```
//! let (_, packet) = netloom_fuzz_cases::TARGETS[0];
//! packet(b"any bytes at all");
//! ```
//!
//! What this crate does not do: make inputs. See `fuzz/README.md`.

// The tests' own names for it, whose generators and comparisons are used here.
extern crate policy as netloom_policy;

mod cidr;
mod frame;
mod label_filter;
mod manifest;
mod name_pattern;
mod netconf;
mod packet;
mod policies;
mod ports;
mod selector;

pub use cidr::cidr;
pub use frame::frame;
pub use label_filter::label_filter;
pub use manifest::manifest;
pub use name_pattern::name_pattern;
pub use netconf::netconf;
pub use packet::packet;
pub use policies::policies;
pub use ports::ports;
pub use selector::selector;

/// A target: takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("packet", packet),
    ("manifest", manifest),
    ("frame", frame),
    ("netconf", netconf),
    ("selector", selector),
    ("cidr", cidr),
    ("name_pattern", name_pattern),
    ("label_filter", label_filter),
    ("ports", ports),
    ("policies", policies),
];
