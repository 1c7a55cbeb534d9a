use forever_net_tokio::folder::{Owner, create};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::Exit;
use super::*;

/// A data folder whose "node" answers each connection with the next of these texts, and closes it.
async fn answering(answers: &'static [&'static str]) -> (tempfile::TempDir, Client) {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    let folder = create(&path, Owner::New, None).unwrap().open().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    folder.publish_api(listener.local_addr().unwrap()).unwrap();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let client = Client::open(&path).unwrap();
    (parent, client)
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[tokio::test]
async fn a_body_that_ends_early_becomes_the_reason_that_the_node_gives() {
    let (_data, mut client) = answering(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX-Forever-Request: 5\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"error\":\"integrity\",\"message\":\"damaged\"}",
    ])
    .await;
    let mut download = client.get(&name("x"), None, None).await.unwrap();
    assert_eq!(download.next().await.unwrap().unwrap(), "abc");
    assert_eq!(download.next().await, Err(()));
    let error = client.failure_of(&download).await;
    assert_eq!((error.code(), error.exit()), ("integrity", Exit::Integrity));
}

#[tokio::test]
async fn a_body_that_ends_early_for_no_known_reason_is_a_failure_too() {
    let (_data, mut client) = answering(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX-Forever-Request: 5\r\n\r\nabc",
        "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n{\"error\":\"no_failure\",\"message\":\"no\"}",
    ])
    .await;
    let mut download = client.get(&name("x"), None, None).await.unwrap();
    while let Ok(Some(_)) = download.next().await {}
    let error = client.failure_of(&download).await;
    assert_eq!((error.code(), error.exit()), ("short", Exit::Failed));
}

#[tokio::test]
async fn errors_of_the_node_keep_their_code_and_message() {
    let (_data, mut client) = answering(&[
        "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n{\"error\":\"not_found\",\"message\":\"no such file\"}",
    ])
    .await;
    let error = client.get(&name("x"), None, None).await.err().unwrap();
    assert_eq!((error.code(), error.exit()), ("not_found", Exit::NotFound));
    assert_eq!(error.to_string(), "no such file");
}

#[tokio::test]
async fn without_a_node_the_error_says_how_to_start_one() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data");
    let folder = create(&path, Owner::New, None).unwrap().open().unwrap();
    let never_served = Client::open(&path).err().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    folder.publish_api(listener.local_addr().unwrap()).unwrap();
    drop(listener);
    let mut client = Client::open(&path).unwrap();
    let killed = client.json::<ErrorBody>(Method::GET, "/v1/status").await.unwrap_err();
    for error in [never_served, killed] {
        assert_eq!(error.exit(), Exit::Unavailable);
        assert!(error.to_string().contains("forever node --data"), "{error}");
    }
}

#[test]
fn names_are_encoded_but_for_their_slashes() {
    assert_eq!(path("/v1/files/", &name("a b/ä?#%.txt")), "/v1/files/a%20b/%C3%A4%3F%23%25.txt");
}
