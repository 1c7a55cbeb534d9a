//! End-to-end tests over a real network that fails: five nodes as processes, each in a network namespace of its own behind a
//! virtual switch, with cables that are pulled and lines that are slow and lossy. They need Linux, root, and `ip` and `tc` of
//! iproute2; where a namespace may not be made they say so and pass.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod host;
mod lan;

use std::collections::BTreeSet;

use host::{Host, eventually};
use lan::Lan;
use serde_json::Value;

/// Five hosts of one cluster, whose nodes do not run yet.
fn five_hosts(settings: &[(&str, &str)]) -> Option<(Lan, Vec<Host>)> {
    let lan = Lan::build(5)?;
    let mut hosts: Vec<Host> = Vec::new();
    for number in 0..5 {
        // The fourth is another machine of the first one's owner.
        let phrase = if number == 3 { hosts.first().map(|host| host.phrase.clone()) } else { None };
        let key = hosts.first().map(|host| host.data.join("cluster.key"));
        let mut host = Host::init(&lan, number, key.as_deref(), phrase.as_deref());
        host.settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        hosts.push(host);
    }
    Some((lan, hosts))
}

#[track_caller]
fn wait_until_all_have_met(hosts: &[Host]) {
    for host in hosts {
        eventually("all to have met", || (host.status()["peers_connected"] == hosts.len() - 1).then_some(()));
    }
}

/// Five nodes that know each other through the first, after all have met.
fn five(settings: &[(&str, &str)]) -> Option<(Lan, Vec<Host>)> {
    let (lan, mut hosts) = five_hosts(settings)?;
    for number in 0..hosts.len() {
        let (first, rest) = hosts.split_at_mut(1);
        match number.checked_sub(1) {
            Some(other) => rest[other].start(Some(&first[0])),
            None => first[0].start(None),
        }
    }
    wait_until_all_have_met(&hosts);
    Some((lan, hosts))
}

fn names(host: &Host) -> BTreeSet<String> {
    host.lines(&["ls"]).iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}

fn version(host: &Host, name: &str) -> Value {
    host.lines(&["stat", name])[0]["version"].clone()
}

/// How many nodes hold the whole of a file, this one counted if it does.
fn copies(host: &Host, name: &str) -> usize {
    let stat = &host.lines(&["stat", name])[0];
    stat["holders"].as_array().map_or(0, Vec::len) + usize::from(stat["local"] == true)
}

#[test]
fn two_that_were_cut_off_and_the_other_three_agree_once_they_are_joined_again() {
    let Some((lan, hosts)) = five(&[]) else { return };
    let (first, second) = (&hosts[0], &hosts[3]);
    first.put("common", b"before the cut");
    first.put("gone", b"deleted during the cut");
    first.put("both", b"before the cut, too");
    eventually("the second device to know the files", || (names(second).len() == 3).then_some(()));

    lan.cut_off(&[3, 4]);
    for host in &hosts[..3] {
        eventually("the cut to be seen", || (host.status()["peers_connected"] == 2).then_some(()));
    }
    eventually("the cut to be seen", || (second.status()["peers_connected"] == 1).then_some(()));
    first.put("left", b"of the three");
    first.run(&["rm", "gone"]).exits(0);
    first.put("both", b"as the three have it");
    assert_eq!(first.get("common"), b"before the cut");
    second.put("right", b"of the two");
    second.put("both", b"as the two have it");
    // Its holders may all be among the three: then it cannot be had, and that is what it says.
    match second.try_get("common") {
        (Some(0), bytes) => assert_eq!(bytes, b"before the cut"),
        (code, _) => assert_eq!(code, Some(4)),
    }
    assert_eq!(second.get("both"), b"as the two have it");

    lan.join();
    let all: BTreeSet<String> = ["common", "both", "left", "right"].map(str::to_owned).into();
    for host in [first, second] {
        eventually("both devices to list the same", || (names(host) == all).then_some(()));
    }
    eventually("one version to win everywhere", || (version(first, "both") == version(second, "both")).then_some(()));
    let winner = first.get("both");
    assert!([&b"as the three have it"[..], b"as the two have it"].contains(&&winner[..]));
    for host in [first, second] {
        assert_eq!(host.get("both"), winner);
        assert_eq!(host.get("left"), b"of the three");
        assert_eq!(host.get("right"), b"of the two");
        assert_eq!(host.get("common"), b"before the cut");
        assert_eq!(host.try_get("gone").0, Some(3), "what was deleted stays deleted");
        eventually("both histories to have both", || (host.lines(&["versions", "both"]).len() == 3).then_some(()));
    }
    for name in &all {
        eventually("three copies of each", || (copies(first, name) >= 3).then_some(()));
    }
}

