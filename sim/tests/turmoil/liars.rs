//! Peers that lie.

use std::time::Duration;

use forever_sim::store::{DiskLoss, Event, Fault, Lie, OpKind, OpResult};
use forever_sim::system::System as _;

use crate::harness::{CHUNK, Run, content, get, put};

#[test]
fn no_lie_makes_a_get_wrong() {
    for (seed, lie) in (80..).zip(Lie::ALL) {
        let mut run = Run::new(seed, 3);
        run.put(0, 1, 8 * CHUNK);
        let fault = Fault::Liar { node: 1, lie };
        let id = run.begin(&fault);
        assert!(run.events.iter().any(|event| matches!(event, Event::Lost { node: 1, what: DiskLoss::Unknown })));
        run.run(0, put(1, 2, 8 * CHUNK));
        run.run(0, OpKind::Evict { file: 1 });
        // What callers of a liar get counts for nothing, but it comes to an end.
        let start = run.tier.now();
        let result = run.run(1, put(3, 3, 2 * CHUNK));
        let (took, deadline) = (run.tier.now() - start, run.tier.view().scenario().config.request_timeout);
        assert!(took < deadline * 2, "{lie:?}: {result:?} after {took:?}");
        let result = run.run(0, get(1));
        if let OpResult::Got(got) = &result {
            let known = [content(1, 8 * CHUNK).bytes(), content(2, 8 * CHUNK).bytes()];
            assert!(known.contains(&got.bytes), "{lie:?}");
        }
        run.run(0, OpKind::Stat { file: 1 });
        run.run(0, OpKind::Restore);
        run.run(2, OpKind::Restore);
        run.advance(Duration::from_secs(1));
        assert!(run.has_bitten(id), "{lie:?} does not bite");
        run.end(id, &fault);
    }
}
