//! The API over real HTTP, in front of a fake node.

pub(crate) mod fake;
pub(crate) mod harness;
mod share;

use fake::{CHUNK, DAMAGED, FULL, LONELY, STALLED, VERSION, WINDOW};
use harness::{Answer, Served, read_answer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::view::version_text;

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|index| u8::try_from(index * 31 % 251).unwrap()).collect()
}

/// Chunks go out without their sizes only when the body is chunked, which a get's never is.
fn whole(answer: &Answer) -> &[u8] {
    let len: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!(answer.body.len(), len);
    &answer.body
}

#[tokio::test]
async fn what_is_put_is_got_with_its_meta() {
    let node = Served::start().await;
    for len in [0, 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7] {
        let bytes = content(len);
        let headers = ["Content-Type: image/png", "X-Forever-Mtime-Ms: 1000", "X-Forever-Mode: 640"];
        let put = node.put("/v1/files/a/b%20c.png", &headers, &bytes).await;
        assert_eq!(put.status, 200);
        let json = put.json();
        assert_eq!(json["name"], "a/b c.png");
        assert_eq!(json["size"], len);
        assert_eq!(json["chunks"], len.div_ceil(CHUNK));
        assert_eq!(json["replicas"], 3);
        assert_eq!(json["version"], version_text(&VERSION));
        let got = node.ask("GET", "/v1/files/a/b%20c.png", &[]).await;
        assert_eq!(got.status, 200);
        assert_eq!(whole(&got), bytes);
        assert_eq!(got.header("content-type"), Some("image/png"));
        assert_eq!(got.header("x-forever-mtime-ms"), Some("1000"));
        assert_eq!(got.header("x-forever-mode"), Some("640"));
        assert_eq!(got.header("last-modified"), Some("Thu, 01 Jan 1970 00:00:01 GMT"));
        assert_eq!(got.header("accept-ranges"), Some("bytes"));
    }
}

#[tokio::test]
async fn a_put_says_on_how_many_nodes_and_a_stat_tells() {
    let node = Served::start().await;
    for (query, kept_on) in [("", "3"), ("?replicas=5", "5"), ("?replicas=all", "all")] {
        let put = node.put(&format!("/v1/files/x{query}"), &[], b"abc").await;
        assert_eq!(put.status, 200);
        let stat = node.ask("GET", "/v1/stat/x", &[]).await.json();
        assert_eq!(stat["replicas"], kept_on);
        assert!(stat["placed"].is_array());
    }
    for query in ["?replicas=0", "?replicas=256", "?replicas=some", "?replica=2"] {
        let refused = node.put(&format!("/v1/files/x{query}"), &[], b"abc").await;
        assert_eq!(refused.error(), (400, "bad_request".to_owned()), "{query}");
    }
    let refused = node.put("/v1/files/x?replicas=0", &[], b"abc").await.json();
    assert_eq!(refused["message"], "replicas=0: expected a number of replicas from 1 to 255, or \"all\"");
}

