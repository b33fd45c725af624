//! The `warrenmq` command.

use std::process::ExitCode;

/// Messages are made on one thread and freed on another, millions of times a second: this is what
/// mimalloc's free lists are for, and where the system's allocator takes a lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(warrenmq::cli::run(std::env::args_os()))
}
