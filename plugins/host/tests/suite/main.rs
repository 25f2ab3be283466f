//! The host against guests of every kind. The guests stand in `tests/guests`; `guests_are_all_met` keeps each of them
//! named by a test.

mod assembly;
mod budgets;
mod compiling;
mod contract;
mod guest;
mod hostile;
mod owning;
mod quarantine;
mod readme;
mod refused;
mod setup;
mod workers;

use std::fs;
use std::path::Path;

/// Every guest is met by a test: a hostile guest that nobody runs proves nothing.
#[test]
fn guests_are_all_met() {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    let tests: String = fs::read_dir(suite)
        .expect("the suite")
        .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("a test"))
        .collect();
    for entry in fs::read_dir(guest::folder()).expect("the guests") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(tests.contains(&format!("\"{name}\"")), "no test names the guest {name}");
    }
}
