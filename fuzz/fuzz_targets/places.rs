//! Places in the bodies of requests, where keys stand.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pointsman_core::fuzz::places(data));
