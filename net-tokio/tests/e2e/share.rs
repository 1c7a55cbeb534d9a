//! `forever share` and `forever get --ticket`: two owners in one cluster.

use std::fs;

use serde_json::Value;

use crate::harness::{CHUNK, Cluster, Finished, Node, command, content, eventually, finish};

/// Who shares, and who reads.
const OWNER: usize = 2;
const READER: usize = 1;

/// Makes a ticket; what `share` says of it.
#[track_caller]
fn share(owner: &Node, args: &[&str]) -> Value {
    owner.forever(&[&["share"], args].concat()).json()
}

fn ticket_of(shared: &Value) -> &str {
    shared["ticket"].as_str().unwrap()
}

/// Gets what a ticket opens to a file, the ticket from stdin.
fn try_get(reader: &Node, ticket: &str, args: &[&str]) -> (Finished, Vec<u8>) {
    let target = reader.data.with_extension("shared");
    let _ = fs::remove_file(&target);
    let get = ["get", "--ticket", "-", "-o", target.to_str().unwrap()];
    let got = reader.forever_with(&[&get, args].concat(), format!("{ticket}\n").as_bytes());
    (got, fs::read(target).unwrap_or_default())
}

#[track_caller]
fn get(reader: &Node, ticket: &str, args: &[&str]) -> Vec<u8> {
    let (got, bytes) = try_get(reader, ticket, args);
    got.exits(0);
    bytes
}

/// A file that all nodes store but the reader's, which has lost it.
fn shared(bytes: &[u8]) -> (Cluster, String) {
    let mut cluster = Cluster::start(3);
    cluster[OWNER].put("letters/dear-diary.txt", bytes);
    for node in &cluster.nodes {
        node.wait_for("blobs", |blobs| blobs > 0);
    }
    cluster[READER].terminate();
    cluster[READER].forever(&["clear", "--yes"]).exits(0);
    let peers = [cluster[0].listen.clone(), cluster[OWNER].listen.clone()];
    cluster[READER].start(&[&peers[0], &peers[1]]);
    cluster.wait_until_connected();
    let ticket = ticket_of(&share(&cluster[OWNER], &["letters/dear-diary.txt"])).to_owned();
    (cluster, ticket)
}

#[test]
fn a_ticket_opens_one_version_on_another_owners_node_and_nothing_else() {
    let (first, second) = (content("first", 5 * CHUNK + 7), content("second", 4 * CHUNK));
    let (cluster, ticket) = shared(&first);
    let (owner, reader) = (&cluster[OWNER], &cluster[READER]);
    let before = reader.count("blobs");
    assert!(get(reader, &ticket, &[]) == first);
    assert!(get(reader, &ticket, &["--range", "65530-65545"]) == first[65_530..=65_545]);
    assert_eq!(reader.count("blobs"), before, "what a ticket opens is not kept");
    assert!(reader.count("cached_bytes") > 5 * CHUNK as u64, "but cached");
    assert!(reader.names().is_empty());
    reader.try_get(&["letters/dear-diary.txt"]).fails(3, "not_found", &[]);
    owner.put("letters/dear-diary.txt", &second);
    owner.put("other", b"closed");
    assert!(get(reader, &ticket, &[]) == first, "the version that was shared, not the newest");
    let newer = share(owner, &["letters/dear-diary.txt"]);
    assert!(get(reader, ticket_of(&newer), &[]) == second);
    assert!(get(owner, ticket_of(&newer), &[]) == second, "on the own node, too");
    let versions = owner.forever(&["versions", "letters/dear-diary.txt"]).exits(0).lines();
    let oldest = versions.last().unwrap()["version"].as_str().unwrap();
    let older = share(owner, &["letters/dear-diary.txt", "--version", oldest]);
    assert!(get(reader, ticket_of(&older), &[]) == first);
    for node in &cluster.nodes {
        assert!(!node.log().contains("forever1"), "a ticket in a log: {}", node.log());
    }
}

#[test]
fn a_ticket_expires_and_is_void_once_its_file_is_deleted() {
    let (cluster, ticket) = shared(b"for a short time");
    let (owner, reader) = (&cluster[OWNER], &cluster[READER]);
    let short = share(owner, &["letters/dear-diary.txt", "--expires", "1s"]);
    let expired = eventually("the ticket to expire", || {
        let (got, _) = try_get(reader, ticket_of(&short), &[]);
        (got.code != Some(0)).then_some(got)
    });
    expired.fails(1, "ticket_expired", &["ask whoever gave it to you"]);
    assert_eq!(get(reader, &ticket, &[]), b"for a short time");
    assert!(reader.count("cached_bytes") > 0);
    owner.forever(&["rm", "letters/dear-diary.txt"]).exits(0);
    reader.wait_for("cached_bytes", |bytes| bytes == 0);
    let (got, _) = try_get(reader, &ticket, &[]);
    got.fails(3, "ticket_gone", &["its owner has deleted it"]);
    for expires in ["0s", "soon", "11y"] {
        let refused = owner.forever(&["share", "letters/dear-diary.txt", "--expires", expires]);
        assert_eq!(refused.code, Some(2), "{expires}: {refused:?}");
    }
}

#[test]
fn a_ticket_goes_through_a_pipe_a_file_or_with_a_warning_an_argument() {
    let (cluster, _) = shared(b"dear diary");
    let (owner, reader) = (&cluster[OWNER], &cluster[READER]);
    let mut as_text = command();
    as_text.arg("--data").arg(&owner.data).args(["share", "letters/dear-diary.txt"]);
    let made = finish(as_text).exits(0);
    assert!(made.stderr.contains("the expiry cannot recall a key already given"), "{}", made.stderr);
    let ticket = String::from_utf8(made.stdout).unwrap();
    assert!(ticket.starts_with("forever1") && ticket.lines().count() == 1, "stdout has the ticket alone: {ticket}");

    let file = cluster.file("ticket.txt", ticket.as_bytes());
    let folder = cluster.path("downloads");
    fs::create_dir(&folder).unwrap();
    let to_folder = ["-o", folder.to_str().unwrap()];
    let from_file = ["get", "--ticket", file.to_str().unwrap()];
    let got = reader.forever(&[&from_file[..], &to_folder].concat()).json();
    assert_eq!((&got["name"], &got["bytes"]), (&"letters/dear-diary.txt".into(), &10.into()));
    assert_eq!(fs::read(folder.join("dear-diary.txt")).unwrap(), b"dear diary");

    let got = reader.forever(&[&["get", ticket.trim()], &to_folder[..]].concat());
    assert!(got.stderr.contains("others on this machine can see arguments"), "{}", got.stderr);
    got.exits(0);
}

#[test]
fn what_is_no_ticket_is_refused_before_anything_is_asked() {
    let (cluster, ticket) = shared(b"dear diary");
    let reader = &cluster[READER];
    for bad in ["", "dear diary", &ticket[..ticket.len() - 1], &ticket.replacen('q', "p", 1)] {
        let (got, _) = try_get(reader, bad, &[]);
        got.fails(2, "invalid_ticket", &["to be copied whole"]);
    }
    reader.forever(&["get", &ticket, "--version", "1-0-aabbccdd", "-o", "x"]).fails(2, "usage", &["one version"]);
}
