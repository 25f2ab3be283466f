//! From crates to core modules, with cargo.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::toolchain::{TARGET, Toolchain};
use crate::{BuildError, Options, PolicyCrate};

/// The release profile of a policy, whatever the workspace says. `panic = "abort"` and `lto` keep out what unwinds and
/// formats; names and debug sections would be most of the file.
const PROFILE: [&str; 6] = [
    "profile.release.opt-level=3",
    "profile.release.lto=\"fat\"",
    "profile.release.codegen-units=1",
    "profile.release.panic=\"abort\"",
    "profile.release.strip=true",
    "profile.release.debug=false",
];

/// 128 KiB of stack instead of 1 MiB: an instance stands in memory once a worker and service. It lies below the data,
/// so running over it traps.
const STACK: &str = "link-arg=-zstack-size=131072";

/// Vectors of four, for policies that look through a list of loads. Part of the core specification since 2.0.
const SIMD: &str = "-Ctarget-feature=+simd128";

/// The flags that decide what comes out, as part of the digest.
pub(crate) fn recipe() -> String {
    format!("{} {STACK} {SIMD}", PROFILE.join(" "))
}

/// Builds crates of the workspace together. Modules by crate name.
pub fn modules(crates: &[PolicyCrate], options: &Options) -> Result<BTreeMap<String, Vec<u8>>, BuildError> {
    if crates.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names = crates.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>();
    let packages = names.iter().flat_map(|name| ["-p", name]).map(OsString::from).collect::<Vec<_>>();
    let artifacts = cargo(&options.root, &packages, &names.join(", "), options)?;
    crates.iter().map(|policy| Ok((policy.name.clone(), take(&artifacts, policy)?))).collect()
}

/// Builds one crate, of the workspace or of its own.
pub fn module(policy: &PolicyCrate, options: &Options) -> Result<Vec<u8>, BuildError> {
    let artifacts = cargo(&policy.folder, &[], &policy.name, options)?;
    take(&artifacts, policy)
}

fn take(artifacts: &BTreeMap<PathBuf, PathBuf>, policy: &PolicyCrate) -> Result<Vec<u8>, BuildError> {
    let manifest = policy.folder.join("Cargo.toml");
    let manifest = fs::canonicalize(&manifest).map_err(|cause| BuildError::file(&manifest, cause))?;
    let module = artifacts.get(&manifest).ok_or_else(|| BuildError::Content {
        path: manifest.clone(),
        cause: "cargo built no module of it; it needs `[lib] crate-type = [\"cdylib\", \"rlib\"]`".to_owned(),
    })?;
    fs::read(module).map_err(|cause| BuildError::file(module, cause))
}

/// Runs cargo in a folder. Answers the modules it made, by the manifest they were made of.
fn cargo(
    folder: &Path,
    packages: &[OsString],
    what: &str,
    options: &Options,
) -> Result<BTreeMap<PathBuf, PathBuf>, BuildError> {
    let toolchain = Toolchain::ready(options)?;
    options.say(&format!("building {what} with {}'s toolchain", toolchain.name()));
    let started = Instant::now();
    let mut command = command(folder, toolchain, options)?;
    command.args(packages);
    let shown = format!("cargo build --target {TARGET} ... ({what})");
    let output =
        command.output().map_err(|cause| BuildError::Command { command: shown.clone(), cause: cause.to_string() })?;
    if !output.status.success() {
        let cause = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(BuildError::Command { command: shown, cause });
    }
    options.say(&format!("built in {:.1} s", started.elapsed().as_secs_f64()));
    let lines = output.stdout.split(|&byte| byte == b'\n');
    Ok(lines.filter_map(|line| artifact(&serde_json::from_slice(line).ok()?)).collect())
}

/// The command, but for the packages.
fn command(folder: &Path, toolchain: Toolchain, options: &Options) -> Result<Command, BuildError> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder).stdin(Stdio::null());
    if options.progress {
        // What cargo says of its progress goes to the terminal as it comes; only its messages are read here.
        cargo.stderr(Stdio::inherit());
    }
    for inherited in ["RUSTFLAGS", "RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(inherited);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(folder, options));
    cargo.args(["build", "--release", "--lib", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    cargo.args(PROFILE.iter().flat_map(|setting| ["--config", setting]));
    // A folder of its own: cargo holds a lock on the usual one while it runs whoever called us.
    cargo.arg("--target-dir").arg(options.root.join("target/wasm").join(toolchain.name()));
    toolchain.apply(&mut cargo)?;
    Ok(cargo)
}

/// Compiler flags. Paths of this machine stand in panic messages unless they are mapped to something that is the same
/// everywhere.
fn flags(folder: &Path, options: &Options) -> OsString {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let mut flags = OsString::from("-C");
    let mut push = |text: &str| {
        flags.push("\u{1f}");
        flags.push(text);
    };
    push(STACK);
    push(SIMD);
    for (path, name) in [(cargo_home.as_path(), "cargo"), (folder, "policy"), (options.root.as_path(), "pointsman")] {
        push(&format!("--remap-path-prefix={}={name}", path.display()));
    }
    flags
}

/// The manifest and the module that one of cargo's messages tells of, if it does.
fn artifact(message: &Value) -> Option<(PathBuf, PathBuf)> {
    let library = message["target"]["crate_types"].as_array()?.iter().any(|kind| kind == "cdylib");
    let mut files = message["filenames"].as_array()?.iter().filter_map(Value::as_str).map(PathBuf::from);
    let module = files.find(|file| library && file.extension().is_some_and(|extension| extension == "wasm"))?;
    Some((PathBuf::from(message["manifest_path"].as_str()?), module))
}
