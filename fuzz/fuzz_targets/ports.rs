//! See `netloom_fuzz_cases::ports`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| netloom_fuzz_cases::ports(input));
