//! Builds policy crates into WebAssembly components, and keeps `policies/dist` honest.
//!
//! `policies/dist/*.wasm` is tracked, so that building the proxy needs no Wasm target. Beside the components stands a
//! digest of the sources each was built from ([`digest`]); [`stale`] compares, and a test fails when they differ.

pub mod compile;
pub mod component;
pub mod digest;
pub mod toolchain;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use toolchain::Toolchain;

/// Why a build failed. The text names the file or command, the cause, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file could not be read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {cause}", path.display())]
    Content {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A command could not be started, or failed.
    #[error("`{command}` failed: {cause}")]
    Command {
        /// As one would type it.
        command: String,
        /// What it, or the system, said.
        cause: String,
    },
    /// There is no toolchain for Wasm on this machine, and none could be installed.
    #[error("no toolchain can build for wasm32-unknown-unknown: {0}")]
    Toolchain(String),
    /// The module is no component of the policy contract.
    #[error("{name}: {cause}")]
    Component {
        /// The policy.
        name: String,
        /// What is wrong with it.
        cause: String,
    },
}

impl BuildError {
    pub(crate) fn file(path: &Path, cause: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), cause }
    }
}

/// How to build.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of the workspace: `plugins/wit` and `plugins/sdk` are found from here.
    pub root: PathBuf,
    /// Which toolchain; `None`: what `POINTSMAN_WASM_TOOLCHAIN` says, else whichever works.
    pub toolchain: Option<Toolchain>,
    /// Whether to build what is not stale, too.
    pub force: bool,
    /// Whether to say on standard error what goes on.
    pub progress: bool,
}

impl Options {
    /// The defaults, for the workspace that holds a folder.
    pub fn find(from: &Path) -> Result<Self, BuildError> {
        let from = fs::canonicalize(from).map_err(|cause| BuildError::file(from, cause))?;
        let root = from.ancestors().find(|folder| folder.join("plugins/wit/policy.wit").is_file());
        let root = root.ok_or_else(|| BuildError::Content {
            path: from.clone(),
            cause: "no folder above it holds plugins/wit/policy.wit; run this inside the repository".to_owned(),
        })?;
        Ok(Self { root: root.to_owned(), toolchain: None, force: false, progress: false })
    }

    pub(crate) fn say(&self, text: &str) {
        if self.progress {
            eprintln!("policy-build: {text}");
        }
    }
}

/// What stands in `digests.json` for one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// SHA-256 of the sources it was built from, in hex.
    pub sources: String,
    /// SHA-256 of the component, in hex.
    pub component: String,
    /// Size of the component.
    pub bytes: u64,
}

/// One policy crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyCrate {
    /// The crate's name, which is the policy's.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
}

/// A policy after [`build`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The policy's name.
    pub name: String,
    /// Where the component is.
    pub file: PathBuf,
    /// Size of the component.
    pub bytes: u64,
    /// Whether it was built now; false: it was fresh.
    pub rebuilt: bool,
}

