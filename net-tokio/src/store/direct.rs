//! Writing past the page cache: blobs are written once, synced at once and seldom read soon, so pages of the cache for them
//! cost memory, a copy each and, on machines that get their memory page by page, most of the time of a write.
//!
//! `O_DIRECT` wants memory, offset and length aligned. So whole blocks are gathered in an aligned buffer, and what is left of
//! the last one is written through the cache. File systems without it are written through the cache altogether.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};

use bytes::Bytes;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// Alignment in bytes that every block device in use is content with.
const BLOCK_LEN: usize = 4096;

/// Bytes of one write: a chunk of the default length.
const BUFFER_LEN: usize = 1 << 20;

/// Files below this many bytes gain nothing.
const LEN_MIN: usize = 64 * 1024;

thread_local! {
    /// One a thread that writes, for as long as it lives: to get fresh memory for every file would cost what this saves.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes as many of the first bytes of `parts` past the cache as that can be done with, to the end of an empty file.
/// Returns how many.
pub(super) fn write_blocks(file: &File, parts: &[Bytes]) -> io::Result<usize> {
    let len: usize = parts.iter().map(Bytes::len).sum();
    let flags = fcntl_getfl(file)?;
    if len < LEN_MIN || fcntl_setfl(file, flags | OFlags::DIRECT).is_err() {
        return Ok(0);
    }
    let written = BUFFER.with_borrow_mut(|memory| write_aligned(file, parts, len - len % BLOCK_LEN, memory));
    fcntl_setfl(file, flags)?;
    written
}

fn write_aligned(file: &File, parts: &[Bytes], len: usize, memory: &mut Vec<u8>) -> io::Result<usize> {
    memory.resize(BUFFER_LEN + BLOCK_LEN, 0);
    let start = memory.as_ptr().align_offset(BLOCK_LEN);
    let buffer = &mut memory[start..start + BUFFER_LEN];
    let (mut written, mut filled) = (0, 0);
    for part in parts {
        let mut rest = &part[..part.len().min(len - written - filled)];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BUFFER_LEN - filled));
            buffer[filled..filled + now.len()].copy_from_slice(now);
            filled += now.len();
            rest = later;
            if filled == BUFFER_LEN || written + filled == len {
                match write_all(file, &buffer[..filled]) {
                    // A file system that takes the flag and then does not hold to it.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput && written == 0 => return Ok(0),
                    result => result?,
                }
                written += filled;
                filled = 0;
            }
        }
    }
    Ok(written)
}

fn write_all(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}
