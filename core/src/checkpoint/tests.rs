use alloc::vec::Vec;

use super::*;
use crate::ids::{NameId, NodeId, PageId};
use crate::placement::Replicas;
use crate::record::{Record, RecordBody, Retention, SignedRecord};
use crate::secrets::OwnerSecret;
use crate::version::Version;

const ONE: NodeId = NodeId([1; 32]);
const TWO: NodeId = NodeId([2; 32]);

fn keys() -> OwnerKeys {
    OwnerKeys::derive(&OwnerSecret::new([7; 32]))
}

fn record(name: u8, wall_ms: u64, node: NodeId, body: RecordBody) -> SignedRecord {
    let name_id = match body {
        RecordBody::Checkpoint(_) => keys().checkpoint_name(node),
        RecordBody::File { .. } | RecordBody::Tombstone => NameId([name; 32]),
    };
    let record = Record {
        owner: keys().owner_id(),
        name_id,
        version: Version { wall_ms, counter: 0, node },
        retention: Retention { keep_versions: 1, keep_days: 0, replicas: Replicas::default() },
        body,
    };
    SignedRecord::sign(&keys(), record)
}

fn file(name: u8, wall_ms: u64, node: NodeId) -> SignedRecord {
    record(name, wall_ms, node, RecordBody::File { root: PageId([name; 32]), root_len: 100 })
}

fn census<'a>(records: impl IntoIterator<Item = &'a SignedRecord>) -> Census {
    let mut census = Census::default();
    for record in records {
        census.add(&keys(), record.id);
    }
    census
}

/// The checkpoint of a device that knows these winners.
fn checkpoint(wall_ms: u64, node: NodeId, winners: &[SignedRecord]) -> SignedRecord {
    let census = census(winners);
    let fingerprint = census.fingerprint(&keys());
    let body = Checkpoint { sequence: 1, wall_ms, names: census.names(), fingerprint };
    record(0, wall_ms, node, RecordBody::Checkpoint(body))
}

/// Audits a checkpoint against records in any order.
fn audit(checkpoint: &SignedRecord, records: &[SignedRecord]) -> Verdict {
    let mut records: Vec<&SignedRecord> = records.iter().chain([checkpoint]).collect();
    records.sort_by_key(|record| (record.record.name_id, record.rank()));
    let mut audit = Audit::new([checkpoint]);
    for record in records {
        audit.add(&keys(), record);
    }
    let [verdict] = audit.finish(&keys())[..] else { panic!("one checkpoint, one verdict") };
    verdict
}

#[track_caller]
fn covers(checkpoint: &SignedRecord, records: &[SignedRecord], is_covered: bool) {
    assert_eq!(audit(checkpoint, records).is_covered, is_covered);
}

#[test]
fn a_census_does_not_depend_on_order_and_forgets_what_is_removed() {
    let records = [file(1, 1, ONE), file(2, 2, ONE), file(3, 3, TWO)];
    let forward = census(&records);
    let mut backward = census(records.iter().rev());
    assert_eq!(forward, backward);
    let extra = file(4, 4, ONE);
    backward.add(&keys(), extra.id);
    assert_ne!(forward.fingerprint(&keys()), backward.fingerprint(&keys()));
    backward.remove(&keys(), extra.id);
    assert_eq!(forward.fingerprint(&keys()), backward.fingerprint(&keys()));
}

#[test]
fn sums_carry_and_borrow_over_all_their_digits() {
    let mut census = Census { names: 5, sum: [u64::MAX; 4] };
    let record = file(1, 1, ONE).id;
    census.add(&keys(), record);
    let mut one_less = digits(keys().checkpoint_term(record));
    one_less[0] -= 1;
    assert_eq!(census.sum, one_less);
    census.remove(&keys(), record);
    assert_eq!(census, Census { names: 5, sum: [u64::MAX; 4] });
}

