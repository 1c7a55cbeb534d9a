//! A repair that is cut short at every single operation of the disk leaves a store that the next repair puts in order.

use std::sync::Arc;

use forever_core::disk::Write;
use forever_net_tokio::store::check::repair;
use forever_net_tokio::store::conformance::commit_op;
use forever_net_tokio::store::memory_fs::{Fault, MemoryFs};

use super::fixture::{Fixture, kinds};

/// A store in memory with a damaged blob, a missing one, a damaged record and page, and an orphan.
fn damaged() -> MemoryFs {
    let fs = MemoryFs::new();
    let fixture = Fixture::on(Arc::new(fs.clone()));
    let (flipped, missing, forged, pageless) =
        (fixture.put("flipped"), fixture.put("missing"), fixture.put("forged"), fixture.put("page"));
    fixture.put("whole");
    let mut writes = Vec::new();
    for (key, value) in [(forged.record_key(), &forged.record.bytes), (pageless.page_key(), &forged.record.bytes)] {
        let mut bytes = value.to_vec();
        bytes[100] ^= 1;
        writes.push(Write::Put { key: key.into(), value: bytes.into() });
    }
    fixture.perform(commit_op(writes));
    let path = fixture.file_of(&flipped.chunks[0]);
    let mut bytes = fs.files()[&path].clone();
    bytes[77] ^= 1;
    fs.overwrite(&path, &bytes);
    fs.delete(&fixture.file_of(&missing.chunks[0]));
    fs
}

const FIRST: [&str; 7] =
    ["blob_hash", "blob_missing", "incomplete", "incomplete", "incomplete", "page_damaged", "record_damaged"];
const AFTER: [&str; 6] = ["incomplete", "incomplete", "incomplete", "quarantined", "quarantined", "quarantined"];

#[test]
fn a_repair_may_be_cut_short_anywhere() {
    let mut survived = 0;
    for at in 1.. {
        let fs = damaged();
        let fixture = Fixture::on(Arc::new(fs.clone()));
        let mut report = fs.look(|| fixture.check(true));
        assert_eq!(kinds(&report), FIRST);
        fs.fail(at, Fault::Crash);
        let _ = repair(Arc::clone(&fixture.fs), &fixture.config(), &mut report);
        if fs.is_armed() {
            survived = at;
            break;
        }
        let after = if at % 2 == 0 { fs.after_kill() } else { fs.after_power_loss(at) };
        let fixture = Fixture::on(Arc::new(after));
        fixture.repair(&mut fixture.check(true));
        let last = fixture.check(true);
        // The row goes before the file is moved: between the two the damaged file is an orphan, and removed as one.
        let kinds = kinds(&last);
        assert!(kinds == AFTER || kinds == AFTER[..5], "after a crash at operation {at}: {:#?}", last.findings);
        assert_eq!(last.summary.whole, 1);
    }
    assert!(survived > 20, "a repair takes {survived} operations");
}
