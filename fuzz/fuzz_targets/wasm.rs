//! Modules of policies.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pointsman_host::fuzz::wasm(data));
