//! A peer that lies, one frame at a time: it meddles with what its honest core sends. The same in both tiers.
//!
//! With [`Lie::AcknowledgesOnly`], the disk says that it has stored what it has not; an honest core that does not find a record
//! there afterwards refuses it, and here it says all the same that it has it.

use std::collections::BTreeMap;

use bytes::Bytes;
use forever_core::bulk::Bulk;
use forever_core::frame::{ANSWER_RECORDS_MAX, AnnounceOutcome, Frame, HEADER_LEN_MAX, HeldRecord, SyncOutcome};
use forever_core::ids::{NameId, OwnerId};
use forever_core::record::{RECORD_LEN_MAX, Record};

use super::fault::Lie;
use crate::draw::{Draw, Draws, Site};

const CHANGES: Site = Site::new("liar.change");

/// The names of which a liar remembers the oldest record; further ones it tells the truth about.
const NAMES_MAX: usize = 4_096;

/// In front of the bincode of a record: what it is, and the version of its format.
const RECORD_MAGIC_LEN: usize = 5;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes out as it was.
    Honest,
    /// It was changed.
    Changed,
}

/// A liar. It sees all frames that a node sends.
#[derive(Debug)]
pub struct Liar {
    lie: Lie,
    draws: Draws,
    actor: u64,
    nth: u64,
    /// The oldest record it has sent or been sent of each name.
    oldest: BTreeMap<(OwnerId, NameId), (Record, Bytes)>,
}

impl Liar {
    /// A liar. `actor` tells it from other liars of the same seed.
    #[must_use]
    pub const fn new(lie: Lie, draws: Draws, actor: u64) -> Self {
        Self { lie, draws, actor, nth: 0, oldest: BTreeMap::new() }
    }

    /// Which lie it is.
    #[must_use]
    pub const fn lie(&self) -> Lie {
        self.lie
    }

    /// Sees a frame that the node receives, so that it has old records to answer with.
    pub fn hear(&mut self, frame: &Frame) {
        if self.lie == Lie::OldRecords {
            each_record(frame, |bytes| self.remember(bytes));
        }
    }

    /// Changes a frame that the node sends, or does not.
    pub fn meddle(&mut self, frame: &mut Frame) -> Fate {
        match self.lie {
            Lie::WrongBytes => self.flip_payload(frame),
            Lie::AcknowledgesOnly => acknowledge(frame),
            Lie::ForgedRecords => self.change_records(frame, Self::forged),
            Lie::OldRecords => {
                each_record(frame, |bytes| self.remember(bytes));
                // Only answers: what it announces is its own, and nobody but itself would lose by that.
                if matches!(frame, Frame::Announce { .. }) {
                    return Fate::Honest;
                }
                self.change_records(frame, Self::older)
            }
            Lie::Withholds => withhold(frame),
            Lie::AbsurdSizes => self.inflate(frame),
        }
    }

