//! What is damaged or gone on a disk comes back from peers, with and without keys.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::harness::{World, content, name};
use bytes::Bytes;
use forever_core::command::Command;
use forever_core::event::{RequestError, What};
use forever_core::frame::Frame;
use forever_core::ids::BlobKey;

const SECOND: Duration = Duration::from_secs(1);

fn blobs(world: &mut World, host: usize) -> BTreeMap<BlobKey, Bytes> {
    world.disk(host).blobs.clone()
}

fn damage_all(world: &mut World, host: usize) {
    let damaged: Vec<BlobKey> = blobs(world, host).into_keys().collect();
    world.disk(host).damaged.extend(damaged);
}

#[test]
fn a_replica_that_cannot_serve_a_damaged_chunk_gets_it_from_another_without_any_key() {
    let bytes = content(5_000, 1);
    let mut world = World::evicted(&bytes);
    let before = blobs(&mut world, 0);
    damage_all(&mut world, 0);
    assert_eq!(world.get(2, "file").unwrap(), bytes);
    world.run_for(SECOND);
    // Each was wanted of one of the two; what was not wanted of the first has not been found out yet.
    let found: Vec<BlobKey> = before.keys().filter(|blob| !world.disk(0).damaged.contains(blob)).copied().collect();
    assert!(!found.is_empty());
    for blob in found {
        assert_eq!(world.disk(0).blobs.get(&blob), before.get(&blob));
    }
    let What::Status(status) = world.ask(0, Command::Status) else { panic!() };
    assert!(status.damaged_blobs > 0);
}

#[test]
fn what_nobody_has_now_is_brought_when_a_peer_comes_that_has_it() {
    let bytes = content(3_000, 2);
    let mut world = World::new(2);
    world.put(1, "file", &bytes).unwrap();
    let before = blobs(&mut world, 1);
    world.cut(0, 1, true);
    damage_all(&mut world, 1);
    let error = world.get(1, "file").unwrap_err();
    assert!(matches!(error, RequestError::Integrity(_) | RequestError::Unavailable(_)), "{error:?}");
    world.cut(0, 1, false);
    world.run_for(SECOND * 60);
    let left: Vec<BlobKey> = before.keys().filter(|blob| world.disk(1).damaged.contains(blob)).copied().collect();
    assert!(left.len() < before.len(), "the get has found damage");
    assert_eq!(blobs(&mut world, 1), before);
}

#[test]
fn a_liar_does_not_get_its_bytes_stored() {
    let bytes = content(3_000, 3);
    let mut world = World::new(3);
    world.put(0, "file", &bytes).unwrap();
    let before = blobs(&mut world, 0);
    damage_all(&mut world, 0);
    world.meddle = Some(Box::new(|from, _, frame| {
        if let (1, Frame::Data { payload, .. }) = (from, frame) {
            *payload = Bytes::from(vec![7; payload.len()]).into();
        }
        true
    }));
    assert_eq!(world.get(0, "file").unwrap(), bytes);
    world.run_for(SECOND * 60);
    assert_eq!(blobs(&mut world, 0), before);
}

#[test]
fn a_chunk_that_is_evicted_meanwhile_is_not_brought_back() {
    let bytes = content(1_000, 4);
    let mut world = World::new(3);
    world.put(2, "file", &bytes).unwrap();
    world.put(2, "other", &content(10, 5)).unwrap();
    damage_all(&mut world, 2);
    // Nobody gives the chunk, so its mend waits.
    world.meddle = Some(Box::new(|_, _, frame| !matches!(frame, Frame::Want { .. })));
    world.get(2, "file").unwrap_err();
    world.meddle = None;
    let what = world.ask(2, Command::Evict { name: name("file") });
    assert!(matches!(what, What::Evicted { .. }), "{what:?}");
    let here = blobs(&mut world, 2).len();
    world.run_for(SECOND * 120);
    assert_eq!(blobs(&mut world, 2).len(), here);
    assert_eq!(here, 1, "the other file's chunk");
}