#[test]
fn fingerprints_of_two_owners_of_the_same_records_differ() {
    let other = OwnerKeys::derive(&OwnerSecret::new([8; 32]));
    let set = census(&[file(1, 1, ONE)]);
    assert_ne!(set.fingerprint(&keys()), set.fingerprint(&other));
    assert_ne!(keys().checkpoint_name(ONE), other.checkpoint_name(ONE));
    assert_ne!(keys().checkpoint_name(ONE), keys().checkpoint_name(TWO));
}

#[test]
fn the_set_of_its_time_covers_a_checkpoint() {
    let known = [file(1, 1, ONE), file(2, 2, ONE)];
    let signed = checkpoint(10, ONE, &known);
    covers(&signed, &known, true);
    let verdict = audit(&signed, &known[..1]);
    assert_eq!((verdict.is_covered, verdict.names_found, verdict.checkpoint.names), (false, 1, 2));
    covers(&checkpoint(10, ONE, &[]), &[], true);
}

#[test]
fn an_older_version_in_the_place_of_the_newest_does_not_cover_it() {
    let (old, new, other) = (file(1, 1, ONE), file(1, 5, ONE), file(2, 2, ONE));
    let signed = checkpoint(10, ONE, &[new.clone(), other.clone()]);
    covers(&signed, &[old.clone(), other.clone()], false);
    covers(&signed, &[old, new, other], true);
}

#[test]
fn what_was_written_later_is_no_part_of_it() {
    let (old, other) = (file(1, 1, ONE), file(2, 2, ONE));
    let signed = checkpoint(10, ONE, &[old.clone(), other.clone()]);
    let later = [file(1, 11, ONE), file(3, 12, TWO)];
    covers(&signed, &[old, other.clone(), later[0].clone(), later[1].clone()], true);
    // The version of its time has been pruned, so nobody can tell.
    covers(&signed, &[other, later[0].clone(), later[1].clone()], false);
}

#[test]
fn a_deletion_is_a_record_like_any_other_and_a_checkpoint_is_none() {
    let known = [file(1, 1, ONE), record(2, 3, ONE, RecordBody::Tombstone), checkpoint(2, TWO, &[])];
    covers(&checkpoint(10, ONE, &known[..2]), &known, true);
    covers(&checkpoint(10, ONE, &known[..1]), &known, false);
}

#[test]
fn what_another_device_wrote_at_the_same_time_is_left_out() {
    let known = [file(1, 1, ONE), file(2, 2, TWO)];
    let signed = checkpoint(10, ONE, &known);
    let unknown = [file(2, 6, TWO), file(3, 7, TWO), file(4, 8, TWO)];
    let all: Vec<SignedRecord> = known.iter().chain(&unknown).cloned().collect();
    covers(&signed, &all, true);
    // A record of its own is missing all the same.
    covers(&signed, &all[1..], false);
}

#[test]
fn what_the_device_itself_wrote_is_never_left_out() {
    let known = [file(1, 1, ONE)];
    let signed = checkpoint(10, ONE, &known);
    covers(&signed, &[known[0].clone(), file(2, 5, ONE)], false);
}

#[test]
fn a_version_of_another_device_below_one_of_its_own_changes_nothing_when_left_out() {
    let known = [file(1, 9, ONE), file(2, 3, TWO)];
    let signed = checkpoint(10, ONE, &known);
    covers(&signed, &[file(1, 5, TWO), known[0].clone(), known[1].clone(), file(3, 4, TWO)], true);
}

#[test]
fn only_the_newest_records_of_others_are_left_out() {
    let mut records: Vec<SignedRecord> =
        (0..1_030_u64).map(|number| file(u8::try_from(number % 250).unwrap(), 100 + number, TWO)).collect();
    records.push(file(251, 1, ONE));
    covers(&checkpoint(5_000, ONE, &records[1_030..]), &records, false);
    covers(&checkpoint(5_000, ONE, &records[1_030..]), &records[20..], true);
}
