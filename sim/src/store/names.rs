//! Names and contents of files, with canary words in both: words that may appear nowhere but at the callers.

use forever_core::name::Name;

/// Starts every canary word.
pub const CANARY: &[u8] = WORD.as_bytes();

const WORD: &str = "canary-5f1e";

/// A content holds a canary word at each multiple of so many bytes, so that every chunk has one.
pub const CANARY_EVERY: usize = 128;

/// How many folders there are.
pub const FOLDERS: u32 = 4;

/// What the names of the files in a folder start with.
#[must_use]
pub fn folder(number: u32) -> String {
    format!("{WORD}/folder-{number}/")
}

/// The name of a file.
#[must_use]
pub fn of(file: u32) -> Name {
    let text = format!("{WORD}/folder-{}/file-{file}", file % FOLDERS);
    Name::new(&text).expect("plain words and slashes are a name")
}

/// The file of a name, if it is one of these.
#[must_use]
pub fn file_of(name: &Name) -> Option<u32> {
    name.as_str().rsplit_once("file-")?.1.parse().ok()
}

/// Bytes that follow from a salt and their place only: no two salts share a chunk.
#[must_use]
pub fn content(salt: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new_derive_key("foreverstore 2026 simulated content")
        .update(&salt.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    for place in bytes.chunks_mut(CANARY_EVERY) {
        let len = CANARY.len().min(place.len());
        place[..len].copy_from_slice(&CANARY[..len]);
    }
    bytes
}
