//! Tickets: another owner's node reads one version of one file, and nothing else.

use std::time::Duration;

use crate::harness::{World, content, name};
use bytes::Bytes;
use forever_core::command::{Command, CommandError, RangeRequest, VersionSelector};
use forever_core::disk::DiskOp;
use forever_core::event::{RequestError, Share, What};
use forever_core::frame::Frame;
use forever_core::ids::{ChunkId, NodeId, ObjectId, PageId, RecordId};
use forever_core::manifest::{Children, ChunkRef, FileMeta, PageContext, PagePublic, PageRef, PageSecrets, seal_page};
use forever_core::output::Output;
use forever_core::placement::Replicas;
use forever_core::record::{Record, RecordBody, Retention, SignedRecord};
use forever_core::secrets::{ChunkKey, PageKey};
use forever_core::ticket::{SignedTicket, Ticket, TicketError, VALID_MS_MAX};
use forever_core::version::Version;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// The owner who shares, a peer that stores, and whoever was given the ticket: a node that joins after the put, so that it
/// holds nothing of the file.
const OWNER: usize = 0;
const PEER: usize = 1;
const READER: usize = 2;

/// A file on owner and peer, and a reader that holds nothing of it.
fn stored(bytes: &[u8]) -> World {
    let mut world = World::new(3);
    for host in [OWNER, PEER] {
        world.cut(host, READER, true);
    }
    world.put(OWNER, "file", bytes).unwrap();
    for host in [OWNER, PEER] {
        world.cut(host, READER, false);
    }
    // The record is owed to the reader, whose node would pull the file, and repair it: what is owed never arrives, and it
    // learns from nobody what it lacks.
    world.meddle = Some(Box::new(|_, to, frame| {
        to != READER || !matches!(frame, Frame::Announce { .. } | Frame::Synced { .. } | Frame::Tell { .. })
    }));
    world.run_for(Duration::from_secs(120));
    world.take_trace(READER);
    world
}

fn share_of(world: &mut World, file: &str, version: Option<VersionSelector>) -> Share {
    let command = Command::Share { name: name(file), version, valid_ms: 7 * DAY_MS };
    match world.ask(OWNER, command) {
        What::Shared(share) => share,
        other => panic!("a share was told {other:?}"),
    }
}

fn share(world: &mut World) -> Share {
    share_of(world, "file", None)
}

fn read(world: &mut World, host: usize, ticket: &SignedTicket) -> Result<Vec<u8>, RequestError> {
    world.get_with(host, Command::GetShared { ticket: ticket.clone(), range: None })
}

#[test]
fn another_owners_node_reads_the_file_by_its_ticket_and_keeps_nothing() {
    let bytes = content(20_500, 1);
    let mut world = stored(&bytes);
    let share = share(&mut world);
    assert_eq!((share.file.name.as_str(), share.file.size), ("file", 20_500));
    assert_eq!(read(&mut world, READER, &share.ticket).unwrap(), bytes);
    let wrote =
        |output: &Output| matches!(output, Output::Disk { what: DiskOp::WriteBlob { .. } | DiskOp::Commit { .. }, .. });
    let trace = world.take_trace(READER);
    assert!(!trace.iter().any(wrote), "nothing of another owner's is stored by reading it");
    let What::Listed { files, .. } =
        world.ask(READER, Command::List { prefix: String::new(), after: None, limit: 100 })
    else {
        panic!()
    };
    assert!(files.is_empty(), "it is none of the reader's own files: {files:?}");
    assert_eq!(world.get(READER, "file").unwrap_err(), RequestError::NotFound, "by its name it stays closed");
}

#[test]
fn neither_ticket_nor_key_shows_in_what_a_node_does() {
    let mut world = stored(&content(2_000, 1));
    world.take_trace(OWNER);
    let ticket = share(&mut world).ticket;
    read(&mut world, READER, &ticket).unwrap();
    let key = ticket.verify().unwrap().root_key;
    let (hex, list) = (hex::encode(key.expose()), format!("{:?}", key.expose()));
    for host in [OWNER, READER] {
        for output in world.take_trace(host) {
            let line = format!("{output:?}");
            assert!(!line.contains(&hex) && !line.contains(&list), "{line}");
            assert!(!line.contains(&ticket.to_text()), "{line}");
        }
    }
}

