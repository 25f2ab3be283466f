//! `policy-build`: builds policy crates into components.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use pointsman_builder::{BuildError, Options, PolicyCrate, build_crate, build_crates, crates, stale};

/// Builds routing policies from source into WebAssembly components.
#[derive(Parser)]
#[command(
    name = "policy-build",
    after_help = "\
Examples:
  policy-build --all                      build what is stale under policies/ into policies/dist/
  policy-build --all --force              build everything anew
  policy-build round-robin                build one of the policies under policies/
  policy-build --check                    say what is stale; exit with 1 if anything is
  policy-build --crate ../mine -o mine.wasm   build a crate of your own

The compiler is rustup's (`rustup target add wasm32-unknown-unknown` is run if need be)
or, where rustup cannot reach its server, Debian's (rustc-web and rust-web-src).
POINTSMAN_WASM_TOOLCHAIN=rustup or =debian picks one."
)]
struct Arguments {
    /// Policies under policies/ to build.
    names: Vec<String>,
    /// Every policy under policies/.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Also what is not stale.
    #[arg(long)]
    force: bool,
    /// Build nothing: say what is stale.
    #[arg(long, conflicts_with_all = ["names", "all", "folder"])]
    check: bool,
    /// A crate of your own, by its folder.
    #[arg(long = "crate", value_name = "FOLDER", requires = "out", conflicts_with_all = ["names", "all"])]
    folder: Option<PathBuf>,
    /// Where to write: a folder (default policies/dist), or with --crate a file.
    #[arg(short, long, value_name = "PATH")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("policy-build: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, BuildError> {
    let here = std::env::current_dir().map_err(|cause| BuildError::File { path: ".".into(), cause })?;
    let options = Options { force: arguments.force, progress: true, ..Options::find(&here)? };
    let policies = options.root.join("policies");
    if let (Some(folder), Some(out)) = (&arguments.folder, &arguments.out) {
        let component = build_crate(folder, &options)?;
        std::fs::write(out, &component).map_err(|cause| BuildError::File { path: out.clone(), cause })?;
        println!("{} {} bytes", out.display(), component.len());
        return Ok(ExitCode::SUCCESS);
    }
    let out = arguments.out.clone().unwrap_or_else(|| policies.join("dist"));
    if arguments.check {
        let problems = stale(&policies, &out, &options.root)?;
        for problem in &problems {
            println!("{problem}");
        }
        return Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let chosen = choose(crates(&policies)?, arguments)?;
    for built in build_crates(&chosen, &out, &options)? {
        let note = if built.rebuilt { "built" } else { "fresh" };
        println!("{note} {:24} {:>7} bytes  {}", built.name, built.bytes, built.file.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn choose(all: Vec<PolicyCrate>, arguments: &Arguments) -> Result<Vec<PolicyCrate>, BuildError> {
    let known = all.iter().map(|policy| policy.name.clone()).collect::<Vec<_>>().join(", ");
    if let Some(name) = arguments.names.iter().find(|name| all.iter().all(|policy| policy.name != **name)) {
        let cause = format!("there is no policy {name:?} here; there are: {known}");
        return Err(BuildError::Content { path: "policies".into(), cause });
    }
    if !arguments.all && arguments.names.is_empty() {
        let cause = format!("name policies to build, or say --all; there are: {known}");
        return Err(BuildError::Content { path: "policies".into(), cause });
    }
    Ok(all.into_iter().filter(|policy| arguments.all || arguments.names.contains(&policy.name)).collect())
}
