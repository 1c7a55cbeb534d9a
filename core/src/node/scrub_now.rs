//! A scrub that was asked for: every record, page and blob is read at once. One that is cut short is gone on with by the next.

use alloc::collections::VecDeque;
use alloc::string::ToString;
use core::time::Duration;

use bytes::Bytes;

use crate::disk::{DiskDone, DiskError, DiskOp};
use crate::event::{RequestError, ScrubReport, What};
use crate::ids::{BlobKey, OpId, RequestId};
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::presence;
use crate::node::scrub;
use crate::node::task::{Flow, Task, TaskStep};
use crate::sometimes;
use crate::time::Monotonic;

/// Blobs being read at once, and their bytes: enough to keep a disk busy, few enough for its other work and for memory.
const READS_MAX: usize = 4;
const READ_BYTES_MAX: u64 = 8 << 20;

/// How often the caller is told how far it is, and the place is kept.
const TELL_EVERY: Duration = Duration::from_millis(250);
const KEEP_EVERY: Duration = Duration::from_secs(2);

/// What it waits for.
#[derive(Debug)]
pub(crate) enum ScrubNowStep {
    Usage,
    List,
    Read(BlobKey, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Records and pages are being checked.
    Records,
    Blobs,
    /// What was found damaged or missing is being fetched.
    Mending,
}

/// The request.
#[derive(Debug)]
pub(crate) struct ScrubNow {
    id: RequestId,
    from_start: bool,
    stage: Stage,
    /// Blobs to read next, and their lengths in bytes.
    batch: VecDeque<(BlobKey, u64)>,
    more: bool,
    listing: bool,
    /// Blobs being read, in order, and whether each is done: the place is the last before which all are.
    reading: VecDeque<(BlobKey, u64, bool)>,
    mended_before: u64,
    told_at: Monotonic,
    kept_at: Monotonic,
    /// The oldest operation that was under way when there had been no progress for long.
    oldest: Option<OpId>,
    report: ScrubReport,
}

impl ScrubNow {
    pub(crate) fn new(id: RequestId, from_start: bool) -> Self {
        Self {
            id,
            from_start,
            stage: Stage::Records,
            batch: VecDeque::new(),
            more: true,
            listing: false,
            reading: VecDeque::new(),
            mended_before: 0,
            told_at: Monotonic::default(),
            kept_at: Monotonic::default(),
            oldest: None,
            report: ScrubReport::default(),
        }
    }

    fn fail_disk(&self, cx: &mut Context, error: &DiskError) -> Flow {
        cx.fail(self.id, RequestError::Disk(error.to_string()));
        Flow::Done
    }

    fn disk(&self, cx: &mut Context, what: DiskOp, step: ScrubNowStep) {
        cx.disk(what, Pending::Task(self.id, TaskStep::ScrubNow(step)));
    }

    fn reading_bytes(&self) -> u64 {
        self.reading.iter().filter(|(_, _, done)| !done).map(|(_, len, _)| *len).sum()
    }

    /// Reads as many blobs as may be under way; lists further ones, and ends after the last.
    fn pump(&mut self, cx: &mut Context) -> Flow {
        if self.stage != Stage::Blobs {
            return Flow::Continue;
        }
        while self.reading.len() < READS_MAX && cx.mends.has_room() {
            let Some((blob, len)) = self.batch.front().copied() else { break };
            if !self.reading.is_empty() && self.reading_bytes() + len > READ_BYTES_MAX {
                break;
            }
            self.batch.pop_front();
            self.reading.push_back((blob, len, false));
            self.disk(cx, DiskOp::ReadBlob { blob }, ScrubNowStep::Read(blob, len));
        }
        if !self.reading.is_empty() || !self.batch.is_empty() || self.listing {
            return Flow::Continue;
        }
        if self.more {
            self.listing = true;
            let list = DiskOp::ListBlobs { after: cx.scrub.places.asked, limit: scrub::BATCH };
            self.disk(cx, list, ScrubNowStep::List);
            return Flow::Continue;
        }
        self.stage = Stage::Mending;
        // All has just been read, so the scrub that takes its time begins anew, too.
        scrub::begin_anew(cx);
        self.finish_if_mended(cx)
    }