#[test]
fn an_own_ticket_works_on_the_own_node_and_on_the_node_that_stores_the_file() {
    let bytes = content(3_300, 1);
    let mut world = stored(&bytes);
    let ticket = share(&mut world).ticket;
    assert_eq!(read(&mut world, OWNER, &ticket).unwrap(), bytes);
    assert_eq!(read(&mut world, PEER, &ticket).unwrap(), bytes);
}

#[test]
fn a_later_version_stays_closed_and_the_shared_one_open() {
    let (first, second) = (content(5_000, 1), content(6_000, 2));
    let mut world = stored(&first);
    let ticket = share(&mut world).ticket;
    world.put(OWNER, "file", &second).unwrap();
    assert_eq!(read(&mut world, READER, &ticket).unwrap(), first);
    // A ticket that the owner never made, which puts the old key to the new record.
    let newer = share(&mut world).ticket.verify().unwrap();
    let forged = Ticket { root_key: ticket.verify().unwrap().root_key, ..newer };
    let forged = SignedTicket::sign(world.keys(OWNER), &forged);
    let error = read(&mut world, READER, &forged).unwrap_err();
    assert!(matches!(error, RequestError::Integrity(_)), "the key of a version opens no other: {error:?}");
}

#[test]
fn an_older_version_can_be_shared() {
    let first = content(5_000, 1);
    let mut world = stored(&first);
    let version = share(&mut world).file.version;
    world.put(OWNER, "file", &content(6_000, 2)).unwrap();
    let ticket = share_of(&mut world, "file", Some(VersionSelector::from(&version))).ticket;
    assert_eq!(read(&mut world, READER, &ticket).unwrap(), first);
    let none = VersionSelector { wall_ms: 1, counter: 0, node: [0; 4] };
    let missing = Command::Share { name: name("file"), version: Some(none), valid_ms: DAY_MS };
    assert_eq!(world.ask(OWNER, missing), What::Failed(RequestError::NoSuchVersion));
}

#[test]
fn one_of_several_files_is_opened_and_no_other() {
    let mut world = stored(&content(5_000, 1));
    world.put(OWNER, "other", &content(5_000, 2)).unwrap();
    let ticket = share(&mut world).ticket.verify().unwrap();
    let other = share_of(&mut world, "other", None).ticket.verify().unwrap();
    let forged = SignedTicket::sign(world.keys(OWNER), &Ticket { root_key: ticket.root_key, ..other });
    assert!(matches!(read(&mut world, READER, &forged), Err(RequestError::Integrity(_))));
}

#[test]
fn a_ticket_that_is_not_its_owners_is_refused() {
    let mut world = stored(&content(2_000, 1));
    let signed = share(&mut world).ticket;
    let mut altered = signed.0.to_vec();
    let expiry = altered.len() - 65;
    altered[expiry] ^= 1;
    let error = read(&mut world, READER, &SignedTicket(altered.into())).unwrap_err();
    assert_eq!(error, RequestError::Ticket(TicketError::BadSignature));
    let error = read(&mut world, READER, &SignedTicket(b"no ticket".as_slice().into())).unwrap_err();
    assert_eq!(error, RequestError::Ticket(TicketError::UnknownFormat));
}

#[test]
fn an_expired_ticket_is_refused_by_the_readers_clock() {
    let mut world = stored(&content(2_000, 1));
    let command = Command::Share { name: name("file"), version: None, valid_ms: 60_000 };
    let What::Shared(share) = world.ask(OWNER, command) else { panic!() };
    world.run_for(Duration::from_secs(59));
    assert!(read(&mut world, READER, &share.ticket).is_ok());
    world.run_for(Duration::from_secs(3));
    let error = read(&mut world, READER, &share.ticket).unwrap_err();
    assert!(matches!(error, RequestError::TicketExpired { ago_s: 1..=3 }), "{error:?}");
    world.set_back(READER, 60_000);
    assert!(read(&mut world, READER, &share.ticket).is_ok(), "a clock that is behind honours it for longer");
}

#[test]
fn a_time_that_makes_no_sense_is_refused() {
    let mut world = World::new(1);
    for valid_ms in [0, 999, VALID_MS_MAX + 1, u64::MAX] {
        let command = Command::Share { name: name("file"), version: None, valid_ms };
        assert_eq!(world.refused(0, command), CommandError::Validity);
    }
    let command = Command::Share { name: name("file"), version: None, valid_ms: VALID_MS_MAX };
    assert_eq!(world.ask(0, command), What::Failed(RequestError::NotFound), "a file that is not there");
}

