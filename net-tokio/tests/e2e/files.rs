//! Files of all sizes, through the API: bodies, ranges, headers, versions, lists.

use serde_json::json;

use crate::harness::{CHUNK, Cluster, content, sealed_len};

const SIZES: [usize; 6] = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 20 * CHUNK + 7];

#[test]
fn a_file_of_any_size_is_put_evicted_and_got() {
    let cluster = Cluster::start(3);
    for size in SIZES {
        let (name, bytes) = (format!("size-{size}"), content("sizes", size));
        // No two of these files share a chunk, but for those that are whole.
        let put = cluster[2].put(&name, &bytes);
        assert_eq!(
            (&put["size"], &put["chunks"], &put["replicas"]),
            (&json!(size), &json!(size.div_ceil(CHUNK)), &json!(3))
        );
        assert!(cluster[2].get(&name) == bytes, "{name} from the own disk");
        cluster[2].forever(&["evict", &name]).exits(0);
        let got = cluster[2].http().ask("GET", &format!("/v1/files/{name}"), &[]);
        assert_eq!((got.status, got.header("content-length")), (200, Some(size.to_string().as_str())));
        assert!(got.body == bytes, "{name} from the peers");
    }
    let sum: usize = SIZES.iter().sum();
    let status = cluster[2].status();
    assert_eq!((&status["files"], &status["file_bytes"]), (&json!(SIZES.len()), &json!(sum)));
}

#[test]
fn a_range_gives_its_bytes_and_says_which() {
    let cluster = Cluster::start(3);
    let bytes = content("ranges", 5 * CHUNK + 7);
    cluster[2].put("file", &bytes);
    cluster[2].forever(&["evict", "file"]).exits(0);
    let (len, edge) = (bytes.len(), CHUNK);
    let cases = [
        ("0-0".to_owned(), 0, 1),
        (format!("{}-{}", edge - 1, edge), edge - 1, edge + 1),
        (format!("{edge}-{}", 3 * edge - 1), edge, 3 * edge),
        (format!("{}-", 5 * edge + 1), 5 * edge + 1, len),
        ("-8".to_owned(), len - 8, len),
        (format!("10-{}", 10 * len), 10, len),
        (format!("-{}", 10 * len), 0, len),
    ];
    for (range, first, end) in cases {
        let got = cluster[2].http().ask("GET", "/v1/files/file", &[&format!("Range: bytes={range}")]);
        assert_eq!(got.status, 206, "{range}");
        let told = format!("bytes {first}-{}/{len}", end - 1);
        assert_eq!(got.header("content-range"), Some(told.as_str()), "{range}");
        assert!(got.body == bytes[first..end], "{range}");
        let target = cluster.path("part");
        let range = format!("--range={range}");
        let got = cluster[2].forever(&["get", "file", &range, "-o", target.to_str().unwrap()]).json();
        assert_eq!(got["bytes"], end - first, "{range}");
        assert!(std::fs::read(&target).unwrap() == bytes[first..end], "{range}");
    }
}

#[test]
fn a_range_outside_the_file_is_refused_with_its_length() {
    let cluster = Cluster::start(1);
    cluster[0].put("file", &content("range", 1000));
    for range in ["1000-", "1000-2000", "-0"] {
        let got = cluster[0].http().ask("GET", "/v1/files/file", &[&format!("Range: bytes={range}")]);
        got.fails(416, "range", "1000 bytes");
        assert_eq!(got.header("content-range"), Some("bytes */1000"), "{range}");
    }
    let cli = |range: &str| cluster[0].try_get(&["file", "--range", range]);
    cli("1000-").fails(1, "range", &["outside the file's 1000 bytes"]);
    cli("9-5").fails(2, "usage", &["no range", "A-B"]);
}

#[test]
fn an_etag_saves_a_transfer_and_a_head_has_no_body() {
    let cluster = Cluster::start(2);
    let http = cluster[1].http();
    cluster[1].put("page.html", b"<p>one</p>");
    let first = http.ask("GET", "/v1/files/page.html", &[]);
    let etag = first.header("etag").unwrap().to_owned();
    let known = format!("If-None-Match: {etag}");
    let again = http.ask("GET", "/v1/files/page.html", &[&known]);
    assert_eq!((again.status, again.header("etag"), again.body.len()), (304, Some(etag.as_str()), 0));
    let head = http.ask("HEAD", "/v1/files/page.html", &[]);
    assert_eq!(
        (head.status, head.header("content-length"), head.header("etag")),
        (200, Some("10"), Some(etag.as_str()))
    );
    assert_eq!(head.body, b"");
    cluster[1].put("page.html", b"<p>two</p>");
    let changed = http.ask("GET", "/v1/files/page.html", &[&known]);
    assert_eq!((changed.status, changed.body.as_slice()), (200, &b"<p>two</p>"[..]));
    assert_ne!(changed.header("etag"), Some(etag.as_str()));
    assert_eq!(http.ask("HEAD", "/v1/files/no-such", &[]).status, 404);
}

