//! What the engine has stored and where, for those who judge it from outside: the simulator's oracles.

use std::path::PathBuf;

use bytes::Bytes;
use forever_core::disk::DiskError;
use forever_core::ids::BlobKey;
use redb::ReadableTable;

use super::Store;
use super::index::{BLOB_ROWS, ENTRIES};
use super::row::{Row, blob_of};

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

impl Store {
    /// All keys and values of the core's, in order of keys.
    ///
    /// # Errors
    ///
    /// When the index cannot be read.
    pub fn entries(&self) -> Result<Vec<(Bytes, Bytes)>, DiskError> {
        self.index.read(|txn| {
            let copy = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
            let entries = txn.open_table(ENTRIES)?;
            entries
                .iter()?
                .map(|entry| entry.map(|(key, value)| (copy(key.value()), copy(value.value()))).map_err(Into::into))
                .collect()
        })
    }

    /// All blobs that are present, and where. Their bytes are not looked at.
    ///
    /// # Errors
    ///
    /// When the index cannot be read.
    pub fn places(&self) -> Result<Vec<(BlobKey, Place)>, DiskError> {
        self.index.read(|txn| {
            let rows = txn.open_table(BLOB_ROWS)?;
            let place = |key: &[u8; 64], row: &[u8]| {
                let blob = blob_of(key);
                let place = match Row::decode(row) {
                    Some(Row::Inline(bytes)) => Place::Index(bytes),
                    Some(Row::File { len, path }) => Place::File { path: self.files.path(&blob.owner, &path), len },
                    None => Place::Damaged,
                };
                (blob, place)
            };
            rows.iter()?.map(|row| row.map(|(key, row)| place(key.value(), row.value())).map_err(Into::into)).collect()
        })
    }
}
