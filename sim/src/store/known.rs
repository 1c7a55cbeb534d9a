//! What callers know of how earlier operations ended: the versions of files, and the tickets they were given.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use forever_core::command::VersionSelector;
use forever_core::event::Share;
use forever_core::ids::NodeId;
use forever_core::ticket::SignedTicket;
use forever_core::version::Version;

use super::{OpKind, OpResult, names};

/// What callers know.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By owner and file.
    versions: BTreeMap<(usize, u32), BTreeSet<Version>>,
    /// By number.
    tickets: BTreeMap<u32, Share>,
}

/// What a caller brings along besides its operation.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The version that it asks for, if it is an old one, or that its ticket opens.
    pub version: Option<VersionSelector>,
    /// The ticket, as it has come to it.
    pub ticket: Option<SignedTicket>,
    /// The node that it is about, if it is about another than the one that is asked.
    pub member: Option<NodeId>,
}

impl Known {
    /// Takes note of how an operation by a device of an owner has ended.
    pub(crate) fn note(&mut self, owner: usize, what: &OpKind, result: &OpResult) {
        if let OpResult::Put(report) = result
            && let Some(file) = names::file_of(&report.file.name)
        {
            self.versions.entry((owner, file)).or_default().insert(report.file.version);
        }
        if let (OpKind::Share { ticket, .. }, OpResult::Shared(share)) = (what, result) {
            self.tickets.insert(*ticket, share.clone());
        }
    }

    /// What a caller at a device of an owner asks for; `None` if it has no ticket although it needs one.
    pub(crate) fn asked(&self, owner: usize, what: &OpKind) -> Option<Asked> {
        match what {
            OpKind::Get { file, old: Some(nth), .. } | OpKind::Share { file, old: Some(nth), .. } => {
                Some(Asked { version: self.old(owner, *file, *nth), ..Asked::default() })
            }
            OpKind::Redeem { ticket, forged, .. } => {
                let share = self.tickets.get(ticket)?;
                let ticket = forged.map_or_else(|| share.ticket.clone(), |bit| with_bit_flipped(&share.ticket, bit));
                let version = Some(VersionSelector::from(&share.file.version));
                Some(Asked { version, ticket: Some(ticket), member: None })
            }
            OpKind::Get { old: None, .. }
            | OpKind::Share { old: None, .. }
            | OpKind::Put { .. }
            | OpKind::Delete { .. }
            | OpKind::Undelete { .. }
            | OpKind::List
            | OpKind::ListPart(_)
            | OpKind::Stat { .. }
            | OpKind::Versions { .. }
            | OpKind::Evict { .. }
            | OpKind::Restore
            | OpKind::Scrub { .. }
            | OpKind::Fsck
            | OpKind::Leave
            | OpKind::Forget { .. } => Some(Asked::default()),
        }
    }

    /// The so many-th oldest version that is known of a file.
    fn old(&self, owner: usize, file: u32, nth: u32) -> Option<VersionSelector> {
        let versions = self.versions.get(&(owner, file)).filter(|versions| !versions.is_empty())?;
        versions.iter().nth(nth as usize % versions.len()).map(VersionSelector::from)
    }
}

fn with_bit_flipped(ticket: &SignedTicket, bit: u32) -> SignedTicket {
    let mut bytes = ticket.0.to_vec();
    let place = bit as usize % (bytes.len() * 8);
    bytes[place / 8] ^= 1 << (place % 8);
    SignedTicket(Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use forever_core::event::FileInfo;

    use super::*;

    fn shared() -> (Known, OpKind, SignedTicket) {
        let version = Version { wall_ms: 5, counter: 0, node: NodeId([1; 32]) };
        let file = FileInfo {
            name: names::of(3),
            version,
            size: 0,
            chunks: 0,
            mtime_ms: None,
            mode: None,
            content_type: None,
            etag: Default::default(),
        };
        let ticket = SignedTicket(Bytes::from_static(b"a ticket"));
        let mut known = Known::default();
        let share = OpKind::Share { ticket: 7, file: 3, old: None, valid_ms: 1_000 };
        known.note(0, &share, &OpResult::Shared(Share { file, expires_ms: 9, ticket: ticket.clone() }));
        (known, OpKind::Redeem { ticket: 7, range: None, forged: None }, ticket)
    }

    #[test]
    fn whoever_redeems_a_ticket_has_the_one_that_was_made_under_its_number_or_none() {
        let (known, redeem, ticket) = shared();
        let asked = known.asked(4, &redeem).unwrap();
        assert_eq!(asked.ticket, Some(ticket));
        assert!(asked.version.is_some());
        assert!(known.asked(4, &OpKind::Redeem { ticket: 8, range: None, forged: None }).is_none());
    }

    #[test]
    fn a_ticket_that_was_changed_on_its_way_differs_in_one_bit() {
        let (known, _, ticket) = shared();
        let asked = known.asked(0, &OpKind::Redeem { ticket: 7, range: None, forged: Some(1_000) }).unwrap();
        let forged = asked.ticket.unwrap();
        let flipped = |(one, other): (&u8, &u8)| (one ^ other).count_ones();
        assert_eq!(forged.0.iter().zip(ticket.0.iter()).map(flipped).sum::<u32>(), 1);
    }
}
