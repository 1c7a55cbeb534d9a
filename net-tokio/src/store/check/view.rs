//! The index, read only: that of a store that nobody has open, or that of a running node.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use forever_core::disk::DiskError;
use forever_core::ids::{BlobKey, OwnerId};
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable};

use crate::store::backend::FrozenBackend;
use crate::store::fs::Fs;
use crate::store::index::{BLOB_ROWS, Counters, ENTRIES, META, read_counters, read_owners};
use crate::store::open::{self, INDEX};
use crate::store::perform::KEY_LEN_MAX;
use crate::store::row::{Row, blob_of, row_key};
use crate::store::{OpenError, Store};

/// Memory for pages of the index, in bytes.
const CACHE_BYTES: usize = 16 << 20;

/// Rows and entries read at once from an index that is in use: between two such reads it takes changes, and old pages of it
/// are not kept for longer.
const BATCH: u32 = 256;

/// An index that is only read.
pub(super) struct View<'a> {
    path: PathBuf,
    source: Source<'a>,
    counters: Counters,
    owners: BTreeMap<OwnerId, Counters>,
}

#[expect(clippy::large_enum_variant, reason = "there is one in a check")]
enum Source<'a> {
    /// Of one moment.
    Rest {
        rows: ReadOnlyTable<&'static [u8; 64], &'static [u8]>,
        entries: ReadOnlyTable<&'static [u8], &'static [u8]>,
        /// Closed last.
        _database: Database,
    },
    /// As it is when it is read. The check ends when it is told to.
    Live { store: &'a Store, stops: &'a dyn Fn() -> bool },
}

impl<'a> View<'a> {
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
        let source = Source::Rest { rows, entries, _database: database };
        Ok(Some(Self { path, source, counters, owners }))
    }

    /// The index of a store that is open.
    pub(super) fn of(store: &'a Store, stops: &'a dyn Fn() -> bool) -> Result<Self, OpenError> {
        let path = store.root.join(INDEX);
        let (counters, owners) = store.index.counters().map_err(|error| failed(&path, &error))?;
        Ok(Self { path, source: Source::Live { store, stops }, counters, owners })
    }

    /// The store, if it is open: what was found wrong must be looked at once more then, since it may just have changed.
    pub(super) fn live(&self) -> Option<&'a Store> {
        match self.source {
            Source::Rest { .. } => None,
            Source::Live { store, .. } => Some(store),
        }
    }

    /// Ends the check if it was told to end.
    fn go_on(&self) -> Result<(), OpenError> {
        match self.source {
            Source::Live { stops, .. } if stops() => Err(OpenError::Stopped),
            Source::Live { .. } | Source::Rest { .. } => Ok(()),
        }
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
    pub(super) fn each_row(
        &self,
        mut show: impl FnMut(BlobKey, Option<Row>) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let store = match &self.source {
            Source::Live { store, .. } => store,
            Source::Rest { rows, .. } => {
                for row in rows.iter().map_err(|error| self.failed(error))? {
                    let (key, value) = row.map_err(|error| self.failed(error))?;
                    show(blob_of(key.value()), Row::decode(value.value()))?;
                }
                return Ok(());
            }
        };
        let mut after = None;
        loop {
            let rows = store.index.rows(after.as_ref(), BATCH).map_err(|error| failed(&self.path, &error))?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(*last);
            for (blob, row) in rows {
                self.go_on()?;
                show(blob, row)?;
            }
        }
    }

    /// Whether a blob has a row now.
    pub(super) fn has_blob(&self, blob: &BlobKey) -> Result<bool, OpenError> {
        match &self.source {
            Source::Rest { rows, .. } => Ok(rows.get(&row_key(blob)).map_err(|error| self.failed(error))?.is_some()),
            Source::Live { store, .. } => {
                let has = store.index.has(std::slice::from_ref(blob)).map_err(|error| failed(&self.path, &error))?;
                Ok(has.first() == Some(&true))
            }
        }
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
        let store = match &self.source {
            Source::Live { store, .. } => store,
            Source::Rest { entries, .. } => {
                for entry in entries.range::<&[u8]>(prefix..).map_err(|error| self.failed(error))? {
                    let (key, value) = entry.map_err(|error| self.failed(error))?;
                    if !key.value().starts_with(prefix) || !show(key.value(), value.value())? {
                        break;
                    }
                }
                return Ok(());
            }
        };
        let mut from = prefix.to_vec();
        loop {
            let end = [0xff; KEY_LEN_MAX];
            let (entries, more) =
                store.index.scan(&from, &end, BATCH, false).map_err(|error| failed(&self.path, &error))?;
            for (key, value) in &entries {
                self.go_on()?;
                if !key.starts_with(prefix) || !show(key, value)? {
                    return Ok(());
                }
            }
            let Some((last, _)) = entries.last().filter(|_| more) else { return Ok(()) };
            from = [last, &[0][..]].concat();
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, OpenError> {
        match &self.source {
            Source::Rest { entries, .. } => {
                let value = entries.get(key).map_err(|error| self.failed(error))?;
                Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
            }
            Source::Live { store, .. } => {
                let key = Bytes::copy_from_slice(key);
                let mut values = store.index.lookup(&[key]).map_err(|error| failed(&self.path, &error))?;
                Ok(values.pop().flatten())
            }
        }
    }

    /// Whether a key is there.
    pub(super) fn has(&self, key: &[u8]) -> Result<bool, OpenError> {
        Ok(self.get(key)?.is_some())
    }

    fn failed(&self, error: redb::StorageError) -> OpenError {
        open::index_error(&self.path, error.into())
    }
}

/// An index in use that cannot be read.
fn failed(path: &Path, error: &DiskError) -> OpenError {
    OpenError::io(path, io::Error::other(error.to_string()))
}
