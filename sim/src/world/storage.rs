//! Disk operations over time, and what goes wrong with them.

use forever_core::disk::{DiskDone, DiskError, DiskOp, DiskResult};
use forever_core::ids::{BlobKey, OpId};
use forever_core::input::Input;

use super::{Happening, World};
use crate::draw::Site;
use crate::store::{DiskLoss, Event, Fault, Lie};

const TIME: Site = Site::new("world.disk-time");
const READ_ERROR: Site = Site::new("world.read-error");
const WRITE_ERROR: Site = Site::new("world.write-error");
const SYNC_ERROR: Site = Site::new("world.sync-error");
const MISDIRECTED: Site = Site::new("world.misdirected");
const ROT: Site = Site::new("world.bit-rot");
/// Of a thousand writes that fail, how many were done all the same: a commit whose last step failed is one.
const DONE_PER_MILLE: u64 = 300;

const LOST_NAMES: Site = Site::new("world.lost-names");

/// What an operation does to a disk.
#[derive(Clone, Copy)]
struct Access {
    writes: bool,
    of_blobs: bool,
}

impl World {
    /// Begins a disk operation.
    pub(super) fn submit(&mut self, number: usize, op: OpId, what: DiskOp) {
        let host = &mut self.hosts[number];
        host.disk_ops += 1;
        let nth = host.disk_ops;
        let (first, last) = self.scenario.disk_us;
        let mut takes_us = self.draw(TIME, number as u64, nth).between(first.into(), last.max(first).into());
        takes_us += self.slowness(number);
        let host = &mut self.hosts[number];
        let mut at_us = self.now_us + takes_us;
        if matches!(what, DiskOp::Commit { .. }) {
            at_us = at_us.max(host.last_commit_us);
            host.last_commit_us = at_us;
        }
        host.disk.submit(op, what);
        let life = host.life;
        self.queue.push(at_us, Happening::Disk { host: number, life, op, nth });
    }

    /// How much longer operations take, in microseconds.
    fn slowness(&mut self, number: usize) -> u64 {
        let mut extra_us = 0;
        if self.hosts[number].disk_faults.is_empty() {
            return extra_us;
        }
        for (fault, what) in self.hosts[number].disk_faults.clone() {
            if let Fault::SlowDisk { extra_ms, .. } = what {
                extra_us += u64::from(extra_ms) * 1_000;
                self.bite(fault);
            }
        }
        extra_us
    }

    /// An operation is due.
    pub(super) fn finish_disk(&mut self, number: usize, op: OpId, nth: u64) {
        let host = &mut self.hosts[number];
        let result = if host.disk_faults.is_empty() && host.liars.is_empty() {
            host.disk.complete(op)
        } else if let Some(fault) = stalled(&host.disk_faults) {
            let life = host.life;
            self.stalled.entry(number).or_default().push(Happening::Disk { host: number, life, op, nth });
            return self.bite(fault);
        } else {
            self.finish_faulty(number, op, nth)
        };
        if let Some(result) = result {
            self.input(number, Input::DiskDone { op, result });
        }
    }

    fn finish_faulty(&mut self, number: usize, op: OpId, nth: u64) -> Option<DiskResult> {
        let what = self.hosts[number].disk.under_way(op)?;
        let written = match what {
            DiskOp::WriteBlob { blob, .. } => Some(*blob),
            DiskOp::ReadBlob { .. }
            | DiskOp::HasBlobs { .. }
            | DiskOp::Lookup { .. }
            | DiskOp::Scan { .. }
            | DiskOp::Commit { .. }
            | DiskOp::Usage
            | DiskOp::ListBlobs { .. } => None,
        };
        let writes = written.is_some() || matches!(what, DiskOp::Commit { .. });
        let access = Access { writes, of_blobs: written.is_some() || matches!(what, DiskOp::ReadBlob { .. }) };
        if let Some(fault) = self.pretender(number).filter(|_| writes) {
            self.bite(fault);
            return self.hosts[number].disk.pretend(op);
        }
        for (fault, what) in self.hosts[number].disk_faults.clone() {
            if let Some(result) = self.fail_by(number, (fault, &what), op, nth, access) {
                self.bite(fault);
                return Some(result);
            }
        }
        let result = self.hosts[number].disk.complete(op)?;
        match (&result, written) {
            (Ok(DiskDone::Written { new: true }), Some(blob)) => self.mistreat(number, blob, nth),
            (Err(DiskError::Full), _) => self.blame_full(number),
            (Ok(_) | Err(_), _) => {}
        }
        Some(result)
    }

