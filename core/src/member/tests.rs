use alloc::string::ToString;
use alloc::vec;

use super::*;

fn info(stamp: u64, status: MemberStatus) -> MemberInfo {
    MemberInfo {
        stamp,
        status,
        owner: OwnerId([1; 32]),
        addresses: vec!["a:1".to_string()],
        weight: 100,
        zone: "cellar".to_string(),
    }
}

#[test]
fn the_higher_stamp_holds_whatever_the_status() {
    let (old, new) = (info(1, MemberStatus::Forgotten), info(2, MemberStatus::In));
    assert!(new.supersedes(&old) && !old.supersedes(&new));
}

#[test]
fn of_two_entries_with_one_stamp_exactly_one_holds() {
    let moved = MemberInfo { addresses: vec!["b:1".to_string()], ..info(1, MemberStatus::In) };
    let entries = [info(1, MemberStatus::In), moved, info(1, MemberStatus::Left), info(1, MemberStatus::Forgotten)];
    for (place, one) in entries.iter().enumerate() {
        assert!(!one.supersedes(one));
        for other in &entries[place + 1..] {
            assert!(other.supersedes(one) && !one.supersedes(other));
        }
    }
}

#[test]
fn what_exceeds_a_limit_is_not_sane() {
    let sane = info(STAMP_MAX, MemberStatus::In);
    assert!(sane.is_sane());
    assert!(!MemberInfo { stamp: STAMP_MAX + 1, ..sane.clone() }.is_sane());
    assert!(!MemberInfo { addresses: vec![String::new(); ADDRESSES_MAX + 1], ..sane.clone() }.is_sane());
    assert!(!MemberInfo { addresses: vec!["x".repeat(ADDRESS_LEN_MAX + 1)], ..sane.clone() }.is_sane());
    assert!(!MemberInfo { weight: WEIGHT_MAX + 1, ..sane.clone() }.is_sane());
    assert!(!MemberInfo { zone: "z".repeat(ZONE_LEN_MAX + 1), ..sane }.is_sane());
}

#[test]
fn a_fingerprint_tells_nodes_and_entries_apart() {
    let (one, two) = (NodeId([1; 32]), NodeId([2; 32]));
    let same = info(1, MemberStatus::In);
    let other = info(2, MemberStatus::In);
    assert_eq!(Member::fingerprint(one, &same), Member::fingerprint(one, &same));
    assert_ne!(Member::fingerprint(one, &same), Member::fingerprint(two, &same));
    assert_ne!(Member::fingerprint(one, &same), Member::fingerprint(one, &other));
}
