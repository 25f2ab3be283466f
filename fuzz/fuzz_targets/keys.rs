//! Rules for keys, and the requests that they are applied to.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pointsman_lane::fuzz::keys(data));