/// Every policy crate of a folder, by name.
pub fn crates(policies: &Path) -> Result<Vec<PolicyCrate>, BuildError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(policies).map_err(|cause| BuildError::file(policies, cause))? {
        let folder = entry.map_err(|cause| BuildError::file(policies, cause))?.path();
        let manifest = folder.join("Cargo.toml");
        if manifest.is_file() {
            found.push(PolicyCrate { name: digest::package_name(&manifest)?, folder });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Builds the policies of a folder into `out`, those that are stale or all with `force`, and writes `digests.json`.
pub fn build(policies: &Path, out: &Path, options: &Options) -> Result<Vec<Built>, BuildError> {
    let all = crates(policies)?;
    build_crates(&all, out, options)
}

/// Builds these policies into `out`, those that are stale or all with `force`, and updates `digests.json`.
pub fn build_crates(all: &[PolicyCrate], out: &Path, options: &Options) -> Result<Vec<Built>, BuildError> {
    fs::create_dir_all(out).map_err(|cause| BuildError::file(out, cause))?;
    let mut records = read_records(out)?;
    let mut due = Vec::new();
    let mut sources = BTreeMap::new();
    for policy in all {
        let digest = digest::of_sources(&policy.folder, &options.root)?;
        if options.force || verify(policy, &digest, &records, out).is_some() {
            due.push(policy.clone());
        }
        sources.insert(policy.name.clone(), digest);
    }
    for (name, module) in compile::modules(&due, options)? {
        let component = component::encode(&name, &module)?;
        let path = out.join(format!("{name}.wasm"));
        fs::write(&path, &component).map_err(|cause| BuildError::file(&path, cause))?;
        let record = Record {
            sources: sources[&name].clone(),
            component: digest::of_bytes(&component),
            bytes: component.len() as u64,
        };
        records.insert(name, record);
    }
    write_records(out, &records)?;
    let built = |policy: &PolicyCrate| Built {
        name: policy.name.clone(),
        file: out.join(format!("{}.wasm", policy.name)),
        bytes: records[&policy.name].bytes,
        rebuilt: due.contains(policy),
    };
    Ok(all.iter().map(built).collect())
}

/// Builds the crate in a folder, a policy or a guest of a test, and answers the component. Nothing is written but
/// cargo's own target folder.
pub fn build_crate(folder: &Path, options: &Options) -> Result<Vec<u8>, BuildError> {
    let folder = fs::canonicalize(folder).map_err(|cause| BuildError::file(folder, cause))?;
    let name = digest::package_name(&folder.join("Cargo.toml"))?;
    let module = compile::module(&PolicyCrate { name: name.clone(), folder }, options)?;
    component::encode(&name, &module)
}

/// What in `out` does not fit the sources in `policies`, one sentence each; empty when all is fresh.
pub fn stale(policies: &Path, out: &Path, root: &Path) -> Result<Vec<String>, BuildError> {
    let records = read_records(out)?;
    let all = crates(policies)?;
    let mut problems = Vec::new();
    for policy in &all {
        problems.extend(verify(policy, &digest::of_sources(&policy.folder, root)?, &records, out));
    }
    let gone = records.keys().filter(|name| all.iter().all(|policy| policy.name != **name));
    problems.extend(gone.map(|name| format!("{name}: digests.json names it, but no policy crate does")));
    Ok(problems)
}

/// What is wrong with the component of a policy, if anything.
fn verify(policy: &PolicyCrate, sources: &str, records: &BTreeMap<String, Record>, out: &Path) -> Option<String> {
    let name = &policy.name;
    let Some(record) = records.get(name) else { return Some(format!("{name}: it was never built")) };
    if record.sources != *sources {
        return Some(format!("{name}: its sources changed since {name}.wasm was built"));
    }
    match fs::read(out.join(format!("{name}.wasm"))) {
        Err(cause) => Some(format!("{name}: {name}.wasm cannot be read: {cause}")),
        Ok(bytes) if digest::of_bytes(&bytes) != record.component => {
            Some(format!("{name}: {name}.wasm is not the file that was built"))
        }
        Ok(_) => None,
    }
}

fn read_records(out: &Path) -> Result<BTreeMap<String, Record>, BuildError> {
    let path = out.join("digests.json");
    match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)
            .map_err(|cause| BuildError::Content { path, cause: format!("{cause}; delete it and build again") }),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(cause) => Err(BuildError::file(&path, cause)),
    }
}

fn write_records(out: &Path, records: &BTreeMap<String, Record>) -> Result<(), BuildError> {
    let path = out.join("digests.json");
    let mut text = serde_json::to_string_pretty(records).expect("strings and numbers are JSON");
    text.push('\n');
    fs::write(&path, text).map_err(|cause| BuildError::file(&path, cause))
}
