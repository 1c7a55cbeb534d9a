//! `get -o`: the whole file under its name, or nothing.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{CHUNK, Cluster, Finished, command_on, content, eventually, spawn};

/// The temporary files of gets in a folder, with what they hold so far.
fn parts(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let parts = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "part"));
    parts.map(|part| part.metadata().map_or(0, |meta| meta.len())).collect()
}

/// A cluster whose last node has the first half of `film` on its disk; the rest is on peers that are frozen.
fn half_here() -> (Cluster, Vec<u8>) {
    let cluster = Cluster::start(3);
    let bytes = content("half here", 32 * CHUNK);
    cluster[2].put("first-half", &bytes[..16 * CHUNK]);
    cluster[2].put("film", &bytes);
    cluster[2].forever(&["evict", "film"]).exits(0);
    cluster[0].sigstop();
    cluster[1].sigstop();
    (cluster, bytes)
}

#[test]
fn a_get_that_is_interrupted_leaves_nothing_and_what_was_there_before() {
    let (cluster, bytes) = half_here();
    let folder = cluster.path("downloads");
    fs::create_dir(&folder).unwrap();
    let target = folder.join("film.mkv");
    fs::write(&target, "the film of before").unwrap();
    let args = ["get", "film", "-o", target.to_str().unwrap()];
    for signal in [Signal::INT, Signal::KILL] {
        let child = spawn(command_on(&cluster[2].data, &args));
        eventually("a part to be written", || parts(&folder).iter().any(|len| *len > 0).then_some(()));
        kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), signal).unwrap();
        let ended = Finished::of(child, b"");
        assert_eq!(ended.code, (signal == Signal::INT).then_some(1), "{ended:?}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "the film of before");
        assert_eq!(
            parts(&folder).len(),
            usize::from(signal == Signal::KILL),
            "only a kill -9 may leave the part behind"
        );
    }
    cluster[0].sigcont();
    cluster[1].sigcont();
    cluster[2].forever(&args).exits(0);
    assert!(fs::read(&target).unwrap() == bytes);
}

#[test]
fn a_get_that_fails_in_the_middle_leaves_nothing() {
    let (mut cluster, _) = half_here();
    cluster[0].kill9();
    cluster[1].kill9();
    let folder = cluster.path("downloads");
    fs::create_dir(&folder).unwrap();
    let target = folder.join("film.mkv");
    let got = cluster[2].forever(&["get", "film", "-o", target.to_str().unwrap()]);
    got.fails(4, "unavailable", &["no connected peer holds all of the file"]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn json_and_bytes_do_not_share_stdout() {
    let cluster = Cluster::start(1);
    cluster[0].put("file", b"bytes");
    cluster[0].forever(&["get", "file"]).fails(2, "usage", &["-o PATH"]);
    assert_eq!(cluster[0].get("file"), b"bytes");
}

#[test]
fn a_get_into_a_folder_takes_the_last_part_of_the_name() {
    let cluster = Cluster::start(1);
    cluster[0].put("album/one.png", b"png");
    let folder = cluster.path("downloads");
    fs::create_dir(&folder).unwrap();
    let got = cluster[0].forever(&["get", "album/one.png", "-o", folder.to_str().unwrap()]).json();
    assert_eq!(got["path"], folder.join("one.png").to_str().unwrap());
    assert_eq!(fs::read(folder.join("one.png")).unwrap(), b"png");
}

/// Renaming a file onto a device would replace it: done to `/dev/null`, that breaks the machine.
#[test]
fn a_get_into_a_pipe_or_a_device_writes_through_it_and_leaves_it_in_place() {
    let cluster = Cluster::start(1);
    let bytes = content("pipe", 4 * CHUNK + 1);
    cluster[0].put("file", &bytes);
    let pipe = cluster.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let got = thread::scope(|scope| {
        let read = scope.spawn(|| fs::read(&pipe).unwrap());
        cluster[0].forever(&["get", "file", "-o", pipe.to_str().unwrap()]).exits(0);
        read.join().unwrap()
    });
    assert!(got == bytes);
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
}
