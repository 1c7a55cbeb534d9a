//! What `put` takes: files, folders, stdin.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::harness::{CHUNK, Cluster, content};

#[test]
fn a_folder_is_put_with_all_that_is_below_it() {
    let cluster = Cluster::start(2);
    for name in ["album/a.png", "album/deep/b.png", "album/deep/er/c d.png"] {
        cluster.file(name, name.as_bytes());
    }
    symlink("a.png", cluster.path("album/link.png")).unwrap();
    let album = cluster.path("album");
    let put = cluster[1].forever(&["put", album.to_str().unwrap()]).exits(0);
    assert!(put.stderr.contains("skipped the symbolic link"), "{}", put.stderr);
    let names: Vec<String> = put.lines().iter().map(|line| line["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["album/a.png", "album/deep/b.png", "album/deep/er/c d.png"]);
    assert_eq!(cluster[1].names(), names);
    assert_eq!(cluster[1].get("album/deep/er/c d.png"), b"album/deep/er/c d.png");
    cluster[1].forever(&["put", album.to_str().unwrap(), "--as", "2026"]).exits(0);
    assert_eq!(cluster[1].names()[..3], ["2026/a.png", "2026/deep/b.png", "2026/deep/er/c d.png"]);
}

#[test]
fn stdin_is_put_under_a_given_name() {
    let cluster = Cluster::start(2);
    let bytes = content("stdin", 3 * CHUNK + 1);
    let put = cluster[1].forever_with(&["put", "-", "--as", "dump.sql"], &bytes).json();
    assert_eq!((&put["name"], &put["size"]), (&"dump.sql".into(), &bytes.len().into()));
    assert!(cluster[1].get("dump.sql") == bytes);
    cluster[1].forever_with(&["put", "-"], &bytes).fails(2, "usage", &["--as NAME"]);
}

#[test]
fn several_paths_go_into_a_folder_and_one_that_fails_stops_no_other() {
    let cluster = Cluster::start(2);
    let (one, two) = (cluster.file("one.txt", b"1"), cluster.file("two.txt", b"2"));
    let missing = cluster.path("missing.txt");
    let paths = [&one, &missing, &two].map(|path| path.to_str().unwrap());
    let put = cluster[1].forever(&[&["put"][..], &paths, &["--as", "texts"]].concat()).exits(1);
    let lines = put.lines();
    assert_eq!((lines.len(), &lines[1]["error"]), (3, &"io".into()));
    assert!(lines[1]["message"].as_str().unwrap().contains("missing.txt"));
    assert_eq!(cluster[1].names(), ["texts/one.txt", "texts/two.txt"]);
}

#[test]
fn a_file_keeps_its_time_its_permissions_and_its_kind() {
    let cluster = Cluster::start(2);
    let path = cluster.file("script.html", b"<p>");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    cluster[1].forever(&["put", path.to_str().unwrap()]).exits(0);
    let stat = cluster[1].forever(&["stat", "script.html"]).json();
    assert_eq!((&stat["mode"], &stat["content_type"]), (&0o750.into(), &"text/html".into()));
    let back = cluster.path("back.html");
    cluster[1].forever(&["get", "script.html", "-o", back.to_str().unwrap()]).exits(0);
    let meta = fs::metadata(&back).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o750);
    let apart = modified.duration_since(meta.modified().unwrap()).unwrap();
    assert!(apart.as_millis() == 0, "{apart:?}");
}

#[test]
fn a_body_that_ends_early_is_no_file() {
    let cluster = Cluster::start(2);
    let http = cluster[1].http();
    let mut upload = http.start_put("/v1/files/half", 4 * CHUNK);
    upload.write(&content("half", 2 * CHUNK)).unwrap();
    cluster[1].wait_for("blobs", |blobs| blobs > 0);
    drop(upload);
    cluster[1].wait_for("requests", |requests| requests == 0);
    assert_eq!(cluster[1].names(), Vec::<String>::new());
    assert_eq!(http.ask("GET", "/v1/files/half", &[]).status, 404);
}
