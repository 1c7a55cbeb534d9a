//! The `forever` program.

mod cli;
mod demo;

use std::process::ExitCode;

/// Chunks come and go by the megabyte: this allocator keeps their pages, where the system's gives them back and faults them
/// in again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