    fn on_read(&mut self, cx: &mut Context, blob: BlobKey, len: u64, read: Result<Bytes, DiskError>) -> Flow {
        match &read {
            Ok(_) => {}
            Err(DiskError::Corrupt) => self.report.damaged += 1,
            // It was dropped since it was listed.
            Err(DiskError::NotFound) => {}
            Err(DiskError::Mismatch | DiskError::Full | DiskError::Io(_) | DiskError::Degraded(_)) => {
                self.report.unreadable += 1;
            }
        }
        self.report.blobs += 1;
        self.report.bytes += len;
        scrub::on_read(cx, blob, read);
        if let Some(entry) = self.reading.iter_mut().find(|(other, ..)| *other == blob) {
            entry.2 = true;
        }
        while let Some((blob, _, true)) = self.reading.front().copied() {
            self.reading.pop_front();
            cx.scrub.places.asked = Some(blob);
        }
        if cx.now.mono - self.kept_at >= KEEP_EVERY {
            self.kept_at = cx.now.mono;
            scrub::keep_places(cx);
        }
        self.tell(cx);
        self.pump(cx)
    }

    /// Tells the caller how far it is, not too often.
    fn tell(&mut self, cx: &mut Context) {
        cx.expect_progress(self.id);
        if cx.now.mono - self.told_at >= TELL_EVERY {
            self.told_at = cx.now.mono;
            let report = self.report(cx);
            cx.event(self.id, What::ScrubProgress(report));
        }
    }

    fn report(&self, cx: &Context) -> ScrubReport {
        let found = cx.presence.found();
        ScrubReport {
            records: found.records,
            pages: found.pages,
            damaged_records: found.damaged,
            incomplete: found.lacking,
            mended: cx.counters.mended - self.mended_before,
            unmended: cx.mends.failed(),
            ..self.report.clone()
        }
    }

    fn finish_if_mended(&mut self, cx: &mut Context) -> Flow {
        if self.stage != Stage::Mending || !cx.mends.is_idle() {
            return Flow::Continue;
        }
        let report = self.report(cx);
        cx.event(self.id, What::Scrubbed(report));
        Flow::Done
    }
}

impl Task for ScrubNow {
    fn start(&mut self, cx: &mut Context) -> Flow {
        if self.from_start {
            cx.scrub.places.asked = None;
        }
        self.report.resumed = cx.scrub.places.asked.is_some();
        if self.report.resumed {
            sometimes!(cx.simulation, "scrub.asked-for-one-resumed");
        }
        self.mended_before = cx.counters.mended;
        self.kept_at = cx.now.mono;
        self.tell(cx);
        presence::hurry(cx);
        Flow::Continue
    }

    fn on_presence_checked(&mut self, cx: &mut Context, done: bool) -> Flow {
        self.tell(cx);
        if done && self.stage == Stage::Records {
            self.stage = Stage::Blobs;
            cx.expect_progress(self.id);
            self.disk(cx, DiskOp::Usage, ScrubNowStep::Usage);
        }
        Flow::Continue
    }

    fn on_completion(&mut self, cx: &mut Context, step: TaskStep, completion: Completion) -> Flow {
        let TaskStep::ScrubNow(step) = step else { return Flow::Continue };
        match step {
            ScrubNowStep::Read(blob, len) => self.on_read(cx, blob, len, completion.blob()),
            ScrubNowStep::Usage | ScrubNowStep::List => match completion.disk() {
                Ok(DiskDone::Usage(usage)) => {
                    self.report.blobs_total = usage.blobs;
                    self.report.bytes_total = usage.blob_bytes;
                    self.pump(cx)
                }
                Ok(DiskDone::Blobs { blobs, more }) => {
                    self.listing = false;
                    self.batch = blobs.into();
                    self.more = more;
                    self.pump(cx)
                }
                Ok(_) => Flow::Continue,
                Err(error) => self.fail_disk(cx, &error),
            },
        }
    }

    fn on_mends_idle(&mut self, cx: &mut Context) -> Flow {
        match self.pump(cx) {
            Flow::Done => Flow::Done,
            Flow::Continue => self.finish_if_mended(cx),
        }
    }

    /// No progress for long: the records take long, or what is to be mended does. Only a disk that answers nothing is given up.
    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        let oldest = cx.pending.keys().min().copied();
        let before = core::mem::replace(&mut self.oldest, oldest);
        let waits_for_blobs = self.stage == Stage::Blobs && (!self.reading.is_empty() || self.listing);
        if waits_for_blobs || oldest.is_some() && oldest == before {
            cx.fail(self.id, RequestError::Deadline(cx.config.request_timeout.as_secs()));
            return Flow::Done;
        }
        self.tell(cx);
        Flow::Continue
    }

    fn on_end_of_task(&mut self, cx: &mut Context) {
        cx.scrub.asked = false;
        presence::calm(cx);
        scrub::keep_places(cx);
        scrub::resume(cx);
    }
}
