use super::*;
use crate::trace::Trace;

/// Whether a task, spawned in the background, is told to have panicked.
fn told_of(task: impl Future<Output = ()> + Send + 'static) -> bool {
    let panics = Panics::default();
    let net = TurmoilNet::new(Tracer::new(Trace::default(), "host"), panics.clone());
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
