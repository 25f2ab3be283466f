//! Heads and bodies of requests and responses, as the express lane reads and writes them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pointsman_lane::fuzz::heads(data));
