//! What only the HTTP API tells: who holds a file, and why a download broke off.

use crate::harness::{CHUNK, Cluster, content};

#[test]
fn stat_tells_who_holds_a_file_and_that_this_node_no_longer_does() {
    let cluster = Cluster::start(3);
    let put = cluster[2].put("photo.raw", &content("stat", 4 * CHUNK));
    let mut peers = [cluster[0].id.clone(), cluster[1].id.clone()];
    peers.sort_unstable();
    let stat = |is_local: bool| {
        let stat = cluster[2].http().json("/v1/stat/photo.raw?holders=true");
        let mut holders: Vec<&str> =
            stat["holders"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        holders.sort_unstable();
        assert_eq!(holders, peers);
        assert_eq!((&stat["local"], &stat["version"], &stat["chunks"]), (&is_local.into(), &put["version"], &4.into()));
    };
    stat(true);
    cluster[2].forever(&["evict", "photo.raw"]).exits(0);
    stat(false);
    cluster[2].http().ask("GET", "/v1/stat/missing", &[]).fails(404, "not_found", "no such file");
}

#[test]
fn a_download_that_breaks_off_can_be_asked_why() {
    let cluster = Cluster::start(1);
    let bytes = content("breaks off", 8 * CHUNK);
    cluster[0].put("first-chunk", &bytes[..CHUNK]);
    let good = cluster[0].blob_files();
    cluster[0].put("photo.raw", &bytes);
    for path in cluster[0].blob_files().iter().filter(|path| !good.contains(path)) {
        std::fs::write(path, b"rot").unwrap();
    }
    let http = cluster[0].http();
    let download = http.open("GET", "/v1/files/photo.raw", &[]);
    let number = download.head.header("x-forever-request").unwrap().to_owned();
    let status = download.head.status;
    download.finish().expect_err("a body that is cut off is no whole answer");
    assert_eq!(status, 200, "it had begun well");
    let why = http.ask("GET", &format!("/v1/failures/{number}"), &[]);
    assert_eq!((why.status, &why.json()["error"]), (200, &"integrity".into()));
    http.ask("GET", "/v1/failures/987654", &[]).fails(404, "no_failure", "");
}
