//! Data folders: made once, used by one process, refused when they are not what they should be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::{Cluster, Finished, on_a_terminal, run};

/// What a node that cannot start says.
#[track_caller]
fn start(data: &Path, args: &[&str]) -> Finished {
    run(data, &[&["node"], args].concat(), b"")
}

#[track_caller]
fn init(data: &Path, args: &[&str], stdin: &str) -> Finished {
    run(data, &[&["init"], args].concat(), stdin.as_bytes())
}

#[test]
fn a_new_folder_is_private_and_its_phrase_is_shown_once() {
    let cluster = Cluster::empty();
    let data = cluster.path("node");
    let made = init(&data, &[], "").json();
    let phrase = made["phrase"].as_str().unwrap();
    assert_eq!(phrase.split(' ').count(), 24);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in ["node.key", "owner.secret", "cluster.key", "api.token", "config.toml"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    init(&data, &[], "").fails(1, "data_folder", &["is a data folder already", "nothing in it is ever overwritten"]);
    run(&data, &["phrase"], b"").fails(1, "refused", &["on a terminal only"]);
    let recovered = init(&cluster.path("again"), &["--recover"], phrase).json();
    assert_eq!(recovered["owner"], made["owner"]);
    assert_ne!(recovered["node"], made["node"]);
    assert!(recovered.get("phrase").is_none(), "whoever typed it knows it");
}

#[test]
fn the_phrase_is_shown_again_on_a_terminal() {
    let cluster = Cluster::empty();
    let data = cluster.path("node");
    let made = init(&data, &[], "").json();
    let (code, shown) = on_a_terminal(&data, &["phrase"]);
    assert_eq!((code, shown.trim()), (Some(0), made["phrase"].as_str().unwrap()));
}

#[test]
fn a_typo_in_the_phrase_is_found_at_its_word() {
    let cluster = Cluster::empty();
    let made = init(&cluster.path("node"), &[], "").json();
    let words: Vec<&str> = made["phrase"].as_str().unwrap().split(' ').collect();
    let data = cluster.path("again");
    let typo = [&words[..6], &["abandonn"], &words[7..]].concat().join(" ");
    init(&data, &["--recover"], &typo).fails(1, "phrase", &["word 7", "did you mean `abandon`"]);
    init(&data, &["--recover"], &words[..23].join(" ")).fails(1, "phrase", &["24 words", "this has 23"]);
    assert!(!data.exists(), "nothing is made for a phrase that is wrong");
}

#[test]
fn a_node_makes_its_own_folder_and_says_that_there_is_a_phrase() {
    let cluster = Cluster::empty();
    let data = cluster.path("node");
    // An address that makes no sense ends it right after.
    let ended = start(&data, &["--api", "nowhere"]).exits(2);
    assert!(ended.stderr.contains("with a new owner: `forever phrase` shows"), "{}", ended.stderr);
    ended.fails(2, "settings", &["`nowhere` is not an address"]);
    init(&data, &[], "").fails(1, "data_folder", &["is a data folder already"]);
}

#[test]
fn folders_that_are_not_ours_are_left_alone() {
    let cluster = Cluster::start(1);
    let foreign = cluster.file("foreign/holiday.jpg", b"jpg");
    let folder = foreign.parent().unwrap();
    for refused in [start(folder, &[]), init(folder, &[], "")] {
        refused.fails(1, "data_folder", &["foreign", "not a forever data folder", "--data"]);
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    let below_a_file = foreign.join("data");
    init(&below_a_file, &[], "").fails(1, "data_folder", &["holiday.jpg"]);
    start(&below_a_file, &[]).fails(1, "data_folder", &["holiday.jpg"]);
    let missing = cluster.path("missing");
    run(&missing, &["ls"], b"").fails(1, "data_folder", &["is not a data folder yet", "forever init --data"]);
}

#[test]
fn a_damaged_or_newer_folder_is_refused_and_kept() {
    let mut cluster = Cluster::start(1);
    cluster[0].put("file", b"kept");
    cluster[0].terminate();
    let data = cluster[0].data.clone();
    for (file, broken, told) in [
        ("node.key", "0123456789", "node.key is damaged"),
        ("owner.secret", "", "owner.secret is damaged"),
        ("cluster.key", "zz", "cluster.key is damaged"),
        ("format", "foreverstore data folder, format 9\n", "has format 9"),
        ("format", "photo album", "not a forever data folder"),
    ] {
        let path = data.join(file);
        let good = fs::read(&path).unwrap();
        fs::write(&path, broken).unwrap();
        start(&data, &[]).fails(1, "data_folder", &[told]);
        fs::write(&path, good).unwrap();
    }
    cluster[0].restart();
    assert_eq!(cluster[0].get("file"), b"kept");
}

#[test]
fn a_damaged_index_is_refused_and_kept() {
    let mut cluster = Cluster::start(1);
    cluster[0].put("file", b"kept");
    cluster[0].terminate();
    let index = cluster[0].data.join("store").join("index.redb");
    let good = fs::read(&index).unwrap();
    fs::write(&index, &good[..100]).unwrap();
    let refused = start(&cluster[0].data, &["--listen", &cluster.any_port(), "--api", &cluster.any_port()]);
    refused.fails(1, "serve", &["index"]);
    assert_eq!(fs::read(&index).unwrap().len(), 100, "what is damaged is not replaced by something empty");
    fs::write(&index, good).unwrap();
    cluster[0].restart();
    assert_eq!(cluster[0].get("file"), b"kept");
}

#[test]
fn two_nodes_do_not_share_a_folder() {
    let cluster = Cluster::start(1);
    let second = start(&cluster[0].data, &["--listen", &cluster.any_port(), "--api", &cluster.any_port()]);
    second.fails(1, "data_folder", &["in use by another process (pid ", "--data"]);
    cluster[0].put("file", b"the first goes on");
    assert_eq!(cluster[0].get("file"), b"the first goes on");
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_chooses_another() {
    let cluster = Cluster::start(1);
    let other = cluster.init("other", None);
    let (listen, api) = (cluster[0].listen.clone(), cluster[0].http().api.to_string());
    let any = cluster.any_port();
    start(&other.data, &["--listen", &listen, "--api", &any]).fails(
        1,
        "serve",
        &[&listen, "another address with --listen"],
    );
    start(&other.data, &["--listen", &any, "--api", &api]).fails(1, "serve", &[&api, "another address with --api"]);
    start(&other.data, &["--listen", &any, "--api", "0.0.0.0:0"]).fails(2, "settings", &["api_allow_remote"]);
}
