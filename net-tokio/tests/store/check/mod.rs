//! Checks of a store at rest: every kind of damage is reported exactly, a check changes nothing, and a repair puts in order
//! what can be put in order and nothing else.

mod crash;
mod fixture;

use std::fs::{self, File};

use bytes::Bytes;
use forever_core::disk::{DiskOp, Write};
use forever_core::ids::{BlobKey, ChunkId, PageId};
use forever_net_tokio::store::OpenError;
use forever_net_tokio::store::check::{Check, Outcome, Problem, check};
use forever_net_tokio::store::conformance::{commit_op, sample_blob, write_op};

use self::fixture::{Fixture, Put, flip_a_bit, kinds, owner};

/// Damages one of two files, and checks what is found at first and what after a repair.
#[track_caller]
fn finds(deep: bool, damage: impl FnOnce(&Fixture, &Put), first: &[&str], after: &[&str]) {
    let fixture = Fixture::new();
    let damaged = fixture.put("holiday/beach.mp4");
    let whole = fixture.put("notes.txt");
    damage(&fixture, &damaged);
    let before = fixture.bytes();
    let mut report = fixture.check(deep);
    assert_eq!(kinds(&report), first, "{:#?}", report.findings);
    assert!(fixture.bytes() == before, "a check changes nothing");
    let lossy = first.contains(&"incomplete") || first.contains(&"record_damaged");
    assert_eq!(report.is_lossy(), lossy);
    for finding in &report.findings {
        for affected in &finding.affected {
            assert_eq!(affected.place.record, damaged.record.id);
            assert_eq!(affected.name.as_deref(), Some("holiday/beach.mp4"));
        }
    }
    fixture.repair(&mut report);
    let failed: Vec<_> =
        report.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Failed(_))).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(report.is_in_order(), !lossy, "{:#?}", report.findings);
    for _ in 0..2 {
        let mut report = fixture.check(true);
        assert_eq!(kinds(&report), after, "{:#?}", report.findings);
        assert_eq!(report.is_lossy(), after.contains(&"incomplete"));
        fixture.repair(&mut report);
    }
    let path = fixture.file_of(&whole.chunks[0]);
    assert!(fixture.bytes().get(&path) == before.get(&path), "what is right stays");
}

#[test]
fn a_store_in_order_is_in_order() {
    finds(true, |_, _| {}, &[], &[]);
    let fixture = Fixture::new();
    assert_eq!(fixture.check(true).summary, fixture.check(false).summary);
    fixture.put("one");
    let theirs = fixture.put_as(&owner(8), "two");
    let (upload, bytes) = sample_blob(0, 20_000);
    fixture.perform(write_op(upload, &bytes));
    let summary = fixture.check(true).summary;
    assert_eq!((summary.records, summary.whole, summary.pages, summary.blobs), (2, 2, 2, 5));
    assert_eq!((summary.unreferenced_blobs, summary.unreferenced_bytes), (1, 20_000));
    assert_eq!((summary.blob_bytes, summary.hashed_bytes), (20_000 + 2 * 41_032, 20_000 + 2 * 41_032));
    assert_eq!(fixture.check(false).summary.hashed_bytes, 2 * 1_016, "a shallow check hashes what it reads anyway");
    fs::remove_file(fixture.file_of(&theirs.chunks[0])).unwrap();
    let report = fixture.check(false);
    assert_eq!(kinds(&report), ["blob_missing", "incomplete"]);
    assert_eq!(report.findings[0].affected[0].name, None, "another owner's names are sealed");
}

#[test]
fn a_flipped_bit_is_found_by_a_deep_check() {
    let flip = |fixture: &Fixture, put: &Put| flip_a_bit(&fixture.file_of(&put.chunks[0]));
    finds(true, flip, &["blob_hash", "incomplete"], &["incomplete", "quarantined"]);
    finds(false, |_, _| {}, &[], &[]);
}

#[test]
fn a_flipped_bit_in_the_index_is_found() {
    let flip = |fixture: &Fixture, put: &Put| fixture.change_blob_row(&put.chunks[1], |row| row[500] ^= 1);
    finds(false, flip, &["blob_hash", "incomplete"], &["incomplete", "quarantined"]);
}

#[test]
fn a_truncated_file_is_found() {
    let truncate = |fixture: &Fixture, put: &Put| {
        File::options().write(true).open(fixture.file_of(&put.chunks[0])).unwrap().set_len(100).unwrap();
    };
    finds(false, truncate, &["blob_length", "incomplete"], &["incomplete", "quarantined"]);
}

