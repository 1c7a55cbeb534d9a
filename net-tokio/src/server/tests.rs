use std::net::TcpListener;

use crate::api::tests::fake::STALLED;
use crate::api::tests::harness::Served;

use super::*;

#[tokio::test]
async fn the_api_address_is_there_only_while_the_node_serves() {
    let node = Served::start().await;
    let folder = node.folder.clone();
    let published = folder.api_address().unwrap().unwrap();
    assert_eq!((published.api, published.pid), (node.api, std::process::id()));
    node.stop().await.unwrap();
    assert_eq!(folder.api_address().unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_request_that_never_ends() {
    let node = Served::start().await;
    node.put(&format!("/v1/files/{STALLED}"), &[], b"abc").await;
    let open = node.open("GET", &format!("/v1/files/{STALLED}"), &[]).await;
    open.readable().await.unwrap();
    let start = tokio::time::Instant::now();
    node.stop().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_flag_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind_api(address).await.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("--api"), "{error}");
}

#[test]
fn the_ready_line_is_what_scripts_wait_for() {
    let ready = Ready {
        listen: "127.0.0.1:7000".to_owned(),
        api: SocketAddr::from(([127, 0, 0, 1], 7001)),
        node: NodeId([1; 32]),
        owner: OwnerId([2; 32]),
    };
    let expected =
        format!("ready listen=127.0.0.1:7000 api=127.0.0.1:7001 node={} owner={}", "01".repeat(32), "02".repeat(32));
    assert_eq!(ready.to_string(), expected);
}
