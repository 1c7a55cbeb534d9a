//! Changes of the index, many of them in one transaction.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use forever_core::disk::Write;
use forever_core::ids::{BlobKey, OwnerId};
use forever_core::planted;
use redb::{Database, Durability, ReadableTable, Table, WriteTransaction};

use super::index::{
    BLOB_ROWS, Counters, ENTRIES, META, META_BLOB_BYTES, META_BLOBS, owner_key, read_counters, read_owner, read_owners,
};
use super::row::{Row, blob_of, row_key};
use crate::simulation::Simulated;

/// A change of the index.
#[derive(Debug)]
pub(crate) enum Change {
    /// The core's commit.
    Commit { require_blobs: Vec<BlobKey>, require_keys: Vec<Bytes>, writes: Vec<Write> },
    /// Makes a blob present whose bytes are durable, or come with the row, and sets an entry with it. Not a new one is put
    /// all the same, since a commit may have dropped it after it was looked for; its file is there as long as its lock is held.
    PutBlob { blob: BlobKey, row: Row, entry: Option<(Bytes, Bytes)>, new: bool },
    /// Makes a damaged blob absent.
    RemoveBlob { blob: BlobKey },
}

/// What became of a change.
#[derive(Debug)]
pub(crate) enum Applied {
    /// It is durable. These rows are gone, and their files may go.
    Done { dropped: Vec<(BlobKey, Row)> },
    /// It changed nothing, because these were absent.
    Missing { blobs: Vec<BlobKey>, keys: Vec<Bytes> },
}

/// Applies changes in order, each seeing those before it, and makes them durable together.
pub(crate) fn apply(
    database: &Database,
    changes: &[Change],
    is_corrupt: &dyn Fn(&BlobKey) -> bool,
    simulation: &Simulated,
) -> Result<Vec<Applied>, redb::Error> {
    let mut txn = database.begin_write()?;
    if planted!(simulation, AckBeforeFsync) {
        txn.set_durability(Durability::None).map_err(redb::Error::from)?;
    }
    let (applied, dirty) = Tables::open(&txn)?.apply_all(changes, is_corrupt)?;
    if dirty {
        txn.commit()?;
    } else {
        // All that these changes rest on is durable already.
        txn.abort()?;
    }
    Ok(applied)
}

/// Counts all blobs, and corrects the counters durably if they are wrong.
pub(crate) fn recount(database: &Database) -> Result<(), redb::Error> {
    let txn = database.begin_write()?;
    let is_wrong = {
        let mut tables = Tables::open(&txn)?;
        let mut counters = Counters::default();
        let mut owners: BTreeMap<OwnerId, Counters> = BTreeMap::new();
        for row in tables.rows.iter()? {
            let (key, row) = row?;
            let len = Row::decode(row.value()).map_or(0, |row| row.len());
            for counters in [&mut counters, owners.entry(blob_of(key.value()).owner).or_default()] {
                counters.blobs += 1;
                counters.blob_bytes += len;
            }
        }
        let counted = read_owners(&tables.meta)?;
        let is_wrong = counters != tables.counters || owners != counted;
        if is_wrong {
            // Those that have none any more are written, too: that removes them.
            tables.owners = counted.into_keys().map(|owner| (owner, Counters::default())).collect();
            tables.owners.extend(owners);
            tables.counters = counters;
            tables.write_counters()?;
        }
        is_wrong
    };
    if is_wrong {
        txn.commit()?
    } else {
        txn.abort()?
    }
    Ok(())
}

/// Writes the counters of an owner; those of one who has no blobs are removed.
fn write_owner(
    meta: &mut Table<'_, &'static str, u64>,
    owner: &OwnerId,
    counters: Counters,
) -> Result<(), redb::Error> {
    for (name, number) in [(META_BLOBS, counters.blobs), (META_BLOB_BYTES, counters.blob_bytes)] {
        let key = owner_key(name, owner);
        if counters.blobs == 0 {
            meta.remove(key.as_str())?;
        } else {
            meta.insert(key.as_str(), number)?;
        }
    }
    Ok(())
}

/// The tables within a transaction.
struct Tables<'txn> {
    rows: Table<'txn, &'static [u8; 64], &'static [u8]>,
    entries: Table<'txn, &'static [u8], &'static [u8]>,
    meta: Table<'txn, &'static str, u64>,
    counters: Counters,
    /// Those of the owners whose blobs were changed.
    owners: BTreeMap<OwnerId, Counters>,
    dirty: bool,
}

impl<'txn> Tables<'txn> {
    fn open(txn: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        let meta = txn.open_table(META)?;
        Ok(Self {
            rows: txn.open_table(BLOB_ROWS)?,
            entries: txn.open_table(ENTRIES)?,
            counters: read_counters(&meta)?,
            owners: BTreeMap::new(),
            meta,
            dirty: false,
        })
    }

