//! What a store has on its disk and where, for those who judge it from outside: the simulator's oracles.
//!
//! They do not ask the engine: its cache would give way to what they read, and write out what it had not written yet.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use forever_core::disk::DiskError;
use forever_core::ids::BlobKey;
use redb::{ReadTransaction, ReadableDatabase, ReadableTable};

use super::backend::FrozenBackend;
use super::error::disk_error;
use super::files::blob_file;
use super::fs::Fs;
use super::index::{BLOB_ROWS, ENTRIES, builder, index_error};
use super::open::INDEX;
use super::row::{Row, blob_of};

/// Memory for pages that are looked at, in bytes.
const CACHE_BYTES: usize = 1 << 20;

/// Where the bytes of a blob are that is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the index.
    Index(Bytes),
    /// In a file.
    File {
        /// Its path.
        path: PathBuf,
        /// Its length in bytes, as the index says.
        len: u64,
    },
    /// Nowhere: its row cannot be decoded.
    Damaged,
}

/// What lies on a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// All keys and values of the core's, in order of keys.
    pub entries: Vec<(Bytes, Bytes)>,
    /// All blobs that are present, and where. Their bytes have not been looked at.
    pub places: Vec<(BlobKey, Place)>,
}

/// Looks at a store as the file system shows it now, and changes nothing: whether it is open or not.
///
/// # Errors
///
/// When the index cannot be read.
pub fn look(fs: &dyn Fs, root: &Path) -> Result<Seen, DiskError> {
    let file = fs.open_index(&root.join(INDEX), false).map_err(|error| disk_error(&error))?;
    let backend = FrozenBackend::over(file).map_err(|error| disk_error(&error))?;
    let read = || -> Result<Seen, redb::Error> {
        let database = builder(CACHE_BYTES).create_with_backend(backend)?;
        let txn = database.begin_read()?;
        Ok(Seen { entries: entries(&txn)?, places: places(&txn, root)? })
    };
    read().map_err(index_error)
}

fn entries(txn: &ReadTransaction) -> Result<Vec<(Bytes, Bytes)>, redb::Error> {
    let copy = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    let entries = txn.open_table(ENTRIES)?;
    entries
        .iter()?
        .map(|entry| entry.map(|(key, value)| (copy(key.value()), copy(value.value()))).map_err(Into::into))
        .collect()
}

fn places(txn: &ReadTransaction, root: &Path) -> Result<Vec<(BlobKey, Place)>, redb::Error> {
    let rows = txn.open_table(BLOB_ROWS)?;
    let place = |key: &[u8; 64], row: &[u8]| {
        let blob = blob_of(key);
        let place = match Row::decode(row) {
            Some(Row::Inline(bytes)) => Place::Index(bytes),
            Some(Row::File { len, path }) => Place::File { path: blob_file(root, &blob.owner, &path), len },
            None => Place::Damaged,
        };
        (blob, place)
    };
    rows.iter()?.map(|row| row.map(|(key, row)| place(key.value(), row.value())).map_err(Into::into)).collect()
}
