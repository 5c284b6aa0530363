//! See `netloom_fuzz_cases::policies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| netloom_fuzz_cases::policies(input));