#[test]
fn a_missing_file_is_found() {
    let remove = |fixture: &Fixture, put: &Put| fs::remove_file(fixture.file_of(&put.chunks[0])).unwrap();
    finds(false, remove, &["blob_missing", "incomplete"], &["incomplete"]);
}

#[test]
fn a_missing_row_makes_an_orphan_and_a_file_that_is_not_whole() {
    let drop_row = |fixture: &Fixture, put: &Put| {
        let path = fixture.file_of(&put.chunks[0]);
        let bytes = fs::read(&path).unwrap();
        fixture.perform(commit_op(vec![Write::drop_blob(put.chunks[0])]));
        fs::write(path, bytes).unwrap();
    };
    finds(false, drop_row, &["incomplete", "orphan"], &["incomplete"]);
}

#[test]
fn a_damaged_row_is_made_anew_from_its_file() {
    let damage = |fixture: &Fixture, put: &Put| fixture.change_blob_row(&put.chunks[0], |row| row[0] = 9);
    finds(false, damage, &["blob_row"], &["quarantined"]);
    let lose = |fixture: &Fixture, put: &Put| fixture.change_blob_row(&put.chunks[1], |row| row[0] = 9);
    finds(false, lose, &["blob_row", "incomplete"], &["incomplete", "quarantined"]);
    let escape = |fixture: &Fixture, put: &Put| {
        fixture.change_blob_row(&put.chunks[0], |row| row.splice(9.., *b"../../../key").for_each(drop));
    };
    finds(false, escape, &["blob_row"], &["quarantined"]);
}

#[test]
fn what_crashes_leave_behind_is_found_and_removed() {
    let litter = |fixture: &Fixture, put: &Put| {
        let unknown = BlobKey { chunk: ChunkId([9; 32]), ..put.chunks[0] };
        let path = fixture.file_of(&unknown);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        fs::write(path.with_file_name("half.part"), "x").unwrap();
        fs::write(fixture.root.join("unclean"), "").unwrap();
    };
    finds(false, litter, &["orphan", "temp", "unclean"], &[]);
}

#[test]
fn what_is_not_the_stores_is_left_alone() {
    let holiday = |fixture: &Fixture, _: &Put| fs::write(fixture.root.join("blobs/holiday.jpg"), "x").unwrap();
    finds(false, holiday, &["foreign"], &["foreign"]);
}

#[test]
fn a_damaged_record_is_kept_aside() {
    let damage = |place: usize| {
        move |fixture: &Fixture, put: &Put| {
            let mut bytes = put.record.bytes.to_vec();
            bytes[place] ^= 1;
            let put = Write::Put { key: put.record_key().into(), value: bytes.into() };
            fixture.perform(commit_op(vec![put]));
        }
    };
    for place in [0, 20, 100] {
        let fixture = Fixture::new();
        let put = fixture.put("a");
        damage(place)(&fixture, &put);
        let mut report = fixture.check(false);
        assert_eq!(kinds(&report), ["record_damaged"]);
        assert!(report.is_lossy());
        assert_eq!(report.findings[0].affected[0].place.record, put.record.id);
        fixture.repair(&mut report);
        let name = format!("quarantine/record-{}-{}", put.chunks[0].owner, put.record.id);
        let mut kept = fs::read(fixture.root.join(name)).unwrap();
        kept[place] ^= 1;
        assert!(kept == put.record.bytes);
        let again = fixture.check(true);
        assert_eq!((kinds(&again), again.is_lossy()), (vec!["quarantined"], false));
        assert_eq!((again.summary.unreferenced_blobs, again.summary.unreferenced_pages), (2, 1));
    }
}

#[test]
fn a_record_under_the_key_of_another_is_kept_aside() {
    let copy = |fixture: &Fixture, put: &Put| {
        let mut key = put.record_key();
        key[40] ^= 1;
        fixture.perform(commit_op(vec![Write::Put { key: key.into(), value: put.record.bytes.clone() }]));
    };
    let fixture = Fixture::new();
    let put = fixture.put("a");
    copy(&fixture, &put);
    let mut report = fixture.check(false);
    assert_eq!(kinds(&report), ["record_damaged"]);
    fixture.repair(&mut report);
    let again = fixture.check(false);
    assert_eq!((kinds(&again), again.summary.whole), (vec!["quarantined"], 1));
}

#[test]
fn a_missing_page_is_found() {
    let remove = |fixture: &Fixture, put: &Put| {
        fixture.perform(commit_op(vec![Write::Delete { key: put.page_key().into() }]));
    };
    let fixture = Fixture::new();
    let put = fixture.put("a");
    remove(&fixture, &put);
    let mut report = fixture.check(false);
    assert!(matches!(report.findings[..], [ref one] if matches!(one.problem, Problem::Incomplete { pages: 1, .. })));
    fixture.repair(&mut report);
    assert_eq!(kinds(&fixture.check(true)), ["incomplete"]);
}

