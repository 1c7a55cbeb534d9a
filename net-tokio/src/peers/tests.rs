use core::time::Duration;

use super::*;
use crate::channel::testing::{CLUSTER, identity};
use crate::net::Listener;
use crate::net::memory::{ConnectFault, MemoryListener, MemoryNet};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

async fn listening(net: &MemoryNet) -> MemoryListener {
    net.listen("a:1").await.unwrap()
}

/// Node 1 dials node 2, each with its own rules.
async fn meet(near: &Admission, far: &Admission) -> (Result<NodeId, DialError>, Result<NodeId, AdmitError>) {
    let net = MemoryNet::default();
    let mut listener = listening(&net).await;
    let (one, other) = (identity(1), identity(2));
    let accepting = async {
        let (stream, remote) = listener.accept().await.unwrap();
        admit(stream, &remote, &other, far, [2; 32], soon()).await
    };
    let (dialled, admitted) = tokio::join!(dial(&net, "a:1", &one, near, [1; 32], soon()), accepting);
    (dialled.map(|(_, peer)| peer), admitted.map(|(_, peer)| peer))
}

fn only(node: NodeId) -> Admission {
    Admission::new(Some(BTreeSet::from([node])), Arc::new(|_, _| true))
}

#[tokio::test]
async fn without_rules_everyone_with_the_cluster_key_is_admitted() {
    let (dialled, admitted) = meet(&Admission::default(), &Admission::default()).await;
    assert_eq!(dialled.unwrap(), identity(2).node_id());
    assert_eq!(admitted.unwrap(), identity(1).node_id());
}

#[tokio::test]
async fn an_allow_list_admits_those_on_it() {
    let (dialled, admitted) = meet(&only(identity(2).node_id()), &only(identity(1).node_id())).await;
    assert!(dialled.is_ok() && admitted.is_ok());
}

#[tokio::test]
async fn an_allow_list_refuses_all_others_whoever_dialled() {
    let (dialled, _) = meet(&only(identity(3).node_id()), &Admission::default()).await;
    assert_eq!(dialled.unwrap_err(), DialError::NotAllowed(identity(2).node_id()));
    let (_, admitted) = meet(&Admission::default(), &only(identity(3).node_id())).await;
    assert!(matches!(admitted, Err(AdmitError::NotAllowed(node)) if node == identity(1).node_id()));
}

#[tokio::test]
async fn the_hook_is_given_peer_and_address_and_may_refuse() {
    let hook: OnPeer = Arc::new(|peer, remote| *peer != identity(2).node_id() || remote != "a:1");
    let (dialled, _) = meet(&Admission::new(None, hook), &Admission::default()).await;
    assert_eq!(dialled.unwrap_err(), DialError::NotAllowed(identity(2).node_id()));
}

#[tokio::test(start_paused = true)]
async fn a_dial_tells_refused_from_hanging_from_silent() {
    let net = MemoryNet::default();
    let (node, admission) = (identity(1), Admission::default());
    let refused = dial(&net, "a:1", &node, &admission, [1; 32], soon()).await;
    assert!(matches!(refused, Err(DialError::Connect(_))), "{refused:?}");

    net.set_fault("a:1", Some(ConnectFault::Hang));
    let deadline = soon();
    let hanging = dial(&net, "a:1", &node, &admission, [1; 32], deadline).await;
    assert_eq!(hanging.unwrap_err(), DialError::Connect("no answer".into()));
    assert_eq!(Instant::now(), deadline);

    net.set_fault("a:1", None);
    let _silent = listening(&net).await;
    let deadline = soon();
    let silent = dial(&net, "a:1", &node, &admission, [1; 32], deadline).await;
    assert_eq!(silent.unwrap_err(), DialError::Silence);
    assert_eq!(Instant::now(), deadline);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_sees_silence_and_is_counted_as_one() {
    let net = MemoryNet::default();
    let mut listener = listening(&net).await;
    let (stranger, node) = (Identity::new([1; 32], [43; 32]), identity(2));
    assert_ne!(CLUSTER, [43; 32]);
    let admission = Admission::default();
    let accepting = async {
        let (stream, remote) = listener.accept().await.unwrap();
        admit(stream, &remote, &node, &admission, [2; 32], soon()).await
    };
    let (dialled, admitted) = tokio::join!(dial(&net, "a:1", &stranger, &admission, [1; 32], soon()), accepting);
    assert_eq!(dialled.unwrap_err(), DialError::Silence);
    assert!(matches!(admitted, Err(AdmitError::Stranger)), "{admitted:?}");
}

#[tokio::test(start_paused = true)]
async fn beyond_the_most_handshakes_at_once_new_ones_are_dropped() {
    let net = MemoryNet::default();
    let mut listener = listening(&net).await;
    let node = Arc::new(identity(2));
    let admission = Admission::default();
    let deadline = soon();
    let mut idle = Vec::new();
    let mut admitted = Vec::new();
    for _ in 0..=HANDSHAKES_MAX {
        let (near, far) = tokio::join!(net.connect("a:1"), listener.accept());
        idle.push(near.unwrap());
        let (stream, remote) = far.unwrap();
        let (result, waiting) = tokio::sync::oneshot::channel();
        let (node, admission) = (Arc::clone(&node), admission.clone());
        net.spawn(async move {
            let _ = result.send(admit(stream, &remote, &node, &admission, [2; 32], deadline).await);
        });
        admitted.push(waiting);
    }
    let last = admitted.pop().unwrap().await.unwrap();
    assert!(matches!(last, Err(AdmitError::Crowded)), "{last:?}");
    assert!(Instant::now() < deadline, "it was dropped at once");
    for waiting in admitted {
        assert!(matches!(waiting.await.unwrap(), Err(AdmitError::Silence)));
    }
    // All places are free again.
    let (dialled, accepted) = tokio::join!(dial(&net, "a:1", &node, &admission, [1; 32], soon()), async {
        let (stream, remote) = listener.accept().await.unwrap();
        admit(stream, &remote, &node, &admission, [2; 32], soon()).await
    });
    assert!(dialled.is_ok() && accepted.is_ok());
}
