//! Replays the fuzz targets' corpus through the same functions. What a fuzzer finds is added to it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common;
use forever_core::codec::{Bincode, Codec};
use forever_core::fuzzing;
use forever_core::reconcile::{self, Asker, Item, Items};
use forever_core::record::RecordBody;

/// Set to write the seeds anew after a deliberate change of a format.
const UPDATE: &str = "UPDATE_CORPUS";

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target)
}

fn replay(target: &str, seeds: &[(String, Vec<u8>)], run: fn(&[u8])) {
    let folder = folder(target);
    if std::env::var_os(UPDATE).is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
    for (name, bytes) in seeds {
        let stored = fs::read(folder.join(name)).unwrap_or_default();
        assert!(stored == *bytes, "{target}/{name} is not what the code gives; {UPDATE}=1 writes it anew");
    }
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= seeds.len());
    for file in files {
        run(&fs::read(file).unwrap());
    }
}

#[test]
fn frame_decode_holds_on_its_corpus() {
    let seeds: Vec<(String, Vec<u8>)> = common::frames()
        .into_iter()
        .map(|(name, frame)| {
            let mut header = Vec::new();
            Bincode.encode(&frame, &mut header);
            let len = u16::try_from(header.len()).unwrap().to_le_bytes();
            let seed = [&len[..], &header, &common::payload(&frame)].concat();
            (name.to_owned(), seed)
        })
        .collect();
    replay("frame_decode", &seeds, fuzzing::frame_decode);
}

#[test]
fn ticket_decode_holds_on_its_corpus() {
    let ticket = common::ticket();
    let text = ticket.to_text().into_bytes();
    let seeds = [
        ("bytes", ticket.0.to_vec()),
        ("body", ticket.0[..ticket.0.len() - 64].to_vec()),
        ("cut", text[..300].to_vec()),
        ("upper", text.to_ascii_uppercase()),
        ("text", text),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes));
    replay("ticket_decode", &seeds, fuzzing::ticket_decode);
}

#[test]
fn record_verify_holds_on_its_corpus() {
    let file = common::file_record().bytes;
    let tombstone = common::record(RecordBody::Tombstone).bytes;
    let checkpoint = common::checkpoint().bytes;
    let (_, _, page) = common::page();
    let seeds = [
        ("file_body", file[..file.len() - 64].to_vec()),
        ("tombstone_body", tombstone[..tombstone.len() - 64].to_vec()),
        ("checkpoint_body", checkpoint[..checkpoint.len() - 64].to_vec()),
        ("checkpoint", checkpoint.to_vec()),
        ("file", file.to_vec()),
        ("tombstone", tombstone.to_vec()),
        ("intent", common::intent().0.to_vec()),
        ("page", page.data.to_vec()),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes));
    replay("record_verify", &seeds, fuzzing::record_verify);
}

#[test]
fn reconcile_message_holds_on_its_corpus() {
    let items = |count: u8| (0..count).map(|number| Item(*blake3::hash(&[number]).as_bytes())).collect::<Items>();
    let (mut asker, first) = Asker::begin(items(90));
    let answer = reconcile::answer(&items(100), &first).unwrap();
    let next = asker.on_answer(&answer).unwrap().next.unwrap_or_default();
    let (_, listed) = Asker::begin(items(20));
    let seeds = [
        // Behind the version, which the target puts in front.
        ("first", first[1..].to_vec()),
        ("listed", listed[1..].to_vec()),
        ("answer", answer.clone()),
        ("next", next),
        ("cut", answer[1..answer.len() / 2].to_vec()),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes));
    replay("reconcile_message", &seeds, fuzzing::reconcile_message);
}
