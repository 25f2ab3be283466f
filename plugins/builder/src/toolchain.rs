//! Which compiler builds for Wasm: rustup's target where it can be had, Debian's compiler otherwise.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{BuildError, Options};

/// The target of policies: no system interface at all, so nothing to import.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// A compiler for Wasm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolchain {
    /// The one in use, with rustup's target beside it.
    Rustup,
    /// Debian's `rustc-web`, with the standard library built from `rust-web-src`.
    Debian,
}

impl Toolchain {
    /// Its name in `POINTSMAN_WASM_TOOLCHAIN`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Debian => "debian",
        }
    }

    fn from_name(name: &str) -> Result<Self, BuildError> {
        match name {
            "rustup" => Ok(Self::Rustup),
            "debian" => Ok(Self::Debian),
            _ => Err(BuildError::Toolchain(format!(
                "POINTSMAN_WASM_TOOLCHAIN is {name:?}; it may be `rustup` or `debian`"
            ))),
        }
    }

    /// The toolchain to use, installed if need be: the one that was asked for, else the first that works.
    pub fn ready(options: &Options) -> Result<Self, BuildError> {
        let asked = match (options.toolchain, std::env::var("POINTSMAN_WASM_TOOLCHAIN")) {
            (Some(toolchain), _) => Some(toolchain),
            (None, Ok(name)) if !name.is_empty() => Some(Self::from_name(&name)?),
            (None, _) => None,
        };
        match asked {
            Some(Self::Rustup) => rustup(options).map(|()| Self::Rustup).map_err(BuildError::Toolchain),
            Some(Self::Debian) => debian(options).map(|()| Self::Debian).map_err(BuildError::Toolchain),
            None => rustup(options).map(|()| Self::Rustup).or_else(|first| {
                debian(options).map(|()| Self::Debian).map_err(|second| {
                    BuildError::Toolchain(format!("with rustup: {first}; with Debian's packages: {second}"))
                })
            }),
        }
    }

    /// What it changes in cargo's command line and environment.
    pub(crate) fn apply(self, cargo: &mut Command) -> Result<(), BuildError> {
        if self == Self::Debian {
            let linker = linker().map_err(BuildError::Toolchain)?;
            cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            cargo.args(["-Zbuild-std=std,panic_abort"]);
        }
        Ok(())
    }
}

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// Makes sure that rustup's target is there.
fn rustup(options: &Options) -> Result<(), String> {
    if target_installed() {
        return Ok(());
    }
    options.say(&format!("installing the target: rustup target add {TARGET}"));
    output("rustup", &["target", "add", TARGET])?;
    if target_installed() { Ok(()) } else { Err(format!("`rustup target add {TARGET}` left no target behind")) }
}

fn target_installed() -> bool {
    let folder = output("rustc", &["--print", "target-libdir", "--target", TARGET]);
    let entries = folder.ok().and_then(|folder| std::fs::read_dir(folder).ok());
    entries.is_some_and(|mut entries| {
        entries.any(|e| e.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("libstd-")))
    })
}

/// Makes sure that Debian's compiler, its sources and a linker are there.
fn debian(options: &Options) -> Result<(), String> {
    linker()?;
    if debian_installed() {
        return Ok(());
    }
    let root = output("id", &["-u"])? == "0";
    let (program, before): (&str, &[&str]) = if root { ("apt-get", &[]) } else { ("sudo", &["-n", "apt-get"]) };
    options.say("installing Debian's compiler: apt-get install rustc-web rust-web-src");
    let install = [before, &["install", "-y", "-q"], &DEBIAN_PACKAGES].concat();
    if output(program, &install).is_err() {
        // The lists of packages may be old or absent.
        output(program, &[before, &["update", "-q"]].concat())?;
        output(program, &install).map_err(|cause| format!("{cause}; install rustc-web and rust-web-src by hand"))?;
    }
    if debian_installed() { Ok(()) } else { Err("rustc-web and rust-web-src are installed but not usable".to_owned()) }
}

fn debian_installed() -> bool {
    let sysroot = output(DEBIAN_RUSTC, &["--print", "sysroot"]);
    sysroot.is_ok_and(|sysroot| Path::new(&sysroot).join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file())
}

/// rustup's `rust-lld`. Debian's `wasm-ld` by that name does not link here: rustc wants the flavour in the name.
fn linker() -> Result<PathBuf, String> {
    let sysroot = output("rustc", &["--print", "sysroot"])?;
    let host = output("rustc", &["-vV"])?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
    let linker = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/rust-lld");
    if linker.is_file() { Ok(linker) } else { Err(format!("there is no linker {}", linker.display())) }
}

/// What a command prints, without the line end; what it complained of, when it fails.
fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let command = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program).args(arguments).output().map_err(|cause| format!("`{command}`: {cause}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let complaint = text(&output.stderr);
    Err(format!("`{command}`: {}", complaint.lines().last().unwrap_or("it failed")))
}
