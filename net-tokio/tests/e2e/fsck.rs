//! Checking a data folder at rest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{CHUNK, Cluster, Node, command, content, files_below, finish};

fn bytes_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files_below(folder).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Runs a check: what it found, by kind, and its last line.
#[track_caller]
fn fsck(node: &Node, args: &[&str], code: i32) -> (Vec<(String, Value)>, Value) {
    let mut lines = node.forever(&[&["fsck"], args].concat()).exits(code).lines();
    let totals = lines.pop().unwrap();
    let kind = |finding: &Value| finding["finding"].as_str().unwrap().to_owned();
    (lines.into_iter().map(|finding| (kind(&finding), finding)).collect(), totals)
}

fn kinds(findings: &[(String, Value)]) -> Vec<&str> {
    findings.iter().map(|(kind, _)| kind.as_str()).collect()
}

#[test]
fn what_was_evicted_is_not_lost() {
    let mut cluster = Cluster::start(3);
    cluster[2].put("file", &content("evicted", 4 * CHUNK));
    cluster[2].forever(&["evict", "file"]).exits(0);
    cluster[2].terminate();
    let (findings, totals) = fsck(&cluster[2], &["--deep"], 0);
    assert!(findings.is_empty() && totals["in_order"] == true, "{findings:?} {totals}");
    assert_eq!((&totals["evicted"], &totals["whole"], &totals["incomplete"]), (&1.into(), &0.into(), &0.into()));
}

#[test]
fn damage_is_told_by_name_repaired_and_given_back_by_a_peer() {
    let mut cluster = Cluster::start(2);
    let bytes = content("checked", 4 * CHUNK);
    cluster[1].put("holiday/beach.mp4", &bytes);
    cluster[1].put("notes.txt", b"sun and sea");
    cluster[1].terminate();
    let (findings, totals) = fsck(&cluster[1], &["--deep"], 0);
    assert!(findings.is_empty() && totals["in_order"] == true, "{findings:?} {totals}");
    assert_eq!((&totals["whole"], &totals["blobs"]), (&2.into(), &5.into()));

    let damaged = cluster[1].blob_files()[1].clone();
    let mut blob = fs::read(&damaged).unwrap();
    blob[100] ^= 1;
    fs::write(&damaged, blob).unwrap();
    let before = bytes_below(&cluster[1].data);
    assert!(fsck(&cluster[1], &[], 0).0.is_empty(), "only a deep check reads blobs");
    let (findings, totals) = fsck(&cluster[1], &["--deep"], 5);
    assert!(bytes_below(&cluster[1].data) == before, "a check changes nothing");
    assert_eq!((kinds(&findings), &totals["lost"]), (vec!["blob_hash", "incomplete"], &1.into()));
    for (_, finding) in &findings {
        assert_eq!(finding["files"][0]["name"], "holiday/beach.mp4", "{finding}");
    }
    assert_eq!(findings[0].1["where"], damaged.to_str().unwrap());
    let advice = findings[1].1["advice"].as_str().unwrap();
    assert!(advice.contains("forever get holiday/beach.mp4 --version"), "{advice}");

    let mut people = command();
    people.arg("--data").arg(&cluster[1].data).args(["fsck", "--deep"]);
    let people = finish(people).exits(5);
    let text = String::from_utf8(people.stdout).unwrap();
    let told = ["lost     the file is not whole here: 1 of 4 chunks damaged; holiday/beach.mp4", "1 lost here"];
    assert!(told.iter().all(|told| text.contains(told)), "{text}");

    let (findings, _) = fsck(&cluster[1], &["--deep", "--repair"], 5);
    assert_eq!(kinds(&findings), ["blob_hash", "incomplete"]);
    assert_eq!(findings[0].1["outcome"], "repaired");
    assert!(!damaged.exists());
    let (findings, _) = fsck(&cluster[1], &["--deep", "--repair"], 5);
    assert_eq!(kinds(&findings), ["incomplete", "quarantined"], "only other nodes can give it back");

    let peer = cluster[0].listen.clone();
    cluster[1].start(&[&peer]);
    cluster[1].wait_for_peers(1);
    assert!(cluster[1].get("holiday/beach.mp4") == bytes);
    cluster[1].terminate();
    let (findings, totals) = fsck(&cluster[1], &["--deep"], 0);
    assert_eq!((kinds(&findings), &totals["whole"]), (vec!["quarantined"], &2.into()));
}

