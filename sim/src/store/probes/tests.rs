use std::collections::BTreeSet;

use super::super::oracles::testing::*;
use super::*;

#[test]
fn every_name_is_listed_once() {
    for tier in [Tier::World, Tier::Turmoil] {
        let all = of(tier);
        let names: BTreeSet<&str> = all.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), all.len());
    }
}

#[test]
fn states_that_were_reached_are_noted_and_others_are_not() {
    let findings = SharedFindings::default();
    let mut run = Run::new(Probes::new(findings.clone()));
    run.put(0, 1, 100, &[0, 1]).unwrap();
    assert!(findings.borrow().probes.contains("same content put again"));
    assert!(!findings.borrow().probes.contains("put acked with a peer down"));
    run.see(Event::Down { node: 2 }).unwrap();
    let first = run.start(0, put_of(1));
    run.put(1, 1, 200, &[0, 1]).unwrap();
    run.end(first, gone()).unwrap();
    run.delete(0, 1, 300, &[0, 1]).unwrap();
    run.get(0, 1, not_found()).unwrap();
    run.see(Event::Probe { name: "pull.resumed" }).unwrap();
    let probes = findings.borrow().probes.clone();
    for name in [
        "put acked with a peer down",
        "concurrent puts of one name",
        "two devices wrote one name",
        "operation cut off by a crash",
        "deleted file asked for",
        "pull.resumed",
    ] {
        assert!(probes.contains(name), "{name}: {probes:?}");
    }
    let known: BTreeSet<&str> = of(Tier::Turmoil).into_iter().map(|(name, _)| name).collect();
    assert!(probes.iter().all(|name| known.contains(name)), "{probes:?}");
}
