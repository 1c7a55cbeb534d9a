//! Whether a name would keep a record, by the records of the name that are here.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::DiskOp;
use crate::merge::Keeper;
use crate::node::context::Context;
use crate::node::{age, schema};
use crate::record::SignedRecord;

/// Records of the name read at a time: who writes a name finds nothing newer, and who was away for long finds a few.
const ROWS: u32 = 16;

/// A judgement under way.
#[derive(Clone, Debug)]
pub(crate) struct Judging {
    record: SignedRecord,
    keeper: Keeper,
    /// The newest record that is here.
    newest: Option<Bytes>,
    /// The records before this key are still to be read.
    before: Bytes,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// More records must be read.
    Unknown(Box<Judging>),
    /// The name would keep it, or it is here.
    Kept,
    /// It would not, because of the records above it: this is the newest.
    Obsolete(Bytes),
}

impl Judging {
    /// Begins.
    pub(crate) fn new(cx: &mut Context, record: &SignedRecord) -> Self {
        let name = schema::name_records(record.record.owner, record.record.name_id);
        let keeper = Keeper::new(age::of_versions(cx));
        Self { record: record.clone(), keeper, newest: None, before: schema::end_of(&name) }
    }

    /// Reads on.
    pub(crate) fn scan(&self) -> DiskOp {
        // Records of lower rank say nothing about it.
        let from = schema::record_key(&self.record);
        DiskOp::Scan { from, to: self.before.clone(), limit: ROWS, reverse: true }
    }
}

/// Records of the name are read, the newest first.
pub(crate) fn go_on(mut judging: Box<Judging>, entries: Vec<(Bytes, Bytes)>, more: bool) -> Verdict {
    for (key, bytes) in entries {
        judging.before = key;
        let Ok(record) = SignedRecord::decode(bytes.clone()) else { continue };
        if record.id == judging.record.id {
            return Verdict::Kept;
        }
        judging.newest.get_or_insert(bytes);
        judging.keeper.keeps(&record.record);
    }
    if more {
        return Verdict::Unknown(judging);
    }
    match judging.newest {
        Some(newest) if !judging.keeper.keeps(&judging.record.record) => Verdict::Obsolete(newest),
        Some(_) | None => Verdict::Kept,
    }
}
