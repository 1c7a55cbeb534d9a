//! The index: `redb` with the rows of blobs, the core's keys and values, and a few numbers of the engine's own.

use forever_core::sometimes;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use forever_core::disk::DiskError;
use forever_core::ids::{BlobKey, OwnerId};
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};

use super::backend::Watch;
use super::batch::{self, Applied, Change};
use super::error::disk_error;
use super::fs::Fs;
use super::health::Health;
use super::row::{Row, blob_of, row_key};
use crate::simulation::Simulated;

/// Rows of blobs.
pub(crate) const BLOB_ROWS: TableDefinition<'_, &[u8; 64], &[u8]> = TableDefinition::new("blobs");
/// The core's keys and values.
pub(crate) const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("index");
/// Numbers of the engine: the format and the counters.
pub(crate) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The format's number in [`META`].
pub(crate) const META_FORMAT: &str = "format";
/// How many blobs are present; with a slash and an owner behind it, how many of that owner.
pub(crate) const META_BLOBS: &str = "blobs";
/// How many bytes they have; those of an owner likewise.
pub(crate) const META_BLOB_BYTES: &str = "blob_bytes";

/// An open index. It survives failures: after one, the file is opened again, since `redb` refuses everything until then;
/// and while that fails, it is still read as it was synced last.
#[derive(Debug)]
pub(crate) struct Index {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    cache_bytes: usize,
    health: Arc<Health>,
    watch: Arc<Watch>,
    simulation: Simulated,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    database: Access,
    /// Counts the openings, so that of many who met the same failure only one opens it again.
    generation: u64,
}

#[derive(Debug)]
enum Access {
    /// In order.
    Whole(Database),
    /// As it was synced last, because it can no longer be opened for writing: the disk is degraded, or full.
    Frozen(Database),
    /// It could not be opened at all; the next operation tries again.
    Closed,
}

/// What an operation wants of the database.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Read,
    Write,
}

impl Access {
    fn database(&self, purpose: Purpose) -> Option<&Database> {
        match (self, purpose) {
            (Self::Whole(database), Purpose::Read | Purpose::Write) | (Self::Frozen(database), Purpose::Read) => {
                Some(database)
            }
            (Self::Frozen(_), Purpose::Write) | (Self::Closed, Purpose::Read | Purpose::Write) => None,
        }
    }
}

/// Numbers of blobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) blobs: u64,
    pub(crate) blob_bytes: u64,
}

/// An index to be built around an opened database.
pub(crate) struct Opened {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) path: PathBuf,
    pub(crate) cache_bytes: usize,
    pub(crate) health: Arc<Health>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) simulation: Simulated,
    pub(crate) database: Database,
}

impl Index {
    pub(crate) fn new(opened: Opened) -> Self {
        Self {
            fs: opened.fs,
            path: opened.path,
            cache_bytes: opened.cache_bytes,
            health: opened.health,
            watch: opened.watch,
            simulation: opened.simulation,
            state: RwLock::new(State { database: Access::Whole(opened.database), generation: 0 }),
        }
    }

    /// Length of the index's file in bytes.
    pub(crate) fn file_len(&self) -> u64 {
        self.watch.len()
    }