    fn draw(&mut self) -> Draw {
        self.nth += 1;
        self.draws.at(CHANGES, self.actor, self.nth)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only data has a payload")]
    fn flip_payload(&mut self, frame: &mut Frame) -> Fate {
        match frame {
            Frame::Data { payload, .. } => {
                let mut bytes = std::mem::take(payload).into_bytes().to_vec();
                let mut draw = self.draw();
                let place = draw.index(bytes.len());
                bytes[place] ^= 1 << draw.below(8);
                *payload = Bulk::from(Bytes::from(bytes));
                Fate::Changed
            }
            _ => Fate::Honest,
        }
    }

    /// Puts another record in the place of each; `None` leaves it.
    fn change_records(&mut self, frame: &mut Frame, other: fn(&mut Self, &Bytes) -> Option<Bytes>) -> Fate {
        let mut fate = Fate::Honest;
        each_record_mut(frame, |bytes| {
            if let Some(changed) = other(self, bytes) {
                *bytes = changed;
                fate = Fate::Changed;
            }
        });
        fate
    }

    fn forged(&mut self, bytes: &Bytes) -> Option<Bytes> {
        let mut draw = self.draw();
        if bytes.is_empty() || draw.per_mille(300) {
            return None;
        }
        let mut forged = bytes.to_vec();
        let place = draw.index(forged.len());
        forged[place] ^= 1 << draw.below(8);
        Some(forged.into())
    }

    fn older(&mut self, bytes: &Bytes) -> Option<Bytes> {
        let record = decode(bytes)?;
        let (oldest, old) = self.oldest.get(&(record.owner, record.name_id))?;
        (oldest.version < record.version).then(|| old.clone())
    }

    fn remember(&mut self, bytes: &Bytes) {
        let Some(record) = decode(bytes) else { return };
        let name = (record.owner, record.name_id);
        let is_older = self.oldest.get(&name).is_none_or(|(oldest, _)| record.version < oldest.version);
        if is_older && (self.oldest.len() < NAMES_MAX || self.oldest.contains_key(&name)) {
            self.oldest.insert(name, (record, bytes.clone()));
        }
    }

    /// Says sizes that cannot be, in half of the frames that have any: a peer that gets nothing else hangs up at once.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other frames have no sizes")]
    fn inflate(&mut self, frame: &mut Frame) -> Fate {
        let mut draw = self.draw();
        if draw.per_mille(500) {
            return Fate::Honest;
        }
        match frame {
            Frame::Want { len, .. } => *len = *draw.pick(&[0, u32::MAX, 1 << 30]),
            Frame::Data { offset, .. } => *offset = *draw.pick(&[u32::MAX, 1 << 31, offset.wrapping_add(1)]),
            Frame::Offer { chunks, .. } => {
                for chunk in chunks.iter_mut() {
                    chunk.len = *draw.pick(&[0, 1, u32::MAX]);
                }
            }
            Frame::Records { records, .. } => {
                let Some(first) = records.first().cloned() else { return Fate::Honest };
                let most = HEADER_LEN_MAX / (RECORD_LEN_MAX + 8);
                records.resize_with(most.max(ANSWER_RECORDS_MAX + 1), || first.clone());
            }
            Frame::Stored { fetched, .. } => {
                let Some(first) = fetched.first().copied() else { return Fate::Honest };
                fetched.resize(HEADER_LEN_MAX / 40, first);
            }
            _ => return Fate::Honest,
        }
        Fate::Changed
    }
}

/// Says that it has stored what it has refused.
#[expect(clippy::wildcard_enum_match_arm, reason = "only records are refused")]
fn acknowledge(frame: &mut Frame) -> Fate {
    match frame {
        Frame::Announced { outcome: outcome @ AnnounceOutcome::Refused(_), .. } => *outcome = AnnounceOutcome::Stored,
        _ => return Fate::Honest,
    }
    Fate::Changed
}

/// Says that there is nothing.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other frames answer no question")]
fn withhold(frame: &mut Frame) -> Fate {
    match frame {
        Frame::Records { records, next, .. } if !records.is_empty() || !next.is_empty() => {
            records.clear();
            *next = Bytes::new();
        }
        Frame::Found { records, .. } if !records.is_empty() => records.clear(),
        Frame::Synced { outcome, .. } if *outcome != SyncOutcome::Same => *outcome = SyncOutcome::Same,
        Frame::Data { want, .. } => *frame = Frame::Unavailable { want: *want },
        _ => return Fate::Honest,
    }
    Fate::Changed
}

/// What a record says, whether or not its signature is right.
pub(crate) fn decode(bytes: &Bytes) -> Option<Record> {
    let encoded = bytes.get(RECORD_MAGIC_LEN..)?;
    let config = bincode::config::standard().with_limit::<RECORD_LEN_MAX>();
    bincode::serde::decode_from_slice(encoded, config).ok().map(|(record, _)| record)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the other frames carry no records")]
fn each_record(frame: &Frame, mut see: impl FnMut(&Bytes)) {
    match frame {
        Frame::Announce { record, .. }
        | Frame::Announced { outcome: AnnounceOutcome::Superseded { by: record }, .. } => see(record),
        Frame::Records { records, .. } => records.iter().for_each(|HeldRecord { record, .. }| see(record)),
        Frame::Found { records, .. } | Frame::Tell { records, .. } => records.iter().for_each(see),
        _ => {}
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the other frames carry no records")]
fn each_record_mut(frame: &mut Frame, mut change: impl FnMut(&mut Bytes)) {
    match frame {
        Frame::Announce { record, .. }
        | Frame::Announced { outcome: AnnounceOutcome::Superseded { by: record }, .. } => change(record),
        Frame::Records { records, .. } => records.iter_mut().for_each(|HeldRecord { record, .. }| change(record)),
        Frame::Found { records, .. } | Frame::Tell { records, .. } => records.iter_mut().for_each(change),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
