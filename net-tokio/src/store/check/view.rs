//! The index, read only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use forever_core::ids::{BlobKey, OwnerId};
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable};

use crate::store::OpenError;
use crate::store::backend::FrozenBackend;
use crate::store::fs::Fs;
use crate::store::index::{BLOB_ROWS, Counters, ENTRIES, META, read_counters, read_owners};
use crate::store::open::{self, INDEX};
use crate::store::row::{Row, blob_of};

/// Memory for pages of the index, in bytes.
const CACHE_BYTES: usize = 16 << 20;

/// An index that is only read.
pub(super) struct View {
    path: PathBuf,
    rows: ReadOnlyTable<&'static [u8; 64], &'static [u8]>,
    entries: ReadOnlyTable<&'static [u8], &'static [u8]>,
    counters: Counters,
    owners: BTreeMap<OwnerId, Counters>,
    /// Closed last.
    _database: Database,
}

impl View {
    /// Opens the index of a store, all of its checksums verified; `None` if the store was never used.
    pub(super) fn open(fs: &dyn Fs, root: &Path) -> Result<Option<Self>, OpenError> {
        let path = root.join(INDEX);
        if !open::has_index(fs, root)? {
            return Ok(None);
        }
        let file = fs.open_index_to_read(&path).map_err(|error| OpenError::io(&path, error))?;
        let backend = FrozenBackend::over(file).map_err(|error| OpenError::io(&path, error))?;
        let database = open::open_database(&path, backend, CACHE_BYTES, true)?;
        let read = || -> Result<_, redb::Error> {
            let txn = database.begin_read()?;
            let meta = txn.open_table(META)?;
            let counters = (read_counters(&meta)?, read_owners(&meta)?);
            Ok((txn.open_table(BLOB_ROWS)?, txn.open_table(ENTRIES)?, counters))
        };
        let (rows, entries, (counters, owners)) = read().map_err(|error| open::index_error(&path, error))?;
        Ok(Some(Self { path, rows, entries, counters, owners, _database: database }))
    }

    /// How many blobs the index says there are.
    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// How many blobs it says that each owner has; empty if it was written by a program that did not count them so.
    pub(super) fn owners(&self) -> &BTreeMap<OwnerId, Counters> {
        &self.owners
    }

    /// Shows all rows of blobs in order; those that cannot be decoded as nothing.
    pub(super) fn each_row(&self, mut show: impl FnMut(BlobKey, Option<Row>)) -> Result<(), OpenError> {
        for row in self.rows.iter().map_err(|error| self.failed(error))? {
            let (key, value) = row.map_err(|error| self.failed(error))?;
            show(blob_of(key.value()), Row::decode(value.value()));
        }
        Ok(())
    }

    /// Shows all entries whose keys start with a letter, in order.
    pub(super) fn each_entry(
        &self,
        letter: u8,
        mut show: impl FnMut(&[u8], &[u8]) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        self.each_below(&[letter], |key, value| show(key, value).map(|()| true))
    }

    /// Shows entries whose keys start with a prefix, in order, for as long as `show` says so.
    pub(super) fn each_below(
        &self,
        prefix: &[u8],
        mut show: impl FnMut(&[u8], &[u8]) -> Result<bool, OpenError>,
    ) -> Result<(), OpenError> {
        for entry in self.entries.range::<&[u8]>(prefix..).map_err(|error| self.failed(error))? {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            if !key.value().starts_with(prefix) || !show(key.value(), value.value())? {
                break;
            }
        }
        Ok(())
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, OpenError> {
        let value = self.entries.get(key).map_err(|error| self.failed(error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
    }

    /// Whether a key is there.
    pub(super) fn has(&self, key: &[u8]) -> Result<bool, OpenError> {
        Ok(self.entries.get(key).map_err(|error| self.failed(error))?.is_some())
    }

    fn failed(&self, error: redb::StorageError) -> OpenError {
        open::index_error(&self.path, error.into())
    }
}
