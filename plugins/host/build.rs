//! Lists the built-in policies: every component under `policies/dist` becomes one entry of a table of name and bytes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let dist = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../policies/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    let table = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("builtins.rs");
    fs::write(table, render(&components(&dist)?))
}

/// The components in a folder, sorted by name. No folder means none: a checkout whose policies are not built yet.
fn components(dist: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(dist) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "wasm") {
            let name = path.file_stem().expect("it has an extension").to_string_lossy().into_owned();
            println!("cargo::rerun-if-changed={}", path.display());
            found.push((name, path.canonicalize()?));
        }
    }
    found.sort();
    Ok(found)
}

fn render(components: &[(String, PathBuf)]) -> String {
    let mut out = String::from("&[\n");
    for (name, path) in components {
        writeln!(out, "    ({name:?}, include_bytes!({:?})),", path.display().to_string())
            .expect("a String takes everything");
    }
    out.push(']');
    out
}
