//! What the tests stand on: nodes as processes, the command line, HTTP, and waiting for facts.

mod cli;
mod cluster;
mod http;
mod node;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use cli::{Finished, command, command_on, finish, on_a_terminal, run, spawn};
pub(crate) use cluster::Cluster;
pub(crate) use http::Http;
pub(crate) use node::Node;

/// Plain bytes of a chunk in these tests: the smallest allowed, so that small files have many chunks.
pub(crate) const CHUNK: usize = 64 * 1024;

/// What a sealed chunk is longer than a plain one: the IV.
pub(crate) const SEAL: u64 = 16;

/// How long something that must happen may take, on the slowest of machines.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The first pause between two looks at a process's state, and the longest.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// Looks at a fact of another process until it holds. That process cannot wake this one, so this polls.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut pause = LOOK_AGAIN.0;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < SOON, "waited in vain for {what}");
        thread::sleep(pause);
        pause = (pause * 2).min(LOOK_AGAIN.1);
    }
}

/// Bytes that look random, the same for the same seed.
pub(crate) fn content(seed: &str, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Bytes of all blobs that a file of so many bytes has.
pub(crate) fn sealed_len(len: usize) -> u64 {
    len as u64 + SEAL * len.div_ceil(CHUNK) as u64
}

/// All files below a folder, in order of paths.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