#[test]
fn every_page_of_a_long_file_is_looked_at() {
    let fixture = Fixture::new();
    let (record, [_, full, last]) = fixture.put_pages();
    let lacks = |pages, missing| Problem::Incomplete { pages, missing, damaged: 0, chunks: missing };
    let found = |fixture: &Fixture| {
        let [finding] = fixture.check(false).findings.try_into().unwrap();
        assert_eq!(finding.affected[0].name.as_deref(), Some("long"));
        assert_eq!(finding.affected[0].place.record, record.id);
        finding.problem
    };
    assert_eq!(found(&fixture), lacks(0, 4_097));
    let owner = fixture.keys.owner_id();
    let remove = |page: PageId| Write::Delete { key: [&b"P"[..], &owner.0, &page.0].concat().into() };
    fixture.perform(commit_op(vec![remove(last)]));
    assert_eq!(found(&fixture), lacks(1, 4_096));
    fixture.perform(commit_op(vec![remove(full)]));
    assert_eq!(found(&fixture), lacks(2, 0));
}

#[test]
fn a_damaged_page_is_kept_aside() {
    let fixture = Fixture::new();
    let put = fixture.put("a");
    let value = Bytes::from_static(b"not a page at all");
    fixture.perform(commit_op(vec![Write::Put { key: put.page_key().into(), value: value.clone() }]));
    let mut report = fixture.check(false);
    assert_eq!(kinds(&report), ["incomplete", "page_damaged"]);
    fixture.repair(&mut report);
    let name = format!("quarantine/page-{}-{}", put.chunks[0].owner, put.root);
    assert!(fs::read(fixture.root.join(name)).unwrap() == value);
    assert_eq!(kinds(&fixture.check(true)), ["incomplete", "quarantined"]);
}

#[test]
fn an_evicted_file_is_not_lost() {
    let evict = |fixture: &Fixture, put: &Put| {
        let mark = Write::Put { key: put.evicted_key().into(), value: Bytes::new() };
        let drops = put.chunks.iter().map(|blob| Write::drop_blob(*blob));
        fixture.perform(commit_op(drops.chain([mark]).collect()));
    };
    finds(true, evict, &[], &[]);
    let fixture = Fixture::new();
    evict(&fixture, &fixture.put("a"));
    let summary = fixture.check(false).summary;
    assert_eq!((summary.evicted, summary.whole, summary.incomplete), (1, 0, 0));
}

#[test]
fn missing_references_are_written_again() {
    let remove = |fixture: &Fixture, put: &Put| {
        fixture.perform(commit_op(vec![Write::Delete { key: put.reference_key(0).into() }]));
    };
    finds(false, remove, &["references_missing"], &[]);
    let fixture = Fixture::new();
    let put = fixture.put("a");
    remove(&fixture, &put);
    fixture.repair(&mut fixture.check(false));
    let keys = vec![put.reference_key(0).into()];
    let found = fixture.store().perform(DiskOp::Lookup { keys }).unwrap();
    assert_eq!(found, forever_core::disk::DiskDone::Values(vec![Some(Bytes::new())]));
}

#[test]
fn wrong_counters_are_corrected() {
    let miscount = |fixture: &Fixture, _: &Put| {
        let database = redb::Database::open(fixture.index()).unwrap();
        let txn = database.begin_write().unwrap();
        let table = redb::TableDefinition::<&str, u64>::new("meta");
        txn.open_table(table).unwrap().insert("blobs", 77).unwrap();
        txn.commit().unwrap();
    };
    finds(false, miscount, &["counters_wrong"], &[]);
}

#[test]
fn an_index_that_cannot_be_trusted_is_an_error_and_stays_as_it_is() {
    let fixture = Fixture::new();
    fixture.put("a");
    let whole = fs::read(fixture.index()).unwrap();
    let opened = |fixture: &Fixture| {
        let config = fixture.config();
        let what = Check { root: &fixture.root, path: config.path, deep: false, keys: None };
        check(&*fixture.fs, &what, &mut |_| {}).unwrap_err()
    };
    fs::write(fixture.index(), &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(opened(&fixture), OpenError::IndexDamaged { .. }));
    fs::remove_file(fixture.index()).unwrap();
    assert!(matches!(opened(&fixture), OpenError::IndexMissing { .. }));
}