    /// Reads in one transaction. A failure of an earlier operation must not fail this one, so it is tried twice.
    pub(crate) fn read<T>(&self, read: impl Fn(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, DiskError> {
        let once = |database: &Database| read(&database.begin_read()?);
        self.with_database(Purpose::Read, once).or_else(|_| self.with_database(Purpose::Read, once))
    }

    fn with_database<T>(
        &self,
        purpose: Purpose,
        run: impl Fn(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, DiskError> {
        let mut refused = DiskError::Io("the index is closed".into());
        // The second attempt is for the database that the first one had to open; nothing is run twice.
        for _ in 0..2 {
            let (generation, failed) = {
                let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
                match state.database.database(purpose).map(&run) {
                    Some(Ok(value)) => return Ok(value),
                    Some(Err(error)) => (state.generation, Some(error)),
                    None => (state.generation, None),
                }
            };
            let reopened = self.reopen(generation);
            if let Some(error) = failed {
                return Err(index_error(error));
            }
            if let Err(error) = reopened {
                refused = error;
            }
        }
        Err(refused)
    }

    /// Opens the index again, unless somebody has since `generation`; for reading only if it cannot be opened whole, and
    /// then says why.
    fn reopen(&self, generation: u64) -> Result<(), DiskError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.generation != generation {
            return Ok(());
        }
        // Closed first: it holds the lock of the file.
        state.database = Access::Closed;
        state.generation += 1;
        let refused = match self.health.check().and_then(|()| self.open_whole()) {
            Ok(database) => {
                sometimes!(self.simulation, "store.index-opened-again");
                state.database = Access::Whole(database);
                return Ok(());
            }
            Err(error) => self.health.check().err().unwrap_or(error),
        };
        if let Ok(database) = self.open_frozen() {
            sometimes!(self.simulation, "store.index-frozen");
            state.database = Access::Frozen(database);
        }
        Err(refused)
    }

    fn open_whole(&self) -> Result<Database, DiskError> {
        let file = self.fs.open_index(&self.path, false).map_err(|error| disk_error(&error))?;
        let backend = self.watch.over(file).map_err(|error| disk_error(&error))?;
        let opened = builder(self.cache_bytes).create_with_backend(backend);
        opened.map_err(|error| index_error(error.into()))
    }

    /// After a failure the file may show commits that a power loss would take back. None of them was acknowledged, so none
    /// is shown.
    fn open_frozen(&self) -> Result<Database, DiskError> {
        let file = self.fs.open_index(&self.path, false).map_err(|error| disk_error(&error))?;
        let backend = self.watch.frozen(file).map_err(|error| disk_error(&error))?;
        let opened = builder(self.cache_bytes).create_with_backend(backend);
        opened.map_err(|error| index_error(error.into()))
    }

    /// Applies changes in order in one durable transaction. All fail together, or each has its own outcome.
    pub(crate) fn apply(
        &self,
        changes: &[Change],
        is_corrupt: &dyn Fn(&BlobKey) -> bool,
    ) -> Result<Vec<Applied>, DiskError> {
        self.health.check()?;
        let applied = self
            .with_database(Purpose::Write, |database| batch::apply(database, changes, is_corrupt, &self.simulation));
        // The sync may have been what failed.
        applied.map_err(|error| self.health.check().err().unwrap_or(error))
    }

    /// A blob's row, if it is there.
    pub(crate) fn row(&self, blob: &BlobKey) -> Result<Option<Row>, DiskError> {
        decoded(self.read(|txn| read_row(txn, blob))?)
    }

    /// A blob's row, or an error as long as it is not certain whether it is there: a commit that failed may yet turn out
    /// to have been made.
    pub(crate) fn row_for_certain(&self, blob: &BlobKey) -> Result<Option<Row>, DiskError> {
        decoded(self.with_database(Purpose::Write, |database| read_row(&database.begin_read()?, blob))?)
    }

    /// A blob's row as it is stored, in order or not.
    pub(crate) fn raw_row(&self, blob: &BlobKey) -> Result<Option<Bytes>, DiskError> {
        self.read(|txn| {
            let table = txn.open_table(BLOB_ROWS)?;
            Ok(table.get(&row_key(blob))?.map(|row| Bytes::copy_from_slice(row.value())))
        })
    }

    /// Counts the blobs anew, and corrects the counters if they are wrong.
    pub(crate) fn recount(&self) -> Result<(), DiskError> {
        self.health.check()?;
        self.with_database(Purpose::Write, batch::recount)
    }

    /// Which blobs have a row, in the order asked.
    pub(crate) fn has(&self, blobs: &[BlobKey]) -> Result<Vec<bool>, DiskError> {
        self.read(|txn| {
            let table = txn.open_table(BLOB_ROWS)?;
            blobs.iter().map(|blob| Ok(table.get(&row_key(blob))?.is_some())).collect()
        })
    }

    /// At most `limit` blobs that have a row, in order, and their lengths in bytes; and whether there are more.
    pub(crate) fn list(&self, after: Option<&BlobKey>, limit: u32) -> Result<(Vec<(BlobKey, u64)>, bool), DiskError> {
        let after = after.map(row_key);
        let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        self.read(|txn| {
            let table = txn.open_table(BLOB_ROWS)?;
            let mut blobs = Vec::new();
            for row in table.range::<&[u8; 64]>((start, Bound::Unbounded))? {
                if blobs.len() == limit as usize {
                    return Ok((blobs, true));
                }
                let (key, row) = row?;
                // A damaged row is listed all the same: to read its blob tells of it.
                blobs.push((blob_of(key.value()), Row::decode(row.value()).map_or(0, |row| row.len())));
            }
            Ok((blobs, false))
        })
    }

    /// At most `limit` rows of blobs after one, in order; those that cannot be decoded as nothing.
    pub(crate) fn rows(&self, after: Option<&BlobKey>, limit: u32) -> Result<Vec<(BlobKey, Option<Row>)>, DiskError> {
        let after = after.map(row_key);
        let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        self.read(|txn| {
            let table = txn.open_table(BLOB_ROWS)?;
            let rows = table.range::<&[u8; 64]>((start, Bound::Unbounded))?.take(limit as usize);
            rows.map(|row| row.map(|(key, row)| (blob_of(key.value()), Row::decode(row.value()))))
                .collect::<Result<_, _>>()
                .map_err(redb::Error::from)
        })
    }

    /// Values, in the order asked.
    pub(crate) fn lookup(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, DiskError> {
        self.read(|txn| {
            let table = txn.open_table(ENTRIES)?;
            keys.iter()
                .map(|key| Ok(table.get(key.as_ref())?.map(|value| Bytes::copy_from_slice(value.value()))))
                .collect()
        })
    }

    /// At most `limit` entries from `from` to before `to`, or back from there, and whether there are more.
    pub(crate) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: u32,
        reverse: bool,
    ) -> Result<(Vec<(Bytes, Bytes)>, bool), DiskError> {
        if from >= to {
            return Ok((Vec::new(), false));
        }
        self.read(|txn| {
            let table = txn.open_table(ENTRIES)?;
            let mut entries = Vec::new();
            let mut range = table.range(from..to)?;
            while let Some(entry) = if reverse { range.next_back() } else { range.next() } {
                if entries.len() == limit as usize {
                    return Ok((entries, true));
                }
                let (key, value) = entry?;
                entries.push((Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value.value())));
            }
            Ok((entries, false))
        })
    }

    /// The numbers of blobs: of all, and of each owner's.
    pub(crate) fn counters(&self) -> Result<(Counters, BTreeMap<OwnerId, Counters>), DiskError> {
        self.read(|txn| {
            let meta = txn.open_table(META)?;
            Ok((read_counters(&meta)?, read_owners(&meta)?))
        })
    }

    /// The bytes of all blobs.
    pub(crate) fn blob_bytes(&self) -> Result<u64, DiskError> {
        self.read(|txn| Ok(read_counters(&txn.open_table(META)?)?.blob_bytes))
    }
}

/// A row: absent, or damaged, or good.
fn read_row(txn: &ReadTransaction, blob: &BlobKey) -> Result<Option<Option<Row>>, redb::Error> {
    let table = txn.open_table(BLOB_ROWS)?;
    Ok(table.get(&row_key(blob))?.map(|row| Row::decode(row.value())))
}

fn decoded(row: Option<Option<Row>>) -> Result<Option<Row>, DiskError> {
    match row {
        None => Ok(None),
        Some(Some(row)) => Ok(Some(row)),
        Some(None) => Err(DiskError::Io("the row of a blob in the index is damaged".into())),
    }
}

/// The counters in [`META`].
pub(crate) fn read_counters(meta: &impl ReadableTable<&'static str, u64>) -> Result<Counters, redb::Error> {
    let number = |name| -> Result<u64, redb::Error> { Ok(meta.get(name)?.map_or(0, |number| number.value())) };
    Ok(Counters { blobs: number(META_BLOBS)?, blob_bytes: number(META_BLOB_BYTES)? })
}

/// The key in [`META`] of a counter of one owner's blobs.
pub(crate) fn owner_key(name: &str, owner: &OwnerId) -> String {
    format!("{name}/{owner}")
}

/// The counters of an owner in [`META`].
pub(crate) fn read_owner(
    meta: &impl ReadableTable<&'static str, u64>,
    owner: &OwnerId,
) -> Result<Counters, redb::Error> {
    let number = |name| -> Result<u64, redb::Error> {
        Ok(meta.get(owner_key(name, owner).as_str())?.map_or(0, |number| number.value()))
    };
    Ok(Counters { blobs: number(META_BLOBS)?, blob_bytes: number(META_BLOB_BYTES)? })
}

/// The counters of all owners who have blobs, in [`META`].
pub(crate) fn read_owners(
    meta: &impl ReadableTable<&'static str, u64>,
) -> Result<BTreeMap<OwnerId, Counters>, redb::Error> {
    let prefix = format!("{META_BLOBS}/");
    let mut owners = BTreeMap::new();
    for entry in meta.range(prefix.as_str()..)? {
        let (key, blobs) = entry?;
        let Some(owner) = key.value().strip_prefix(&prefix) else { break };
        if let Ok(owner) = owner.parse() {
            let blob_bytes = read_owner(meta, &owner)?.blob_bytes;
            owners.insert(owner, Counters { blobs: blobs.value(), blob_bytes });
        }
    }
    Ok(owners)
}

/// `redb` as the engine uses it.
pub(crate) fn builder(cache_bytes: usize) -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    builder
}

pub(crate) fn index_error(error: redb::Error) -> DiskError {
    if let redb::Error::Io(error) = error {
        return disk_error(&error);
    }
    DiskError::Io(format!("the index: {error}"))
}