#[test]
fn a_delete_closes_the_tickets_made_before_it() {
    let mut world = stored(&content(2_000, 1));
    let ticket = share(&mut world).ticket;
    let What::Deleted(_) = world.ask(OWNER, Command::Delete { name: name("file") }) else { panic!() };
    assert_eq!(read(&mut world, READER, &ticket).unwrap_err(), RequestError::TicketGone);
    // A new file of that name does not bring the old one back.
    world.put(OWNER, "file", &content(2_000, 2)).unwrap();
    assert_eq!(read(&mut world, READER, &ticket).unwrap_err(), RequestError::TicketGone);
    let again = share(&mut world).ticket;
    assert_eq!(read(&mut world, READER, &again).unwrap(), content(2_000, 2));
}

#[test]
fn a_record_that_nobody_has_is_said_to_be_gone() {
    let mut world = stored(&content(2_000, 1));
    let ticket = share(&mut world).ticket.verify().unwrap();
    let gone = SignedTicket::sign(world.keys(OWNER), &Ticket { record: RecordId([9; 32]), ..ticket });
    for host in [OWNER, READER] {
        assert_eq!(read(&mut world, host, &gone).unwrap_err(), RequestError::TicketGone);
    }
}

#[test]
fn without_anyone_to_ask_it_is_unavailable_and_not_gone() {
    let mut world = stored(&content(2_000, 1));
    let ticket = share(&mut world).ticket;
    for host in [OWNER, PEER] {
        world.cut(host, READER, true);
    }
    world.run_for(Duration::from_secs(1));
    let error = read(&mut world, READER, &ticket).unwrap_err();
    assert!(matches!(error, RequestError::Unavailable(_)), "{error:?}");
}

#[test]
fn ranges_are_read_by_a_ticket() {
    let bytes = content(20_500, 1);
    let mut world = stored(&bytes);
    let ticket = share(&mut world).ticket;
    let range = |range| Command::GetShared { ticket: ticket.clone(), range: Some(range) };
    let middle = range(RangeRequest::From { first: 999, last: Some(2_000) });
    assert_eq!(world.get_with(READER, middle).unwrap(), bytes[999..=2_000]);
    let end = range(RangeRequest::Suffix { len: 501 });
    assert_eq!(world.get_with(READER, end).unwrap(), bytes[19_999..]);
    let outside = range(RangeRequest::From { first: 20_500, last: None });
    assert_eq!(world.get_with(READER, outside).unwrap_err(), RequestError::Range { len: 20_500 });
}

