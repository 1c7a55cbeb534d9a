//! The end of a restore: light records are made whole, and the names of what is missing are looked for.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{Aim, BATCH, FAILED_MAX, Restore, RestoreStep, Stage};
use crate::disk::DiskOp;
use crate::event::INCOMPLETE_MAX;
use crate::node::context::Context;
use crate::node::task::Flow;
use crate::node::{fill, query, schema};
use crate::record::SignedRecord;

impl Restore {
    pub(super) fn read_marks(&mut self, cx: &mut Context, records: Vec<SignedRecord>) {
        let room = FAILED_MAX.saturating_sub(self.to_complete.len());
        self.is_cut |= records.len() > room;
        if !records.is_empty() && records.len() <= room {
            self.reading_marks += 1;
            let keys = records.iter().map(|record| schema::evicted_key(cx.owner, record.id)).collect();
            cx.disk(DiskOp::Lookup { keys }, self.pending(RestoreStep::Marks(records)));
        }
    }

    pub(super) fn on_marks(&mut self, cx: &mut Context, records: Vec<SignedRecord>, marks: &[Option<Bytes>]) -> Flow {
        self.reading_marks -= 1;
        let light = |mark: &Option<Bytes>| mark.as_ref().is_some_and(|mark| mark == schema::LIGHT);
        let found = records.into_iter().zip(marks).filter(|(_, mark)| light(mark)).map(|(record, _)| record);
        self.to_complete.extend(found);
        if matches!(self.stage, Stage::Completing) { self.complete(cx) } else { Flow::Continue }
    }

    /// Makes the next light records whole that this node is to hold.
    pub(super) fn complete(&mut self, cx: &mut Context) -> Flow {
        cx.expect_progress(self.id);
        if self.is_busy() || self.reading_marks > 0 {
            return Flow::Continue;
        }
        if self.to_complete.is_empty() {
            return self.end_completing(cx);
        }
        if self.aim == Aim::Fill {
            fill::on_left(cx, self.to_complete.len());
        }
        let batch: Vec<SignedRecord> = self.to_complete.drain(..BATCH.min(self.to_complete.len())).collect();
        for record in batch {
            self.bring(cx, record);
        }
        Flow::Continue
    }

    /// All light records that were remembered have been made whole, or cannot be.
    fn end_completing(&mut self, cx: &mut Context) -> Flow {
        if self.aim == Aim::Fill {
            if !self.is_any_left_light && !self.is_cut {
                fill::on_completed(cx);
            }
            return Flow::Done;
        }
        if core::mem::take(&mut self.is_cut) {
            if core::mem::take(&mut self.has_completed) {
                return self.audit(cx);
            }
            self.failed_more += 1;
        }
        self.name_missing(cx)
    }

    /// Looks for the names of what could not be brought back.
    fn name_missing(&mut self, cx: &mut Context) -> Flow {
        cx.expect_progress(self.id);
        self.stage = Stage::Naming;
        let files = self.failed.values().filter(|record| record.record.body.is_file());
        let files: Vec<SignedRecord> = files.take(INCOMPLETE_MAX).cloned().collect();
        for record in files {
            let number = cx.number();
            query::load_root(cx, self.id, number, &record);
            self.opening.insert(number, record);
        }
        if self.is_busy() { Flow::Continue } else { self.finish(cx) }
    }
}
