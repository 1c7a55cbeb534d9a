use alloc::format;
use alloc::string::ToString;

use super::*;
use crate::secrets::OwnerSecret;

fn keys() -> OwnerKeys {
    OwnerKeys::derive(&OwnerSecret::new([7; 32]))
}

fn ticket() -> Ticket {
    Ticket {
        owner: keys().owner_id(),
        name_id: NameId([1; 32]),
        record: RecordId([2; 32]),
        root_key: PageKey::new([3; 32]),
        expires_ms: 1_767_225_600_000,
    }
}

#[test]
fn tickets_verify_as_what_was_signed_and_come_back_from_their_text() {
    let signed = SignedTicket::sign(&keys(), &ticket());
    assert_eq!(signed.0.len(), TICKET_LEN);
    let text = signed.to_text();
    assert!(text.starts_with("forever1"), "{text}");
    assert_eq!(text.len(), 342);
    for form in [text.clone(), text.to_uppercase(), format!(" {text}\n")] {
        assert_eq!(form.parse(), Ok(signed.clone()));
    }
    assert_eq!(signed.verify(), Ok(ticket()));
}

#[test]
fn every_flipped_bit_is_refused() {
    let bytes = SignedTicket::sign(&keys(), &ticket()).0;
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(SignedTicket(bad.into()).verify().is_err(), "bit {bit}");
    }
}

#[test]
fn any_other_length_is_refused() {
    let mut bytes = SignedTicket::sign(&keys(), &ticket()).0.to_vec();
    bytes.push(0);
    assert_eq!(SignedTicket(bytes.clone().into()).verify(), Err(TicketError::Length { len: 206 }));
    for len in MAGIC.len()..TICKET_LEN {
        let refused = SignedTicket(Bytes::copy_from_slice(&bytes[..len])).verify();
        assert!(matches!(refused, Err(TicketError::Length { .. })), "{len} bytes");
    }
    assert_eq!(SignedTicket(Bytes::new()).verify(), Err(TicketError::UnknownFormat));
}

#[test]
fn newer_format_is_told_apart_whatever_its_length() {
    let mut bytes = SignedTicket::sign(&keys(), &ticket()).0.to_vec();
    bytes[4] = 2;
    bytes.push(0);
    let newer: SignedTicket = SignedTicket(bytes.into()).to_text().parse().unwrap();
    assert_eq!(newer.verify(), Err(TicketError::UnknownFormat));
}

#[test]
fn another_owners_signature_is_refused() {
    let other = OwnerKeys::derive(&OwnerSecret::new([8; 32]));
    let theirs = SignedTicket::sign(&other, &Ticket { owner: other.owner_id(), ..ticket() });
    let mut bytes = theirs.0.to_vec();
    bytes[5..37].copy_from_slice(keys().owner_id().as_bytes());
    assert_eq!(SignedTicket(bytes.into()).verify(), Err(TicketError::BadSignature));
}

#[test]
fn signatures_of_other_kinds_are_refused() {
    let body = SignedTicket::sign(&keys(), &ticket()).0[..BODY_LEN].to_vec();
    let intent = signature::sign(&keys(), b"foreverstore 2026 upload intent signature\0", body);
    assert_eq!(SignedTicket(intent.into()).verify(), Err(TicketError::BadSignature));
}

#[test]
fn text_with_any_character_changed_lost_or_added_is_no_ticket() {
    let text = SignedTicket::sign(&keys(), &ticket()).to_text();
    for at in 0..text.len() {
        let mut bad = text.clone().into_bytes();
        bad[at] = if bad[at] == b'q' { b'p' } else { b'q' };
        let changed = String::from_utf8(bad).unwrap();
        assert_eq!(changed.parse::<SignedTicket>(), Err(TicketError::Text), "character {at} changed");
        let shorter = format!("{}{}", &text[..at], &text[at + 1..]);
        assert_eq!(shorter.parse::<SignedTicket>(), Err(TicketError::Text), "character {at} lost");
    }
    let mixed = text.replacen("forever1", "Forever1", 1);
    let elsewhere = bech32::encode_lower::<Bech32m>(Hrp::parse_unchecked("never"), &[1; TICKET_LEN]).unwrap();
    let older = bech32::encode_lower::<bech32::Bech32>(prefix(), &[1; TICKET_LEN]).unwrap();
    let long = format!("forever1{}", "q".repeat(2_000));
    for bad in ["", "forever1", "forever1qqqqqq", &mixed, &elsewhere, &older, &long] {
        assert_eq!(bad.parse::<SignedTicket>(), Err(TicketError::Text), "{bad}");
    }
}

#[test]
fn a_ticket_is_void_from_its_expiry_on() {
    let ticket = ticket();
    assert_eq!(ticket.expired_for_ms(ticket.expires_ms - 1), None);
    assert_eq!(ticket.expired_for_ms(ticket.expires_ms), Some(0));
    assert_eq!(ticket.expired_for_ms(ticket.expires_ms + 5), Some(5));
}

#[test]
fn the_key_shows_in_no_debug_output() {
    let signed = SignedTicket::sign(&keys(), &ticket());
    for text in [format!("{signed:?}"), format!("{:?}", ticket())] {
        assert!(text.contains("***"), "{text}");
        assert!(!text.contains("03, 03") && !text.contains("3, 3") && !text.contains("0303"), "{text}");
        assert!(!text.contains(&signed.to_text()[8..40].to_string()), "{text}");
    }
}