#[test]
fn a_holder_that_goes_in_mid_transfer_is_replaced() {
    let bytes = content(300_000, 1);
    let mut world = stored(&bytes);
    let ticket = share(&mut world).ticket;
    let request = world.command(READER, Command::GetShared { ticket, range: None });
    let mut got = Vec::new();
    loop {
        match world.wait(READER, request) {
            What::GetStart { .. } => {}
            What::GetData(plain) => {
                if got.is_empty() {
                    world.crash(PEER);
                }
                got.extend_from_slice(&plain.0);
                world.command_quietly(READER, Command::GetCredit { request, bytes: plain.0.len() as u64 });
            }
            What::GetDone => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(got == bytes);
}

#[test]
fn a_holder_that_lies_is_found_out_and_another_asked() {
    let bytes = content(40_000, 1);
    let mut world = stored(&bytes);
    let ticket = share(&mut world).ticket;
    world.meddle = Some(Box::new(|from, to, frame| {
        if let Frame::Data { payload, .. } = frame
            && from == PEER
        {
            *payload = Bytes::from(vec![7; payload.len()]).into();
        }
        to != READER || !matches!(frame, Frame::Announce { .. })
    }));
    assert!(read(&mut world, READER, &ticket).unwrap() == bytes);
}

#[test]
fn a_version_ahead_does_not_move_the_readers_clock() {
    let mut world = World::new(2);
    // The reader's clock is an hour behind the owner's.
    world.set_back(1, 3_600_000);
    world.put(0, "file", b"from an hour ahead").unwrap();
    let ticket = share(&mut world).ticket;
    assert_eq!(read(&mut world, 1, &ticket).unwrap(), b"from an hour ahead");
    let report = world.put(1, "own", b"own").unwrap();
    assert!(report.file.version.wall_ms < 1_800_000_000_000, "stamped by the own clock: {:?}", report.file.version);
}

#[test]
fn only_the_pages_and_chunks_of_the_ticket_are_asked_for() {
    let mut world = stored(&content(5_000, 1));
    let other = world.put(OWNER, "other", &content(5_000, 2)).unwrap();
    let ticket = share(&mut world).ticket;
    world.take_trace(READER);
    read(&mut world, READER, &ticket).unwrap();
    let mut pages = 0;
    for output in world.take_trace(READER) {
        if let Output::Send { frame: Frame::Want { object: ObjectId::Page(page), .. }, .. } = output {
            pages += 1;
            assert_ne!(page.to_string(), other.file.etag);
        }
    }
    assert_eq!(pages, 1);
}

/// A ticket for a file of 4,098 chunks of one byte whose second page, which should list 2 of them, is what is given; stored at
/// the peer. An honest node makes no such file, but whoever gives a ticket away may have made it himself.
fn ticket_of_a_manifest(world: &mut World, second: &PagePublic) -> SignedTicket {
    let keys = world.keys(OWNER).clone();
    let version = Version { wall_ms: 1_800_000_000_000, counter: 0, node: NodeId([1; 32]) };
    let name_id = keys.name_id(&name("crafted"));
    let context = PageContext { owner: keys.owner_id(), name_id, version };
    let Children::Chunks(chunks) = &second.children else { panic!() };
    let secrets = PageSecrets::Page { keys: vec![ChunkKey::new([3; 32]); chunks.len()] };
    let page = seal_page(&keys, &context, second, &secrets);
    let page_ref = PageRef { id: page.id, len: u32::try_from(page.data.len()).unwrap() };
    let absent = PageRef { id: PageId([4; 32]), len: 300 };
    let children = Children::Pages(vec![absent, page_ref]);
    let public = PagePublic { index: 0, count: 3, children };
    let meta =
        FileMeta { name: name("crafted"), len: 4_098, chunk_size: 1, mtime_ms: None, mode: None, content_type: None };
    let secrets = PageSecrets::RootOfPages { meta, keys: vec![PageKey::new([5; 32]), page.key] };
    let root = seal_page(&keys, &context, &public, &secrets);
    let body = RecordBody::File { root: root.id, root_len: u32::try_from(root.data.len()).unwrap() };
    let retention = Retention { keep_versions: 10, keep_days: 30, replicas: Replicas::default() };
    let record = Record { owner: keys.owner_id(), name_id, version, retention, body };
    let record = SignedRecord::sign(&keys, record);
    let owner = keys.owner_id();
    let index = &mut world.disk(PEER).index;
    for (id, data) in [(page.id, page.data), (root.id, root.data)] {
        index.insert([b"P", &owner.as_bytes()[..], id.as_bytes()].concat().into(), data);
    }
    let key = [b"R", &owner.as_bytes()[..], name_id.as_bytes(), &version.to_bytes(), record.id.as_bytes()].concat();
    index.insert(key.into(), record.bytes.clone());
    let expires_ms = version.wall_ms + DAY_MS;
    SignedTicket::sign(&keys, &Ticket { owner, name_id, record: record.id, root_key: root.key, expires_ms })
}

#[test]
fn a_crafted_manifest_that_does_not_fit_its_file_is_refused() {
    let chunks = |count, len| Children::Chunks(vec![ChunkRef { id: ChunkId([6; 32]), len }; count]);
    for (index, children, wrong) in [
        (2, chunks(1, 17), "too few chunks"),
        (2, chunks(3, 17), "too many chunks"),
        (2, chunks(2, 18), "chunks of another length"),
        (1, chunks(4_096, 17), "another page"),
    ] {
        let mut world = stored(b"x");
        let ticket = ticket_of_a_manifest(&mut world, &PagePublic { index, count: 3, children });
        let range = Some(RangeRequest::From { first: 4_097, last: None });
        let error = world.get_with(READER, Command::GetShared { ticket, range }).unwrap_err();
        let RequestError::Integrity(why) = error else { panic!("{wrong}: {error:?}") };
        assert!(why.contains("does not fit"), "{wrong}: {why}");
    }
}

#[test]
fn a_wrong_key_of_the_right_record_opens_nothing() {
    let mut world = stored(&content(2_000, 1));
    let ticket = share(&mut world).ticket.verify().unwrap();
    let wrong = SignedTicket::sign(world.keys(OWNER), &Ticket { root_key: PageKey::new([1; 32]), ..ticket });
    assert!(matches!(read(&mut world, READER, &wrong), Err(RequestError::Integrity(_))));
}
