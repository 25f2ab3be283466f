//! What the guard lets through to pingora.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pointsman::serve::fuzz::guard(data));
