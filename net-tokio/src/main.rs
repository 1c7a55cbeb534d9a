//! The `forever` program.

#[cfg(feature = "planted-bugs")]
compile_error!(
    "a node is never built with planted bugs: they are for `cargo run -p forever-sim --features planted-bugs`"
);

mod cli;
mod demo;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
