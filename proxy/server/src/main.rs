//! The `pointsman` command.

/// Takes no lock (ADR 0009): a worker must not wait for a thread that runs only when nobody else wants the core.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    pointsman::cli::main()
}
