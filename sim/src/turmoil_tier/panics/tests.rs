use forever_net_tokio::net::Net as _;

use super::super::gate::Gate;
use super::super::net::TurmoilNet;
use super::super::wire::Wire;
use super::*;
use crate::draw::Draws;
use crate::trace::{Trace, Tracer};
use crate::turmoil_tier::board::Board;

/// Whether a task, spawned in the background, is told to have panicked.
fn told_of(task: impl Future<Output = ()> + Send + 'static) -> bool {
    let panics = Panics::default();
    let board = Board::new(Draws::new(0), Vec::new());
    let tracer = Tracer::new(Trace::default(), "host");
    let net = TurmoilNet::new(0, Wire::new(board.clone()), Gate::new(board), tracer, panics.clone());
    let mut sim = turmoil::Builder::new().rng_seed(0).build();
    sim.client("host", async move {
        net.spawn(task);
        tokio::task::yield_now().await;
        Ok(())
    });
    sim.run().unwrap();
    panics.any()
}

#[test]
fn a_panic_in_a_background_task_is_told() {
    assert!(told_of(async { panic!("on purpose") }));
    assert!(!told_of(async {}));
}