#[test]
fn a_running_node_checks_its_store_and_its_peers_give_back_what_is_lost() {
    let cluster = Cluster::start(2);
    let bytes = content("checked", 4 * CHUNK);
    cluster[1].put("holiday/beach.mp4", &bytes);
    cluster[1].put("notes.txt", b"sun and sea");
    let (findings, totals) = fsck(&cluster[1], &["--deep"], 0);
    assert!(findings.is_empty() && totals["in_order"] == true, "{findings:?} {totals}");
    assert_eq!((&totals["whole"], &totals["blobs"]), (&2.into(), &5.into()));
    assert!(totals["hashed_bytes"].as_u64().unwrap() > 4 * CHUNK as u64);

    let files = cluster[1].blob_files();
    let mut blob = fs::read(&files[1]).unwrap();
    blob[100] ^= 1;
    fs::write(&files[1], blob).unwrap();
    fs::remove_file(&files[2]).unwrap();
    let temp = files[0].with_extension("part");
    fs::write(&temp, b"half").unwrap();
    let (findings, totals) = fsck(&cluster[1], &["--deep"], 5);
    let mut found = kinds(&findings);
    found.sort_unstable();
    assert_eq!(found, ["blob_hash", "blob_missing", "incomplete", "temp"]);
    assert_eq!((&totals["lost"], &totals["beyond_repair"]), (&1.into(), &true.into()));
    let lost = findings.iter().find(|(kind, _)| kind == "incomplete").unwrap();
    assert_eq!(lost.1["files"][0]["name"], "holiday/beach.mp4");
    assert!(lost.1["advice"].as_str().unwrap().contains("fsck --repair"), "{}", lost.1);
    assert!(temp.exists() && files[1].exists(), "a check changes nothing");

    let (findings, totals) = fsck(&cluster[1], &["--deep", "--repair"], 0);
    let outcome = |kind: &str| {
        let (_, finding) = findings.iter().find(|(other, _)| other == kind).unwrap();
        finding["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (outcome("incomplete"), outcome("blob_hash"), outcome("temp")),
        ("mended".into(), "repaired".into(), "repaired".into())
    );
    assert_eq!((&totals["whole"], &totals["in_order"]), (&2.into(), &true.into()));
    assert!(!temp.exists());
    assert!(cluster[1].get("holiday/beach.mp4") == bytes);
    let (findings, _) = fsck(&cluster[1], &["--deep"], 0);
    assert_eq!(kinds(&findings), ["quarantined"]);
}

#[test]
fn a_check_beside_puts_and_deletes_finds_nothing_and_what_nobody_has_is_beyond_repair() {
    let mut cluster = Cluster::start(3);
    let bytes = content("busy", 6 * CHUNK);
    std::thread::scope(|scope| {
        let node = &cluster[1];
        let puts = scope.spawn(|| {
            for round in 0..12 {
                let name = format!("file-{}", round % 3);
                node.put(&name, &bytes[round..]);
                node.forever(&["evict", &name]).exits(0);
                node.forever(&["rm", &name]).exits(0);
            }
        });
        while !puts.is_finished() {
            let (findings, _) = fsck(node, &["--deep"], 0);
            assert!(findings.is_empty(), "{findings:?}");
        }
        puts.join().unwrap();
    });
    cluster[1].put("only", &content("only", 2 * CHUNK));
    cluster[0].kill9();
    cluster[2].kill9();
    let last = cluster[1].blob_files().pop().unwrap();
    fs::remove_file(last).unwrap();
    let (_, totals) = fsck(&cluster[1], &["--repair"], 5);
    assert_eq!((&totals["lost"], &totals["beyond_repair"]), (&1.into(), &true.into()));
    cluster[1].terminate();
    let (findings, _) = fsck(&cluster[1], &[], 5);
    assert!(kinds(&findings).contains(&"incomplete"), "it is the same at rest: {findings:?}");
}

#[test]
fn another_owners_damage_is_told_by_ids_and_a_killed_node_is_in_order() {
    let mut cluster = Cluster::start(2);
    cluster[1].put("secret.txt", &content("sealed", 2 * CHUNK));
    cluster[0].kill9();
    let (findings, totals) = fsck(&cluster[0], &["--deep"], 0);
    assert!(kinds(&findings) == ["unclean"] && totals["whole"] == 1, "{findings:?} {totals}");
    fs::remove_file(&cluster[0].blob_files()[0]).unwrap();
    let (findings, _) = fsck(&cluster[0], &[], 5);
    assert_eq!(kinds(&findings), ["unclean", "blob_missing", "incomplete"]);
    assert_eq!(findings[2].1["files"][0]["owner"], cluster[1].owner.as_str());
    assert_eq!(findings[2].1["files"][0]["name"], Value::Null);
}

#[test]
fn a_folder_that_no_node_has_used_is_in_order_and_a_damaged_index_is_not() {
    let mut cluster = Cluster::start(1);
    let fresh = cluster.init("fresh", None);
    assert!(fsck(&fresh, &["--deep", "--repair"], 0).0.is_empty());
    cluster[0].put("file", b"a few bytes");
    cluster[0].terminate();
    let index = cluster[0].data.join("store").join("index.redb");
    let whole = fs::read(&index).unwrap();
    fs::write(&index, &whole[..whole.len() / 2]).unwrap();
    cluster[0].forever(&["fsck", "--repair"]).fails(5, "store", &["index.redb", "restore from the peers"]);
}
