//! Tickets over HTTP.

use forever_core::name::Name;
use serde_json::json;

use super::super::view::version_text;
use super::fake::{CHUNK, NOW_MS, VERSION, ticket};
use super::harness::{Answer, Served};
use super::{content, whole};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

async fn share(node: &Served, body: &str) -> Answer {
    node.send("POST", "/v1/share/a/b%20c.txt", &[], body.as_bytes()).await
}

async fn shared(node: &Served, ticket: &str, headers: &[&str]) -> Answer {
    node.send("POST", "/v1/tickets/get", headers, ticket.as_bytes()).await
}

/// A node with one file, and a ticket for it.
async fn served() -> (Served, Vec<u8>, String) {
    let node = Served::start().await;
    let bytes = content(3 * CHUNK + 5);
    node.put("/v1/files/a/b%20c.txt", &["Content-Type: text/plain"], &bytes).await;
    let ticket = share(&node, "").await.json()["ticket"].as_str().unwrap().to_owned();
    (node, bytes, ticket)
}

#[tokio::test]
async fn a_share_answers_with_a_ticket_and_when_it_expires() {
    let (node, bytes, _) = served().await;
    for (body, days) in
        [("", 7), ("{}", 7), (r#"{"expires": "1d 12h"}"#, 1), (r#"{"expires": null, "version": null}"#, 7)]
    {
        let answer = share(&node, body).await;
        assert_eq!(answer.status, 200, "{body}");
        let json = answer.json();
        assert_eq!(json["expires_ms"].as_u64().map(|ms| (ms - NOW_MS) / DAY_MS), Some(days), "{body}");
        assert_eq!((&json["name"], &json["size"]), (&json!("a/b c.txt"), &json!(bytes.len())));
        assert_eq!(json["version"], version_text(&VERSION));
        assert!(json["ticket"].as_str().unwrap().starts_with("forever1"));
    }
}

#[tokio::test]
async fn what_a_ticket_opens_is_got_with_its_name_and_meta() {
    let (node, bytes, ticket) = served().await;
    for text in [ticket.clone(), ticket.to_uppercase(), format!("{ticket}\n")] {
        let got = shared(&node, &text, &[]).await;
        assert_eq!(got.status, 200);
        assert_eq!(whole(&got), bytes);
        assert_eq!(got.header("x-forever-name"), Some("a%2Fb%20c%2Etxt"));
        assert_eq!(got.header("content-type"), Some("text/plain"));
    }
    let part = shared(&node, &ticket, &["Range: bytes=5-9"]).await;
    assert_eq!((part.status, whole(&part)), (206, &bytes[5..10]));
    assert_eq!(part.header("content-range"), Some(format!("bytes 5-9/{}", bytes.len()).as_str()));
    let all = shared(&node, &ticket, &["Range: bytes=5-9", "If-Range: \"other\""]).await;
    assert_eq!((all.status, whole(&all)), (200, bytes.as_slice()));
    let outside = shared(&node, &ticket, &[&format!("Range: bytes={}-", bytes.len())]).await;
    assert_eq!(outside.error(), (416, "range".to_owned()));
}

#[tokio::test]
async fn what_is_wrong_with_a_ticket_has_its_status_and_code() {
    let (node, _, good) = served().await;
    let bytes = good.len();
    let long = "q".repeat(100_000);
    for bad in ["", "forever1", "a/b c.txt", &good[..bytes - 1], &long] {
        assert_eq!(shared(&node, bad, &[]).await.error(), (400, "invalid_ticket".to_owned()), "{bad}");
    }
    let name = Name::new("a/b c.txt").unwrap();
    let forged = {
        let mut forged = ticket(&name, NOW_MS + 1).0.to_vec();
        forged[50] ^= 1;
        forever_core::ticket::SignedTicket(forged.into()).to_text()
    };
    assert_eq!(shared(&node, &forged, &[]).await.error(), (400, "invalid_ticket".to_owned()));
    let expired = ticket(&name, NOW_MS).to_text();
    assert_eq!(shared(&node, &expired, &[]).await.error(), (410, "ticket_expired".to_owned()));
    node.ask("DELETE", "/v1/files/a/b%20c.txt", &[]).await;
    assert_eq!(shared(&node, &good, &[]).await.error(), (410, "ticket_gone".to_owned()));
}

#[tokio::test]
async fn what_is_wrong_with_a_share_has_its_status_and_code() {
    let (node, _, _) = served().await;
    for (body, code) in [
        ("{", "bad_request"),
        (r#"{"expire": "7d"}"#, "bad_request"),
        (r#"{"expires": "soon"}"#, "invalid_expiry"),
        (r#"{"version": "newest"}"#, "invalid_version"),
    ] {
        assert_eq!(share(&node, body).await.error(), (400, code.to_owned()), "{body}");
    }
    let missing = node.send("POST", "/v1/share/nothing", &[], b"").await;
    assert_eq!(missing.error(), (404, "not_found".to_owned()));
    let in_url = node.ask("GET", "/v1/tickets/get", &[]).await;
    assert_eq!(in_url.error(), (405, "method_not_allowed".to_owned()));
}
