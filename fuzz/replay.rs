//! Runs what the fuzzer has kept through the function that it was kept for. Every crate that is fuzzed compiles this file
//! into its tests, so that what was found stays found.

/// Calls `entry` with each input of `fuzz/corpus/NAME`.
pub(super) fn replay(name: &str, entry: fn(&[u8])) {
    // Crates stand at different depths; the corpora at one.
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = here.ancestors().map(|above| above.join("fuzz/corpus")).find(|folder| folder.is_dir());
    let folder = folder.expect("fuzz/corpus").join(name);
    let mut inputs = 0;
    for input in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = input.expect("an entry").path();
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // A panic alone would not say which input it was.
        let outcome = std::panic::catch_unwind(|| entry(&bytes));
        assert!(outcome.is_ok(), "{}: see the panic above", path.display());
        inputs += 1;
    }
    assert!(inputs > 0, "{} holds no input", folder.display());
}
