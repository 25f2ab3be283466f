//! Digests of sources: the same on every machine, whatever its paths and line endings.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::{BuildError, compile};

/// SHA-256 in hex.
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The digest of what a policy is built from: its sources and manifest, the SDK's, the contract, the locked versions
/// of their dependencies and the compiler flags. Tests and the test bench do not count: they are not in the component.
pub fn of_sources(folder: &Path, root: &Path) -> Result<String, BuildError> {
    let sdk = root.join("plugins/sdk");
    let wit = root.join("plugins/wit/policy.wit");
    let mut hash = Sha256::new();
    let mut feed = |label: &str, text: &[u8]| {
        hash.update((label.len() as u64).to_le_bytes());
        hash.update(label);
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    feed("recipe", compile::recipe().as_bytes());
    let mut manifests = String::new();
    for (label, base) in [("policy", folder), ("sdk", sdk.as_path())] {
        let manifest = read(&base.join("Cargo.toml"))?;
        manifests.push_str(&String::from_utf8_lossy(&manifest));
        feed(&format!("{label}/Cargo.toml"), &manifest);
        for (name, path) in sources(&base.join("src"))? {
            feed(&format!("{label}/src/{name}"), &read(&path)?);
        }
    }
    feed("wit", &read(&wit)?);
    let lock = String::from_utf8_lossy(&read(&root.join("Cargo.lock"))?).into_owned();
    feed("locked", locked(&manifests, &lock).as_bytes());
    Ok(hex(&hash.finalize()))
}

/// The name in a manifest's `[package]`.
pub fn package_name(manifest: &Path) -> Result<String, BuildError> {
    let text = fs::read_to_string(manifest).map_err(|cause| BuildError::file(manifest, cause))?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("name")?.trim_start().strip_prefix('=')?.trim().strip_prefix('"'));
    let name = name.and_then(|rest| rest.split('"').next()).map(str::to_owned);
    name.ok_or_else(|| BuildError::Content {
        path: manifest.to_owned(),
        cause: "it has no line `name = \"...\"`".to_owned(),
    })
}

/// Files under a folder that end up in a component, as (name with slashes, path), sorted by name.
fn sources(folder: &Path) -> Result<Vec<(String, PathBuf)>, BuildError> {
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|cause| BuildError::file(&folder, cause))? {
            let entry = entry.map_err(|cause| BuildError::file(&folder, cause))?;
            let file = entry.file_name().to_string_lossy().into_owned();
            if matches!(file.as_str(), "tests" | "tests.rs" | "bench" | "bench.rs") {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                folders.push((format!("{prefix}{file}/"), path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((format!("{prefix}{file}"), path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A file with line endings as on Unix.
fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    let bytes = fs::read(path).map_err(|cause| BuildError::file(path, cause))?;
    let next = bytes.iter().copied().skip(1).map(Some).chain([None]);
    Ok(bytes
        .iter()
        .copied()
        .zip(next)
        .filter(|&(byte, next)| byte != b'\r' || next != Some(b'\n'))
        .map(|(byte, _)| byte)
        .collect())
}

/// `name version` of each locked package that one of the manifests depends on directly.
fn locked(manifests: &str, lock: &str) -> String {
    let value = |line: &str, key: &str| {
        line.strip_prefix(key)?.trim().strip_prefix('=')?.trim().strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
    };
    let mut found = String::new();
    let mut name = None;
    for line in lock.lines() {
        if let Some(next) = value(line, "name") {
            name = Some(next);
        } else if let (Some(version), Some(name)) = (value(line, "version"), name.take()) {
            let depends =
                |manifest: &str| manifest.strip_prefix(&name).is_some_and(|rest| rest.starts_with([' ', '.', '=']));
            if manifests.lines().any(depends) {
                found.extend([name.as_str(), " ", version.as_str(), "\n"]);
            }
        }
    }
    found
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).expect("half a byte is a hex digit");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests;