    /// The fault by which a node's disk acknowledges what it does not store.
    fn pretender(&self, number: usize) -> Option<usize> {
        let mut liars = self.hosts[number].liars.iter();
        liars.find(|(_, liar)| liar.lie() == Lie::AcknowledgesOnly).map(|(fault, _)| *fault)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other faults let operations pass")]
    fn fail_by(
        &mut self,
        number: usize,
        (fault, what): (usize, &Fault),
        op: OpId,
        nth: u64,
        Access { writes, of_blobs }: Access,
    ) -> Option<DiskResult> {
        let error = || DiskError::Io("input/output error".into());
        // Several faults of a kind have draws of their own.
        let actor = (fault as u64) << 32 | number as u64;
        let (site, per_mille) = match *what {
            Fault::ReadErrors { per_mille, part, .. } if !writes && part.meets(of_blobs) => (READ_ERROR, per_mille),
            Fault::WriteErrors { per_mille, part, .. } if writes && part.meets(of_blobs) => (WRITE_ERROR, per_mille),
            Fault::SyncErrors { per_mille, part, .. } if writes && part.meets(of_blobs) => (SYNC_ERROR, per_mille),
            _ => return None,
        };
        let mut draw = self.draw(site, actor, nth);
        if !draw.per_mille(per_mille.into()) {
            return None;
        }
        let disk = &mut self.hosts[number].disk;
        if site == SYNC_ERROR {
            disk.fail_sync(op)
        } else if site == WRITE_ERROR && draw.per_mille(DONE_PER_MILLE) {
            disk.fail_after(op, error())
        } else {
            disk.fail(op, error())
        }
    }

    /// A blob was written and acknowledged: was it, where it should be?
    fn mistreat(&mut self, number: usize, blob: BlobKey, nth: u64) {
        for (fault, what) in self.hosts[number].disk_faults.clone() {
            if let Fault::Misdirected { per_mille, .. } = what {
                let mut draw = self.draw(MISDIRECTED, (fault as u64) << 32 | number as u64, nth);
                if draw.per_mille(per_mille.into()) {
                    self.misdirect(number, fault, blob, &mut draw);
                }
            }
            if let Fault::LostDirSyncs { .. } = what {
                self.hosts[number].unsynced.insert(blob);
            }
        }
    }

    /// What was written lies on top of another blob.
    fn misdirect(&mut self, number: usize, fault: usize, blob: BlobKey, draw: &mut crate::draw::Draw) {
        let disk = &mut self.hosts[number].disk;
        let others: Vec<BlobKey> = disk.blobs().filter(|other| *other != blob).collect();
        let mut lost = vec![blob];
        disk.damage(&blob, draw);
        if !others.is_empty() {
            let victim = *draw.pick(&others);
            disk.damage(&victim, draw);
            lost.push(victim);
        }
        self.bite(fault);
        self.tell_oracles(Event::Lost { node: number, what: DiskLoss::Blobs(lost) });
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "no other fault fills a disk")]
    fn blame_full(&mut self, number: usize) {
        let faults = &self.hosts[number].disk_faults;
        let full = faults.iter().find_map(|(fault, what)| match what {
            Fault::Full { .. } => Some(*fault),
            _ => None,
        });
        full.into_iter().for_each(|fault| self.bite(fault));
    }

    /// Bits of some blobs flip, and stay flipped.
    pub(super) fn rot(&mut self, fault: usize, number: usize, per_mille: u32) {
        let blobs: Vec<BlobKey> = self.hosts[number].disk.blobs().collect();
        let mut lost = Vec::new();
        for (nth, blob) in (0..).zip(blobs) {
            let mut draw = self.draw(ROT, (fault as u64) << 32 | number as u64, nth);
            if draw.per_mille(per_mille.into()) && self.hosts[number].disk.damage(&blob, &mut draw) {
                lost.push(blob);
            }
        }
        if !lost.is_empty() {
            self.bite(fault);
            self.tell_oracles(Event::Lost { node: number, what: DiskLoss::Blobs(lost) });
        }
    }

    /// The power is gone, and with it names that the disk said were durable.
    pub(super) fn lose_names(&mut self, number: usize) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "no other fault loses names")]
        let liar = self.hosts[number].disk_faults.iter().find_map(|(fault, what)| match what {
            Fault::LostDirSyncs { .. } => Some(*fault),
            _ => None,
        });
        let Some(fault) = liar else { return };
        let mut lost = Vec::new();
        for (nth, blob) in (0..).zip(std::mem::take(&mut self.hosts[number].unsynced)) {
            let gone = self.draw(LOST_NAMES, (fault as u64) << 32 | number as u64, nth).per_mille(500);
            if gone && self.hosts[number].disk.lose_name(&blob) {
                lost.push(blob);
            }
        }
        if !lost.is_empty() {
            self.bite(fault);
            self.tell_oracles(Event::Lost { node: number, what: DiskLoss::Blobs(lost) });
        }
    }

    /// The disk of a host goes on after a stall.
    pub(super) fn resume_disk(&mut self, number: usize) {
        for happening in self.stalled.remove(&number).unwrap_or_default() {
            self.queue.push(self.now_us, happening);
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "no other fault stalls a disk")]
fn stalled(faults: &std::collections::BTreeMap<usize, Fault>) -> Option<usize> {
    faults.iter().find_map(|(fault, what)| match what {
        Fault::StalledDisk { .. } => Some(*fault),
        _ => None,
    })
}
