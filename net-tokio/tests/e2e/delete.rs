//! Deleting: everywhere, for good, and nothing but what was named.

use crate::harness::{CHUNK, Cluster, content, eventually};

#[test]
fn what_is_deleted_is_found_nowhere() {
    let mut cluster = Cluster::start(3);
    cluster[2].put("secret", &content("secret", 1000));
    cluster[2].put("kept", &content("kept", 1000));
    let deleted = cluster[2].forever(&["rm", "secret"]).json();
    assert_eq!(deleted["name"], "secret");
    assert_eq!((&deleted["replicas"], &deleted["pending"]), (&3.into(), &0.into()));
    cluster[2].try_get(&["secret"]).fails(3, "not_found", &["no such file"]);
    for command in [&["stat", "secret"], &["evict", "secret"], &["rm", "secret"]] {
        cluster[2].forever(command).fails(3, "not_found", &["no such file"]);
    }
    assert_eq!(cluster[2].http().ask("GET", "/v1/files/secret", &[]).status, 404);
    assert_eq!(cluster[2].names(), ["kept"]);
    // The owner's next device, which knows nothing but what the peers tell it, does not find it either.
    let mut second = cluster.init("second-device", Some(&cluster[2].phrase.clone()));
    let peers = [cluster[0].listen.clone(), cluster[1].listen.clone()];
    cluster[2].kill9();
    second.start(&[&peers[0], &peers[1]]);
    second.wait_for_peers(2);
    second.try_get(&["secret"]).fails(3, "not_found", &[]);
    assert_eq!(second.get("kept"), content("kept", 1000));
}

#[test]
fn a_peer_that_was_away_learns_of_the_delete_when_it_is_back() {
    let mut cluster = Cluster::start(3);
    cluster[2].put("secret", &content("secret", 1000));
    cluster[2].wait_for("pending", |pending| pending == 0);
    cluster[0].kill9();
    cluster[2].wait_for_peers(1);
    let deleted = cluster[2].forever(&["rm", "secret"]).json();
    assert_eq!((&deleted["replicas"], &deleted["pending"]), (&2.into(), &1.into()));
    cluster[0].restart();
    cluster[2].wait_for("pending", |pending| pending == 0);
    let phrase = cluster[2].phrase.clone();
    cluster[1].kill9();
    cluster[2].kill9();
    // Whoever asks that peer alone is told of the tombstone, not of the file.
    let mut second = cluster.init("second-device", Some(&phrase));
    second.start(&[&cluster[0].listen]);
    second.wait_for_peers(1);
    second.try_get(&["secret"]).fails(3, "not_found", &[]);
    // The older version comes as its device catches up.
    let versions = eventually("both versions", || {
        let versions = second.forever(&["versions", "secret"]).exits(0).lines();
        (versions.len() == 2).then_some(versions)
    });
    assert_eq!((&versions[0]["deleted"], &versions[0]["current"]), (&true.into(), &true.into()));
}

#[test]
fn a_name_that_never_was_cannot_be_deleted() {
    let cluster = Cluster::start(2);
    cluster[1].forever(&["rm", "nothing"]).fails(3, "not_found", &["no such file"]);
    assert_eq!(cluster[1].http().ask("DELETE", "/v1/files/nothing", &[]).status, 404);
}

#[test]
fn a_deleted_name_can_be_used_again() {
    let cluster = Cluster::start(2);
    cluster[1].put("note", b"first");
    cluster[1].forever(&["rm", "note"]).exits(0);
    cluster[1].put("note", b"second");
    assert_eq!(cluster[1].get("note"), b"second");
    let versions = cluster[1].forever(&["versions", "note"]).exits(0).lines();
    let deleted: Vec<bool> = versions.iter().map(|version| version["deleted"].as_bool().unwrap()).collect();
    assert_eq!(deleted, [false, true, false]);
}

#[test]
fn what_was_deleted_is_put_back_as_long_as_it_is_kept() {
    let cluster = Cluster::start(3);
    let bytes = content("back", 3 * CHUNK + 7);
    cluster[2].put("file", &bytes);
    cluster[2].forever(&["undelete", "file"]).fails(1, "not_deleted", &["the file is not deleted"]);
    cluster[2].forever(&["undelete", "nothing"]).fails(3, "not_found", &["no such file"]);
    cluster[2].forever(&["rm", "file"]).exits(0);
    let back = cluster[2].forever(&["undelete", "file"]).json();
    assert_eq!((&back["name"], &back["size"]), (&"file".into(), &bytes.len().into()));
    assert_eq!((&back["replicas"], &back["pending"]), (&3.into(), &0.into()));
    assert!(cluster[2].get("file") == bytes);
    let versions = cluster[2].forever(&["versions", "file"]).exits(0).lines();
    let deleted: Vec<bool> = versions.iter().map(|version| version["deleted"].as_bool().unwrap()).collect();
    assert_eq!((deleted, &versions[0]["version"]), (vec![false, true, false], &back["version"]));
}

#[test]
fn what_is_not_to_be_kept_goes_at_once_and_cannot_be_put_back() {
    let cluster = Cluster::start_with(3, &[("FOREVER_KEEP_DAYS", "0")]);
    cluster[2].put("file", &content("gone", 2 * CHUNK));
    cluster[2].forever(&["rm", "file"]).exits(0);
    for node in 0..3 {
        cluster[node].wait_for("blob_bytes", |stored| stored == 0);
        eventually("the files to go", || cluster[node].blob_files().is_empty().then_some(()));
    }
    cluster[2].forever(&["undelete", "file"]).fails(3, "not_kept", &["no longer kept", "keep_days"]);
}

/// The SHA-1s of both names begin with 59ea9: where names decide on folders, deleting one takes the other along.
#[test]
fn names_with_colliding_hashes_do_not_take_each_other_along() {
    let settings = [("FOREVER_PATH_TRANSFORM", "cas"), ("FOREVER_KEY_HASH", "md5")];
    let cluster = Cluster::start_with(3, &settings);
    let (doomed, kept) = (content("167", 200_000), content("315", 200_000));
    cluster[2].put("foo_167", &doomed);
    cluster[2].put("foo_315", &kept);
    for path in cluster[0].blob_files() {
        let below = path.strip_prefix(cluster[0].data.join("store").join("blobs")).unwrap();
        assert_eq!(below.components().count(), 10, "an owner, eight folders and a file: {}", below.display());
    }
    cluster[2].forever(&["rm", "foo_167"]).exits(0);
    assert_eq!(cluster[2].names(), ["foo_315"]);
    cluster[2].forever(&["evict", "foo_315"]).exits(0);
    assert!(cluster[2].get("foo_315") == kept);
    cluster[2].try_get(&["foo_167"]).fails(3, "not_found", &[]);
}
