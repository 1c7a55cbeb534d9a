use super::*;
use crate::ids::{NameId, NodeId, PageId};
use crate::record::Retention;
use crate::version::Version;

fn counted(owner: u8, name: [u8; 2], replicas: Replicas, id: u8) -> Counted {
    let mut name_id = [0; 32];
    name_id[..2].copy_from_slice(&name);
    let record = Record {
        owner: OwnerId([owner; 32]),
        name_id: NameId(name_id),
        version: Version { wall_ms: 1, counter: 0, node: NodeId([1; 32]) },
        retention: Retention { keep_versions: 1, keep_days: 1, replicas },
        body: RecordBody::File { root: PageId([9; 32]), root_len: 1 },
    };
    Counted::of(&SignedRecord { record, id: RecordId([id; 32]), bytes: bytes::Bytes::new() })
}

#[test]
fn what_was_added_is_taken_off_without_a_trace() {
    let mut summary = Summary::new(OwnerId([1; 32]));
    let three = Replicas::default();
    let all = [counted(1, [1, 2], three, 1), counted(1, [1, 2], three, 2), counted(2, [1, 2], Replicas::ALL, 3)];
    for counted in all {
        summary.add(counted);
    }
    assert_eq!(summary.total().count(), 3);
    assert_eq!((summary.all.len(), summary.own.len(), summary.owners.len()), (2, 1, 2));
    for counted in all {
        summary.remove(counted);
    }
    assert_eq!(summary.total(), Sum::default());
    assert!(summary.all.is_empty() && summary.own.is_empty() && summary.owners.is_empty());
}
