//! The `forever` program.
fn main() {}
