//! What the fuzzer throws files at (docs/hardening.md), and what must hold whatever they hold. Compiled for tests and for the
//! fuzzer only.

use std::path::Path;

#[cfg(test)]
mod hostile;

/// The bytes of a configuration file: an answer, never a panic, and problems that can be shown.
pub fn yaml(data: &[u8]) {
    survives(&String::from_utf8_lossy(data));
}

/// Parses, and renders what comes out. Returns whether it was a plan.
fn survives(text: &str) -> bool {
    let long = |name: &str| name.starts_with('L').then(|| "x".repeat(100_000));
    match crate::parse(text, Path::new("etc/hostile.yaml"), &long, &["round-robin", "customer-modulo"]) {
        Ok(plan) => {
            assert!(serde_json::to_string(&plan).is_ok());
            true
        }
        Err(problems) => {
            assert!(!problems.list.is_empty() && problems.list.len() <= 100);
            let shown = problems.render(true);
            assert!(shown.len() < 400 * 1024, "{} bytes for the reader", shown.len());
            let plain = problems.render(false);
            assert!(!plain.contains('\x1b'), "the file reaches the terminal: {plain:?}");
            false
        }
    }
}

#[cfg(test)]
#[path = "../../fuzz/replay.rs"]
mod replay;

#[test]
fn what_was_found_in_files_stays_found() {
    replay::replay("yaml", yaml);
}
