//! What the fuzz targets do with their bytes. The tests replay the corpus through the same functions.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::codec::{Bincode, Codec};
use crate::ids::PageId;
use crate::intent::SignedIntent;
use crate::manifest::check_page;
use crate::reconcile::{self, Asker, Item, Items};
use crate::record::{self, SignedRecord};
use crate::secrets::{OwnerKeys, OwnerSecret};
use crate::ticket::{self, SignedTicket};

/// Decodes bytes as a frame: the first two are the header's length (little endian), then header, then payload.
///
/// # Panics
/// When a frame that decodes does not survive being encoded again.
pub fn frame_decode(data: &[u8]) {
    let Some((len, rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let (header, payload) = rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()));
    let payload = Bytes::copy_from_slice(payload);
    if let Ok(frame) = Bincode.decode(header, payload.clone()) {
        let mut again = Vec::new();
        Bincode.encode(&frame, &mut again);
        assert!(again.len() <= header.len(), "an encoding is never longer than needed");
        assert_eq!(Bincode.decode(&again, payload), Ok(frame));
    }
}

/// Verifies bytes as a record, an intent and a page; then as the body of a record that a known owner signed, so that the
/// rules behind the signature are reached too.
///
/// # Panics
/// When something is accepted that is not in its one canonical form.
pub fn record_verify(data: &[u8]) {
    check_record(Bytes::copy_from_slice(data), None);
    let _ = SignedIntent::verify(data);
    let _ = check_page(PageId(*blake3::hash(data).as_bytes()), data);
    let keys = OwnerKeys::derive(&OwnerSecret::new([7; 32]));
    check_record(record::sign_bytes(&keys, data), Some(&keys));
}

/// Reads bytes as a ticket's text, verifies them as a ticket, and then as the body of one that a known owner signed.
///
/// # Panics
/// When something is accepted that is not in its one form.
pub fn ticket_decode(data: &[u8]) {
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(ticket) = text.parse::<SignedTicket>()
    {
        assert!(ticket.to_text().eq_ignore_ascii_case(text.trim()), "a ticket has one text");
        let _ = ticket.verify();
    }
    let bytes = SignedTicket(Bytes::copy_from_slice(data));
    let _ = bytes.verify();
    let keys = OwnerKeys::derive(&OwnerSecret::new([7; 32]));
    let signed = ticket::sign_bytes(&keys, data);
    if let Ok(ticket) = signed.verify() {
        assert_eq!(SignedTicket::sign(&keys, &ticket), signed, "a ticket has one form");
        assert_eq!(signed.to_text().parse(), Ok(signed));
    }
}

/// Takes bytes, as they are and behind the version of the protocol, for a message about a set of records, at both ends.
///
/// # Panics
/// When an answer is longer than a message may be.
pub fn reconcile_message(data: &[u8]) {
    let items: Items = (0..100_u8).map(|number| Item(*blake3::hash(&[number]).as_bytes())).collect();
    let (mut asker, first) = Asker::begin(items.clone());
    for start in [&[][..], first.get(..1).unwrap_or_default()] {
        let message = [start, data].concat();
        if let Ok(answer) = reconcile::answer(&items, &message) {
            assert!(answer.len() <= reconcile::MESSAGE_LEN_MAX, "an answer fits its frame");
        }
        let _ = asker.on_answer(&message);
    }
}

fn check_record(bytes: Bytes, signer: Option<&OwnerKeys>) {
    let Ok(verified) = SignedRecord::verify(bytes.clone()) else {
        return;
    };
    assert_eq!(verified.bytes, bytes, "a record is stored as it came");
    if let Some(keys) = signer {
        assert_eq!(SignedRecord::sign(keys, verified.record), verified, "a record has one form");
    }
}