#[test]
fn every_version_can_be_got_by_its_name() {
    let cluster = Cluster::start(2);
    let texts: Vec<Vec<u8>> = (0..3).map(|number| content(&format!("version {number}"), CHUNK + number)).collect();
    let put: Vec<String> =
        texts.iter().map(|text| cluster[1].put("note", text)["version"].as_str().unwrap().to_owned()).collect();
    let versions = cluster[1].forever(&["versions", "note"]).exits(0).lines();
    let listed: Vec<&str> = versions.iter().rev().map(|version| version["version"].as_str().unwrap()).collect();
    assert_eq!(listed, put);
    let current: Vec<bool> = versions.iter().map(|version| version["current"].as_bool().unwrap()).collect();
    assert_eq!(current, [true, false, false]);
    for (version, text) in put.iter().zip(&texts) {
        let got = cluster[1].http().ask("GET", &format!("/v1/files/note?version={version}"), &[]);
        assert!(got.status == 200 && got.body == *text, "{version}");
        let target = cluster.path("note");
        cluster[1].forever(&["get", "note", "--version", version, "-o", target.to_str().unwrap()]).exits(0);
        assert!(std::fs::read(&target).unwrap() == *text, "{version}");
    }
    assert!(cluster[1].get("note") == texts[2]);
    let unknown = cluster[1].try_get(&["note", "--version", "000000000001-0-00000000"]);
    unknown.fails(3, "no_such_version", &["no such version"]);
    cluster[1].try_get(&["note", "--version", "newest"]).fails(2, "invalid_version", &["`versions NAME` lists them"]);
}

#[test]
fn a_list_comes_in_pages_in_order_of_names() {
    let cluster = Cluster::start(1);
    let mut names: Vec<String> = (0..7).map(|number| format!("photos/{number}.png")).collect();
    names.push("readme.txt".to_owned());
    for name in names.iter().rev() {
        cluster[0].put(name, name.as_bytes());
    }
    let http = cluster[0].http();
    let mut listed: Vec<String> = Vec::new();
    loop {
        let after = listed.last().map_or(String::new(), |last| format!("&after={last}"));
        let page = http.json(&format!("/v1/files?prefix=photos/&limit=3{after}"));
        let files = page["files"].as_array().unwrap();
        assert!((1..=3).contains(&files.len()), "{page}");
        listed.extend(files.iter().map(|file| file["name"].as_str().unwrap().to_owned()));
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(listed, names[..7]);
    assert_eq!(cluster[0].names(), names);
    assert_eq!(cluster[0].forever(&["ls", "read"]).json()["size"], 10);
    http.ask("GET", "/v1/files?limit=0", &[]).fails(400, "limit", "between 1 and 10,000");
}

#[test]
fn the_api_is_closed_without_the_token_and_open_about_its_health() {
    let cluster = Cluster::start(2);
    let mut http = cluster[1].http();
    http.token = "0".repeat(64);
    http.ask("GET", "/v1/status", &[]).fails(401, "unauthorized", "api.token");
    assert_eq!(http.put("/v1/files/x", b"x").status, 401);
    let health = http.ask("GET", "/healthz", &[]);
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("ok")));
    assert_eq!(http.ask("GET", "/v1/openapi.json", &[]).json()["openapi"], "3.1.0");
    assert_eq!(cluster[1].names(), Vec::<String>::new());
}

#[test]
fn a_file_of_many_chunks_has_the_blobs_that_the_format_says() {
    let cluster = Cluster::start(2);
    let bytes = content("blobs", 20 * CHUNK + 7);
    cluster[1].put("file", &bytes);
    for node in &cluster.nodes {
        let status = node.status();
        assert_eq!((&status["blobs"], &status["blob_bytes"]), (&json!(21), &json!(sealed_len(bytes.len()))));
    }
}
