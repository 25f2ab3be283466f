//! Why a module is not taken, and what to do about it. A tested feature: `tests/suite/refused.rs` holds every text.

use std::time::Duration;

/// A module that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy `{policy}`: {cause}")]
pub struct LoadError {
    /// Name of the policy in the configuration.
    pub policy: String,
    /// What is wrong with it.
    pub cause: LoadCause,
}

/// What is wrong with a module. Each text ends in what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadCause {
    /// Larger than the host takes.
    #[error(
        "it has {bytes} bytes, more than the {cap} that are taken; build it with optimisation for size and without debug information (`strip = true`)"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The cap.
        cap: usize,
    },
    /// An empty file.
    #[error("the file is empty; was it read while it was still being written? Write beside it and rename")]
    Empty,
    /// WebAssembly in its text form.
    #[error("it is WebAssembly text; assemble it first: `wasm-tools parse policy.wat -o policy.wasm`")]
    Text,
    /// Something else.
    #[error("it is not WebAssembly (it starts with {0}, not with `\\0asm`); name the .wasm file that the build wrote")]
    NotWasm(String),
    /// A core module.
    #[error(
        "it is a core module, not a component; componentize it: `wasm-tools component new policy.wasm -o policy.component.wasm`, or build it the way policies/README.md shows"
    )]
    CoreModule,
    /// A version of the component encoding that this wasmtime does not read.
    #[error("its binary encoding has version {0:#x}, which this proxy does not read; rebuild it with current tools")]
    Encoding(u32),
    /// wasmtime refuses it.
    #[error(
        "it is damaged, or uses a feature of WebAssembly that policies are not given: {0}; rebuild it, without threads, 64-bit memory and garbage-collected types"
    )]
    Invalid(String),
    /// Compiling takes too long.
    #[error("compiling it took longer than {}; make it smaller, or split its largest function", seconds(.0))]
    Slow(Duration),
    /// An earlier one is still being compiled.
    #[error("an earlier module has been compiling for longer than {}; load this one again once that has ended", seconds(.0))]
    Busy(Duration),
    /// It wants a system.
    #[error("it imports WASI ({}), and a policy imports nothing; build for wasm32-unknown-unknown instead of wasm32-wasip1 or wasm32-wasip2, or turn off what needs a system (JavaScript: `componentize --disable all`)", list(.0))]
    Wasi(Vec<String>),
    /// It wants something else.
    #[error("it imports {}, and a policy imports nothing: all it may know comes as an argument; take the imports out", list(.0))]
    Imports(Vec<String>),
    /// It is a component of another kind.
    #[error("it is a component but not a policy: it does not export `{}`{}; build it against plugins/wit/policy.wit, world `policy`", crate::contract::CONTRACT, exports(.0))]
    WrongWorld(Vec<String>),
    /// Built against a contract that is no longer spoken.
    #[error(
        "it was built against version {found} of the policy contract, and this proxy speaks {}; rebuild it with the current SDK",
        crate::contract::VERSION
    )]
    Older {
        /// The version it exports.
        found: String,
    },
    /// Built against a contract that is not yet spoken.
    #[error("it was built against version {found} of the policy contract, and this proxy speaks {}; upgrade the proxy, or rebuild the policy with an SDK of {}.{}", crate::contract::VERSION, crate::contract::VERSION.major, crate::contract::VERSION.minor)]
    Newer {
        /// The version it exports.
        found: String,
    },
    /// The right name, other types.
    #[error(
        "its exports do not have the types of version {version} of the policy contract ({0}); rebuild it with the current SDK",
        version = crate::contract::VERSION
    )]
    Mismatch(String),
    /// It wants more memory than it may have before it does anything.
    #[error(
        "it needs {needs} bytes of memory to start, and `memory:` grants {granted}; raise `memory:`, or build it with a smaller initial memory or stack"
    )]
    Memory {
        /// What it declares.
        needs: u64,
        /// What it may have.
        granted: u64,
    },
    /// It does not even start.
    #[error(
        "it failed while it was started and asked who it is ({0}); run its own tests, `describe` must neither trap nor take long"
    )]
    Start(String),
    /// It does not say who it is.
    #[error(
        "`describe` answers {0}; a name has 1 to 64 letters, digits, `-`, `_` or `.`, a version 1 to 64 such characters or `+`"
    )]
    Nameless(String),
}

fn seconds(time: &Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// The beginnings of the first three, and how many more.
fn list(names: &[String]) -> String {
    let mut out = names.iter().take(3).map(|n| format!("`{n:.200}`")).collect::<Vec<_>>().join(", ");
    if names.len() > 3 {
        out.push_str(&format!(" and {} more", names.len() - 3));
    }
    out
}

fn exports(names: &[String]) -> String {
    if names.is_empty() { String::from(" (it exports nothing)") } else { format!(" (it exports {})", list(names)) }
}
