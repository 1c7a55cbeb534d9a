//! The `forever-sim` program.
fn main() {}
