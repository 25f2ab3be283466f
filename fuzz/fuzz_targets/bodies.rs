//! Bodies that nodes send to the admin API.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pointsman::admin::fuzz::bodies(data));