#[test]
fn what_lay_on_a_disk_that_is_lost_is_repaired_by_the_others() {
    let Some((_lan, mut hosts)) = five(&[("FOREVER_REPAIR_AFTER_S", "5")]) else { return };
    let names: Vec<String> = (0..12).map(|number| format!("file-{number}")).collect();
    for name in &names {
        hosts[0].put(name, name.repeat(50_000).as_bytes());
    }
    for name in &names {
        eventually("three copies before", || (copies(&hosts[0], name) >= 3).then_some(()));
    }
    hosts[2].lose_the_disk();
    // Not even the owner is there: the two that are left, and the second device, do it.
    hosts[0].kill();
    let second = &hosts[3];
    for name in &names {
        eventually("three copies again", || (copies(second, name) >= 3).then_some(()));
        assert_eq!(second.get(name), name.repeat(50_000).as_bytes());
    }
}

#[test]
fn files_come_through_a_slow_and_lossy_network() {
    let Some((lan, hosts)) = five(&[]) else { return };
    if !lan.is_slowed(&["delay", "40ms", "10ms", "loss", "1%"]) {
        return;
    }
    let content: Vec<u8> = (0..6_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    hosts[0].put("large", &content);
    eventually("the second device to know it", || names(&hosts[3]).contains("large").then_some(()));
    assert!(hosts[3].get("large") == content);
    hosts[3].run(&["rm", "large"]).exits(0);
    eventually("the first to know of the delete", || names(&hosts[0]).is_empty().then_some(()));
}

#[test]
fn nodes_of_one_local_network_find_each_other_without_an_address() {
    let Some((_lan, mut hosts)) = five_hosts(&[("FOREVER_MDNS", "true")]) else { return };
    for host in &mut hosts {
        host.start(None);
    }
    wait_until_all_have_met(&hosts);
    hosts[0].put("found", b"by multicast");
    eventually("the second device to know it", || names(&hosts[3]).contains("found").then_some(()));
    assert_eq!(hosts[3].get("found"), b"by multicast");
}

#[test]
fn a_cluster_that_comes_back_at_other_addresses_remembers_the_one_that_stayed() {
    let Some((lan, mut hosts)) = five(&[]) else { return };
    hosts[0].put("kept", b"from before the move");
    hosts.iter_mut().for_each(Host::kill);
    for (number, host) in hosts.iter_mut().enumerate().skip(1) {
        host.ip = lan.renumber(number);
    }
    // Nobody is told of anybody: what they know of each other is on their disks.
    for host in hosts.iter_mut().rev() {
        host.start(None);
    }
    wait_until_all_have_met(&hosts);
    assert_eq!(hosts[3].get("kept"), b"from before the move");
    // The one that stayed moves as well, and the others remember each other.
    hosts.iter_mut().for_each(Host::kill);
    hosts[0].ip = lan.renumber(0);
    for host in &mut hosts {
        host.start(None);
    }
    wait_until_all_have_met(&hosts);
    assert_eq!(hosts[3].get("kept"), b"from before the move");
}