    /// The outcomes, and whether anything was changed.
    fn apply_all(
        mut self,
        changes: &[Change],
        is_corrupt: &dyn Fn(&BlobKey) -> bool,
    ) -> Result<(Vec<Applied>, bool), redb::Error> {
        let before = self.counters;
        let applied = changes.iter().map(|change| self.apply(change, is_corrupt)).collect::<Result<_, _>>()?;
        if self.counters != before || !self.owners.is_empty() {
            self.write_counters()?;
        }
        Ok((applied, self.dirty))
    }

    fn write_counters(&mut self) -> Result<(), redb::Error> {
        self.meta.insert(META_BLOBS, self.counters.blobs)?;
        self.meta.insert(META_BLOB_BYTES, self.counters.blob_bytes)?;
        for (owner, counters) in &self.owners {
            write_owner(&mut self.meta, owner, *counters)?;
        }
        Ok(())
    }

    fn apply(&mut self, change: &Change, is_corrupt: &dyn Fn(&BlobKey) -> bool) -> Result<Applied, redb::Error> {
        let mut dropped = Vec::new();
        match change {
            Change::Commit { require_blobs, require_keys, writes } => {
                if let Some(missing) = self.missing(require_blobs, require_keys, is_corrupt)? {
                    return Ok(missing);
                }
                for write in writes {
                    self.write(write, &mut dropped)?;
                }
            }
            Change::PutBlob { blob, row, entry, new: _ } => {
                dropped.extend(self.put_blob(blob, row)?);
                if let Some((key, value)) = entry {
                    self.put(key, value)?;
                }
            }
            Change::RemoveBlob { blob } => dropped.extend(self.remove_blob(blob)?),
        }
        Ok(Applied::Done { dropped })
    }

    fn missing(
        &self,
        require_blobs: &[BlobKey],
        require_keys: &[Bytes],
        is_corrupt: &dyn Fn(&BlobKey) -> bool,
    ) -> Result<Option<Applied>, redb::Error> {
        let (mut blobs, mut keys) = (Vec::new(), Vec::new());
        for blob in require_blobs {
            if is_corrupt(blob) || self.rows.get(&row_key(blob))?.is_none() {
                blobs.push(*blob);
            }
        }
        for key in require_keys {
            if self.entries.get(key.as_ref())?.is_none() {
                keys.push(key.clone());
            }
        }
        let nothing = blobs.is_empty() && keys.is_empty();
        Ok((!nothing).then_some(Applied::Missing { blobs, keys }))
    }

    fn write(&mut self, write: &Write, dropped: &mut Vec<(BlobKey, Row)>) -> Result<(), redb::Error> {
        match write {
            Write::Put { key, value } => self.put(key, value)?,
            Write::Delete { key } => self.dirty |= self.entries.remove(key.as_ref())?.is_some(),
            Write::DropBlob { blob, unless } => {
                for prefix in unless {
                    if self.has_key_from(prefix)? {
                        return Ok(());
                    }
                }
                dropped.extend(self.remove_blob(blob)?);
            }
        }
        Ok(())
    }

    fn put(&mut self, key: &Bytes, value: &Bytes) -> Result<(), redb::Error> {
        self.entries.insert(key.as_ref(), value.as_ref())?;
        self.dirty = true;
        Ok(())
    }

    fn has_key_from(&self, prefix: &[u8]) -> Result<bool, redb::Error> {
        let first = self.entries.range(prefix..)?.next().transpose()?;
        Ok(first.is_some_and(|(key, _)| key.value().starts_with(prefix)))
    }

    fn put_blob(&mut self, blob: &BlobKey, row: &Row) -> Result<Option<(BlobKey, Row)>, redb::Error> {
        let encoded = row.encode();
        if self.rows.get(&row_key(blob))?.is_some_and(|there| there.value() == encoded) {
            return Ok(None);
        }
        let replaced = self.remove_blob(blob)?;
        self.rows.insert(&row_key(blob), encoded.as_slice())?;
        for counters in self.counters_of(&blob.owner)? {
            counters.blobs += 1;
            counters.blob_bytes += row.len();
        }
        self.dirty = true;
        Ok(replaced)
    }

    fn remove_blob(&mut self, blob: &BlobKey) -> Result<Option<(BlobKey, Row)>, redb::Error> {
        let Some(row) = self.rows.remove(&row_key(blob))?.map(|row| Row::decode(row.value())) else {
            return Ok(None);
        };
        self.dirty = true;
        let len = row.as_ref().map_or(0, Row::len);
        for counters in self.counters_of(&blob.owner)? {
            counters.blobs = counters.blobs.saturating_sub(1);
            counters.blob_bytes = counters.blob_bytes.saturating_sub(len);
        }
        Ok(row.map(|row| (*blob, row)))
    }

    /// The counters that a blob of an owner is counted in: of all blobs, and of that owner's.
    fn counters_of(&mut self, owner: &OwnerId) -> Result<[&mut Counters; 2], redb::Error> {
        let of_owner = match self.owners.entry(*owner) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(read_owner(&self.meta, owner)?),
        };
        Ok([&mut self.counters, of_owner])
    }
}
