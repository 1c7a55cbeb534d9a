//! Tells the crate which commit it is built from: `FOREVER_SIM_COMMIT`, which case files name.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Variables that say which commit it is, the first that is set first.
const VARIABLES: [&str; 2] = ["FOREVER_COMMIT", "GITHUB_SHA"];

fn main() {
    for variable in VARIABLES {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    let said = VARIABLES.iter().filter_map(|variable| env::var(variable).ok()).find(|commit| !commit.is_empty());
    let commit = said.or_else(checked_out).unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=FOREVER_SIM_COMMIT={commit}");
}

/// What is checked out, if these sources are files of a repository, rather than lie unpacked in somebody else's.
fn checked_out() -> Option<String> {
    git(&["ls-files", "--error-unmatch", "Cargo.toml"])?;
    for place in places_that_change() {
        println!("cargo::rerun-if-changed={}", place.display());
    }
    git(&["rev-parse", "HEAD"])
}

/// The files of the repository of which at least one changes with what is checked out. Those that there are not would make
/// cargo build anew each time.
fn places_that_change() -> Vec<PathBuf> {
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    let names = ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = names.filter_map(|name| Some(folder.join(git(&["rev-parse", "--git-path", name])?)));
    places.filter(|place| place.exists()).collect()
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_string())
}
