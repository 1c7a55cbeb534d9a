use std::time::Duration;

use forever_core::command::Command;
use forever_core::event::What;

use super::*;
use crate::folder::{Folder, OpenFolder, Owner, create};
use crate::server::{StartedNode, start_node};
use crate::settings::Settings;

/// Nobody else's mDNS is disturbed by tests.
const TEST_PORT: u16 = 5_454;

fn announcement(node: u8, cluster: u8, listen: &str) -> Announcement {
    Announcement::new(NodeId([node; 32]), &[cluster; 32], listen).unwrap()
}

fn published<'a>(by: &'a Announcement, node: &'a str, addresses: &[&str]) -> Found<'a> {
    Found {
        node: Some(node),
        cluster: Some(&by.cluster),
        port: by.listen.port(),
        addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
    }
}

#[test]
fn another_node_of_the_cluster_is_dialled_where_it_can_be() {
    let (me, other) = (announcement(1, 7, "0.0.0.0:7000"), announcement(2, 7, "[::]:7010"));
    let node = other.node.to_string();
    let found = published(&other, &node, &["192.0.2.7", "127.0.0.1", "fd00::7", "fe80::7", "10.0.0.7"]);
    assert_eq!(me.addresses(&found), ["10.0.0.7:7010", "192.0.2.7:7010", "[fd00::7]:7010"]);
    let local = announcement(1, 7, "127.0.0.1:7000");
    assert_eq!(local.addresses(&found), ["127.0.0.1:7010"]);
}

#[test]
fn a_node_ignores_itself_other_clusters_and_what_it_does_not_understand() {
    let (me, stranger) = (announcement(1, 7, "0.0.0.0:7000"), announcement(2, 8, "0.0.0.0:7010"));
    let (own, node) = (me.node.to_string(), stranger.node.to_string());
    let ignored = |found: Found<'_>| assert_eq!(me.addresses(&found), Vec::<String>::new(), "{found:?}");
    ignored(published(&me, &own, &["192.0.2.7"]));
    ignored(published(&stranger, &node, &["192.0.2.7"]));
    ignored(published(&me, "no id", &["192.0.2.7"]));
    ignored(Found { node: None, ..published(&me, &node, &["192.0.2.7"]) });
    ignored(Found { cluster: None, ..published(&me, &node, &["192.0.2.7"]) });
    ignored(Found { cluster: Some(""), ..published(&me, &node, &["192.0.2.7"]) });
}

#[test]
fn what_is_published_tells_a_cluster_from_others_and_not_its_key() {
    let key = [7; 32];
    let service = announcement(1, 7, "192.0.2.1:7000").service().unwrap();
    let text = |key| service.get_property_val_str(key).unwrap().to_owned();
    assert_eq!((text(NODE), service.get_port()), ("01".repeat(32), 7000));
    assert_eq!(text(CLUSTER).len(), 2 * FINGERPRINT_LEN);
    assert!(!text(CLUSTER).contains(&hex::encode(&key[..4])));
    assert_ne!(announcement(1, 7, "192.0.2.1:7000").cluster, announcement(1, 8, "192.0.2.1:7000").cluster);
}

#[test]
fn a_name_is_no_address_to_publish() {
    assert!(matches!(Announcement::new(NodeId([1; 32]), &[7; 32], "host:7000"), Err(MdnsError::Listen(_))));
}

struct Running {
    folder: OpenFolder,
    node: Handle,
    discovery: Discovery,
    _data: tempfile::TempDir,
}

async fn run(cluster_key: Option<&[u8; 32]>) -> Running {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("data");
    create(&path, Owner::New, cluster_key.map(|key| zeroize::Zeroizing::new(*key))).unwrap();
    let folder = Folder::at(&path).unwrap().open().unwrap();
    let settings = Settings { listen: "0.0.0.0:0".to_owned(), ..Settings::default() };
    let StartedNode { handle, listen, driver, .. } = start_node(&folder, &settings).await.unwrap();
    tokio::spawn(driver);
    let announcement = Announcement::new(folder.node_id(), folder.cluster_key(), &listen).unwrap();
    let discovery = Discovery::start(announcement, TEST_PORT, handle.clone()).unwrap();
    Running { folder, node: handle, discovery, _data: data }
}

async fn members(node: &Handle) -> u32 {
    let What::Status(status) = node.request(Command::Status).await.unwrap().next().await.unwrap() else { panic!() };
    status.members
}

/// Whether the machine lets a multicast packet out and in again.
fn is_multicast_permitted() -> bool {
    let seen = || -> std::io::Result<()> {
        let group = std::net::Ipv4Addr::new(224, 0, 0, 251);
        let receiver = std::net::UdpSocket::bind("0.0.0.0:0")?;
        receiver.join_multicast_v4(&group, &std::net::Ipv4Addr::UNSPECIFIED)?;
        receiver.set_read_timeout(Some(Duration::from_secs(2)))?;
        receiver.send_to(b"?", (group, receiver.local_addr()?.port()))?;
        receiver.recv(&mut [0; 8]).map(|_| ())
    };
    seen().is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_of_a_cluster_find_each_other_and_a_third_of_another_does_not() {
    if !is_multicast_permitted() {
        eprintln!("skipped: this machine lets no multicast packets out");
        return;
    }
    let one = run(None).await;
    let two = run(Some(one.folder.cluster_key())).await;
    let stranger = run(None).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while members(&one.node).await < 2 || members(&two.node).await < 2 {
        assert!(tokio::time::Instant::now() < deadline, "they do not find each other");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(members(&stranger.node).await, 1);
    for running in [one, two, stranger] {
        running.discovery.stop().await;
        running.node.stop().await;
    }
}
