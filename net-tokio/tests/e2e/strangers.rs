//! Whoever does not have the cluster's key.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::harness::{Cluster, SOON, content, eventually};

#[test]
fn with_a_wrong_cluster_key_a_node_is_met_with_silence_and_says_why() {
    let cluster = Cluster::start(2);
    let mut stranger = cluster.init_with_key("stranger", None, None);
    stranger.start(&[&cluster[0].listen]);
    let path = cluster.file("file", b"x");
    let told = [cluster[0].listen.as_str(), "got no answer", "cluster key differs"];
    stranger.forever(&["put", path.to_str().unwrap()]).fails(4, "not_enough_peers", &told);
    let peer = eventually("the reason among the peers", || {
        let peer = stranger.forever(&["peers"]).json();
        peer["error"].is_string().then_some(peer)
    });
    assert_eq!((&peer["connected"], &peer["address"]), (&false.into(), &cluster[0].listen.as_str().into()));
    let error = peer["error"].as_str().unwrap();
    assert!(error.contains("cluster key differs"), "{error}");
    assert_eq!(stranger.names(), Vec::<String>::new());
    assert_eq!((cluster[0].count("peers_connected"), cluster[0].count("members")), (1, 2));
}

#[test]
fn a_stranger_that_sends_garbage_gets_not_one_byte_and_harms_nobody() {
    let cluster = Cluster::start(2);
    let long_frame = [&[0xff; 8][..], &content("garbage", 64 * 1024)].concat();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 1], &long_frame, b""] {
        let mut stream = TcpStream::connect(&cluster[0].listen).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // A node that has heard enough may close before all is sent.
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"", "{} bytes of garbage were answered", garbage.len());
        let timed_out = end.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert!(!timed_out, "the connection stays open");
    }
    let put = cluster[1].put("file", b"not disturbed");
    assert_eq!(put["replicas"], 2);
    assert_eq!(cluster[0].count("peers_connected"), 1);
}

#[test]
fn a_stranger_that_says_nothing_or_next_to_nothing_is_hung_up_on() {
    let cluster = Cluster::start(1);
    let mut silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(&cluster[0].listen).unwrap()).collect();
    // A lone byte is the beginning of a handshake that never comes.
    silent[0].write_all(&[2]).unwrap();
    for stream in &mut silent {
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        assert!(end.is_ok() || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
        assert_eq!(answer, b"");
    }
}

#[test]
fn an_allow_list_keeps_even_holders_of_the_key_out() {
    let mut cluster = Cluster::start(2);
    let mut stranger = cluster.init("not-on-the-list", None);
    let allowed = cluster[1].id.clone();
    cluster[0].terminate();
    cluster[0].set("FOREVER_ALLOW", &allowed);
    cluster[0].restart();
    cluster[1].wait_for_peers(1);
    stranger.start(&[&cluster[0].listen]);
    let path = cluster.file("file", b"x");
    let put = stranger.forever(&["put", path.to_str().unwrap()]);
    put.fails(4, "not_enough_peers", &["1 of the 2 nodes needed"]);
    assert_eq!(cluster[0].count("peers_connected"), 1);
    let log = cluster[0].log();
    assert!(log.contains(&format!("the peer {} is not allowed here", stranger.id)), "{log}");
}
