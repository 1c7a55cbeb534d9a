//! Everything in the index as lines of text, for recovery by a script when all else is lost.

use std::io::Write;

use super::error::ExportError;
use super::index::{BLOB_ROWS, ENTRIES};
use super::row::{Row, blob_of};
use super::{INLINE_LEN_MAX, Store};

/// Entries that are read at once while exporting: of the longest values, 16 MiB.
const PAGE_LEN: usize = 16;

/// What a blob's key in an export begins with; owner and chunk follow, 32 bytes each.
const BLOB_PREFIX: u8 = b'B';

/// Keys and values.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;
/// Keys of blobs, and their rows unless they are damaged.
type Rows = Vec<([u8; 64], Option<Row>)>;

impl Store {
    /// Writes a line `{"key":"<hex>","value":"<hex>"}` for every entry of the index in order of keys, then one for every blob
    /// that is in the index rather than a file: its key is `B`, owner, chunk. Changes made meanwhile may be missing.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or `out` not be written.
    pub fn export(&self, out: &mut dyn Write) -> Result<(), ExportError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.entries_after(after.as_deref())?;
            for (key, value) in &page {
                write_line(out, key, value)?;
            }
            match page.into_iter().last() {
                Some((key, _)) => after = Some(key),
                None => break,
            }
        }
        self.export_blobs(out)
    }

    fn entries_after(&self, after: Option<&[u8]>) -> Result<Entries, ExportError> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        Ok(self.index.read(|txn| {
            let table = txn.open_table(ENTRIES)?;
            let range = table.range::<&[u8]>((from, std::ops::Bound::Unbounded))?;
            let page = range.take(PAGE_LEN).map(|entry| {
                let (key, value) = entry?;
                Ok((key.value().to_vec(), value.value().to_vec()))
            });
            page.collect()
        })?)
    }

    fn export_blobs(&self, out: &mut dyn Write) -> Result<(), ExportError> {
        let mut after: Option<[u8; 64]> = None;
        loop {
            let page = self.rows_after(after.as_ref())?;
            for (key, row) in &page {
                if let Some(Row::Inline(bytes)) = row {
                    let blob = blob_of(key);
                    let key = [&[BLOB_PREFIX], &blob.owner.0[..], &blob.chunk.0[..]].concat();
                    write_line(out, &key, bytes)?;
                }
            }
            match page.last() {
                Some((key, _)) => after = Some(*key),
                None => return Ok(()),
            }
        }
    }

    fn rows_after(&self, after: Option<&[u8; 64]>) -> Result<Rows, ExportError> {
        const PAGE_ROWS: usize = (16 << 20) / INLINE_LEN_MAX;
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        Ok(self.index.read(|txn| {
            let table = txn.open_table(BLOB_ROWS)?;
            let range = table.range::<&[u8; 64]>((from, std::ops::Bound::Unbounded))?;
            let page = range.take(PAGE_ROWS).map(|entry| {
                let (key, row) = entry?;
                Ok((*key.value(), Row::decode(row.value())))
            });
            page.collect()
        })?)
    }
}

fn write_line(out: &mut dyn Write, key: &[u8], value: &[u8]) -> std::io::Result<()> {
    writeln!(out, r#"{{"key":"{}","value":"{}"}}"#, hex::encode(key), hex::encode(value))
}
