//! Exit codes, documented in README.md.

/// All went well.
pub const OK: u8 = 0;
/// Something failed while running.
pub const FAILED: u8 = 1;
/// The command line is wrong (clap's own code).
pub const USAGE: u8 = 2;
/// The configuration or a policy is wrong; every problem was shown.
pub const CONFIG: u8 = 3;
/// An address could not be listened on.
pub const ADDRESS: u8 = 4;