#[tokio::test]
async fn a_body_of_unknown_length_is_stored_too() {
    let node = Served::start().await;
    let mut stream = node.open("PUT", "/v1/files/x", &["Transfer-Encoding: chunked"]).await;
    stream.write_all(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(read_answer(stream).await.json()["size"], 5);
    assert_eq!(node.ask("GET", "/v1/files/x", &[]).await.body, b"abcde");
}

#[tokio::test]
async fn a_head_tells_all_but_the_bytes() {
    let node = Served::start().await;
    node.put("/v1/files/x", &[], &content(100)).await;
    let head = node.ask("HEAD", "/v1/files/x", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some("100"));
    let get = node.ask("GET", "/v1/files/x", &[]).await;
    assert_eq!(head.header("etag"), get.header("etag"));
    assert_eq!(head.header("x-forever-version"), get.header("x-forever-version"));
}

#[tokio::test]
async fn one_range_is_served_and_several_are_not() {
    let node = Served::start().await;
    let bytes = content(3 * CHUNK);
    node.put("/v1/files/x", &[], &bytes).await;
    let len = bytes.len();
    for (range, from, to) in [("0-0", 0, 1), ("5-", 5, len), ("-7", len - 7, len), ("10-999999999", 10, len)] {
        let got = node.ask("GET", "/v1/files/x", &[&format!("Range: bytes={range}")]).await;
        assert_eq!(got.status, 206);
        assert_eq!(whole(&got), &bytes[from..to]);
        let expected = format!("bytes {from}-{}/{len}", to - 1);
        assert_eq!(got.header("content-range"), Some(expected.as_str()));
    }
    let several = node.ask("GET", "/v1/files/x", &["Range: bytes=0-1,4-5"]).await;
    assert_eq!((several.status, several.body.len()), (200, len));
    let outside = node.ask("GET", "/v1/files/x", &[&format!("Range: bytes={len}-")]).await;
    assert_eq!(outside.error(), (416, "range".to_owned()));
    assert_eq!(outside.header("content-range"), Some(format!("bytes */{len}").as_str()));
}

#[tokio::test]
async fn a_known_file_is_not_sent_again() {
    let node = Served::start().await;
    node.put("/v1/files/x", &[], b"abc").await;
    let etag = node.ask("GET", "/v1/files/x", &[]).await.header("etag").unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'));
    for method in ["GET", "HEAD"] {
        let known = format!("If-None-Match: \"other\", W/{etag}");
        let got = node.ask(method, "/v1/files/x", &[&known]).await;
        assert_eq!((got.status, got.body.len()), (304, 0));
    }
    let got = node.ask("GET", "/v1/files/x", &["If-None-Match: \"other\""]).await;
    assert_eq!(got.status, 200);
    let same = ["Range: bytes=1-1".to_owned(), format!("If-Range: {etag}")];
    let got = node.ask("GET", "/v1/files/x", &[&same[0], &same[1]]).await;
    assert_eq!((got.status, got.body.as_slice()), (206, &b"b"[..]));
    let got = node.ask("GET", "/v1/files/x", &[&same[0], "If-Range: \"other\""]).await;
    assert_eq!((got.status, got.body.as_slice()), (200, &b"abc"[..]));
}

#[tokio::test]
async fn a_get_that_fails_midway_is_cut_off_and_says_why_when_asked() {
    let node = Served::start().await;
    node.put(&format!("/v1/files/{DAMAGED}"), &[], &content(4 * CHUNK)).await;
    let got = node.ask("GET", &format!("/v1/files/{DAMAGED}"), &[]).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-length"), Some((4 * CHUNK).to_string().as_str()));
    assert!(got.body.len() < 4 * CHUNK);
    let number = got.header("x-forever-request").unwrap();
    let why = node.ask("GET", &format!("/v1/failures/{number}"), &[]).await;
    assert_eq!((why.status, &why.json()["error"]), (200, &"integrity".into()));
    let other = node.ask("GET", "/v1/failures/999", &[]).await;
    assert_eq!(other.error(), (404, "no_failure".to_owned()));
}

#[tokio::test]
async fn a_put_that_fails_midway_answers_while_the_body_still_comes() {
    let node = Served::start().await;
    let full = node.put(&format!("/v1/files/{FULL}"), &[], &content(40 * CHUNK)).await;
    assert_eq!(full.error(), (507, "disk_full".to_owned()));
}

#[tokio::test]
async fn errors_have_their_status_and_code() {
    let node = Served::start().await;
    let missing = node.ask("GET", "/v1/files/nothing", &[]).await;
    assert_eq!(missing.error(), (404, "not_found".to_owned()));
    let lonely = node.put(&format!("/v1/files/{LONELY}"), &[], b"x").await;
    assert_eq!(lonely.error(), (503, "not_enough_peers".to_owned()));
    for name in ["..", "a/../b", "a%00b", "%2e%2e", "a//b", "/a", "%ff", ""] {
        let wrong = node.ask("GET", &format!("/v1/files/{name}"), &[]).await;
        assert_eq!(wrong.error(), (400, "invalid_name".to_owned()), "{name}");
    }
    let long = node.ask("GET", &format!("/v1/files/{}", "x".repeat(4_097)), &[]).await;
    assert_eq!(long.error(), (400, "invalid_name".to_owned()));
    let version = node.ask("GET", "/v1/files/x?version=newest", &[]).await;
    assert_eq!(version.error(), (400, "invalid_version".to_owned()));
    let query = node.ask("GET", "/v1/files?limt=3", &[]).await;
    assert_eq!(query.error(), (400, "bad_request".to_owned()));
    let mode = node.put("/v1/files/x", &["X-Forever-Mode: rw"], b"x").await;
    assert_eq!(mode.error(), (400, "bad_request".to_owned()));
    let method = node.ask("POST", "/v1/status", &[]).await;
    assert_eq!(method.error(), (405, "method_not_allowed".to_owned()));
    assert!(method.header("allow").unwrap().contains("GET"));
    let endpoint = node.ask("GET", "/v2/files", &[]).await;
    assert_eq!(endpoint.error(), (404, "no_such_endpoint".to_owned()));
}

#[tokio::test]
async fn only_the_token_opens_the_api() {
    let node = Served::start().await;
    let wrong = format!("Authorization: Bearer {}", "0".repeat(64));
    let basic = format!("Authorization: Basic {}", node.token);
    for headers in [vec!["Host: localhost"], vec!["Host: localhost", &wrong], vec!["Host: localhost", &basic]] {
        let answer = read_answer(node.open_bare("GET", "/v1/status", &headers).await).await;
        assert_eq!(answer.error(), (401, "unauthorized".to_owned()));
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    for path in ["/healthz", "/v1/openapi.json"] {
        let answer = read_answer(node.open_bare("GET", path, &["Host: localhost"]).await).await;
        assert_ne!(answer.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_host_that_is_not_this_machine_is_refused() {
    let node = Served::start().await;
    let token = format!("Authorization: Bearer {}", node.token);
    for host in ["evil.example", "127.0.0.1.evil.example", "192.0.2.1:7001", "localhost.evil"] {
        let host = format!("Host: {host}");
        let answer = read_answer(node.open_bare("GET", "/v1/status", &[&host, &token]).await).await;
        assert_eq!(answer.error(), (421, "host".to_owned()), "{host}");
    }
    for host in ["localhost", "LOCALHOST:7001", "127.0.0.1:1", "[::1]:7001"] {
        let host = format!("Host: {host}");
        let answer = read_answer(node.open_bare("GET", "/v1/status", &[&host, &token]).await).await;
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[tokio::test]
async fn lists_come_in_pages() {
    let node = Served::start().await;
    for name in ["a/1", "a/2", "a/3", "b"] {
        node.put(&format!("/v1/files/{name}"), &[], b"x").await;
    }
    let names = |answer: &Answer| -> Vec<String> {
        let json = answer.json();
        let files = json["files"].as_array().unwrap();
        files.iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = node.ask("GET", "/v1/files?prefix=a%2F&limit=2", &[]).await;
    assert_eq!(names(&first), ["a/1", "a/2"]);
    assert_eq!(first.json()["more"], true);
    let rest = node.ask("GET", "/v1/files?prefix=a%2F&limit=2&after=a%2F2", &[]).await;
    assert_eq!(names(&rest), ["a/3"]);
    assert_eq!(rest.json()["more"], false);
}

#[tokio::test]
async fn the_other_endpoints_answer_json() {
    let node = Served::start().await;
    node.put("/v1/files/x", &[], b"abc").await;
    let stat = node.ask("GET", "/v1/stat/x?holders=true", &[]).await.json();
    assert_eq!((&stat["size"], &stat["local"]), (&3.into(), &true.into()));
    assert_eq!(stat["holders"][0], "02".repeat(32));
    let versions = node.ask("GET", "/v1/versions/x", &[]).await.json();
    assert_eq!(versions["versions"][0]["version"], version_text(&VERSION));
    let evicted = node.ask("POST", "/v1/evict/x", &[]).await.json();
    assert_eq!(evicted["promised_by"].as_array().unwrap().len(), 2);
    let peers = node.ask("GET", "/v1/peers", &[]).await.json();
    assert_eq!(peers["peers"][0]["error"], "refused");
    let deleted = node.ask("DELETE", "/v1/files/x", &[]).await.json();
    assert_eq!((&deleted["replicas"], &deleted["pending"]), (&3.into(), &1.into()));
    assert_eq!(node.ask("GET", "/v1/files/x", &[]).await.status, 404);
    let back = node.ask("POST", "/v1/undelete/x", &[]).await.json();
    assert_eq!((&back["size"], &back["version"]), (&3.into(), &version_text(&VERSION).into()));
    assert_eq!((&back["replicas"], &back["pending"]), (&3.into(), &1.into()));
    let refused = node.ask("POST", "/v1/undelete/x", &[]).await;
    assert_eq!((refused.status, &refused.json()["error"]), (409, &"not_deleted".into()));
    let status = node.ask("GET", "/v1/status", &[]).await.json();
    assert_eq!(status["healthy"], false);
    assert_eq!(status["listen"], "127.0.0.1:7000");
    let health = node.ask("GET", "/healthz", &[]).await;
    assert_eq!((health.status, &health.json()["status"]), (503, &"degraded".into()));
}

#[tokio::test]
async fn restores_and_scrubs_stream_their_steps_a_line_each() {
    let node = Served::start().await;
    let lines = steps(&node, "/v1/restore").await;
    assert_eq!(lines[1]["peers_done"], 2);
    let lines = steps(&node, "/v1/scrub").await;
    assert_eq!((&lines[1]["blobs"], &lines[1]["resumed"]), (&2.into(), &true.into()));
    let lines = steps(&node, "/v1/scrub?restart=true").await;
    assert_eq!(lines[1]["resumed"], false);
}

/// The lines of a request of two steps.
async fn steps(node: &Served, path: &str) -> Vec<serde_json::Value> {
    // HTTP/1.0 has no chunked coding, so the body is the lines alone.
    let mut stream = tokio::net::TcpStream::connect(node.api).await.unwrap();
    let head = format!("POST {path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", node.token);
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_answer(stream).await;
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let text = String::from_utf8(answer.body).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let done: Vec<&serde_json::Value> = lines.iter().map(|line| &line["done"]).collect();
    assert_eq!(done, [false, true]);
    lines
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_its_request() {
    let mut node = Served::start().await;
    let put = node.open("PUT", "/v1/files/x", &["Content-Length: 1000000"]).await;
    drop(put);
    node.seen.wait_for(|seen| seen.cancelled == 1).await.unwrap();
    node.put(&format!("/v1/files/{STALLED}"), &[], &content(CHUNK)).await;
    let mut get = node.open("GET", &format!("/v1/files/{STALLED}"), &[]).await;
    get.read_u8().await.unwrap();
    drop(get);
    node.seen.wait_for(|seen| seen.cancelled == 2).await.unwrap();
}

#[tokio::test]
async fn a_get_takes_no_more_than_its_caller_reads() {
    let node = Served::start().await;
    // More than all socket buffers between here and there hold.
    let bytes = content(64 << 20);
    node.put("/v1/files/x", &[], &bytes).await;
    let mut get = node.open("GET", "/v1/files/x", &[]).await;
    get.read_u8().await.unwrap();
    // The other request's answer shows that the node has had its turn since.
    node.ask("GET", "/v1/status", &[]).await;
    let delivered = node.seen.borrow().delivered;
    assert!(delivered >= WINDOW && delivered < bytes.len() as u64, "{delivered}");
    let mut rest = Vec::new();
    get.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(&bytes));
}

#[test]
fn the_openapi_document_has_every_endpoint() {
    let document: serde_json::Value = serde_json::from_str(super::OPENAPI).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let paths = document["paths"].as_object().unwrap();
    let methods = |path: &str| -> Vec<&str> {
        let methods = paths[path].as_object().unwrap();
        methods.keys().map(String::as_str).filter(|key| *key != "parameters").collect()
    };
    assert_eq!(methods("/v1/files/{name}"), ["delete", "get", "head", "put"]);
    for path in [
        "/v1/files",
        "/v1/stat/{name}",
        "/v1/versions/{name}",
        "/v1/status",
        "/v1/peers",
        "/v1/failures/{request}",
        "/v1/openapi.json",
        "/healthz",
    ] {
        assert_eq!(methods(path), ["get"], "{path}");
    }
    let posts = [
        "/v1/evict/{name}",
        "/v1/undelete/{name}",
        "/v1/share/{name}",
        "/v1/tickets/get",
        "/v1/restore",
        "/v1/scrub",
        "/v1/fsck",
        "/v1/leave",
        "/v1/forget/{node}",
    ];
    for path in posts {
        assert_eq!(methods(path), ["post"], "{path}");
    }
    assert_eq!(paths.len(), 18);
}
