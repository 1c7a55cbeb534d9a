//! The demo, small.

use crate::harness::{command, finish};

#[test]
fn the_demo_holds() {
    let mut demo = command();
    demo.args(["demo", "--size", "8MiB", "--json"]);
    let lines = finish(demo).exits(0).lines();
    let (summary, steps) = lines.split_last().unwrap();
    assert!(steps.iter().all(|step| step["ok"] == true), "{steps:?}");
    assert_eq!((&summary["summary"], &summary["ok"]), (&"all held".into(), &true.into()));
    assert_eq!(summary["steps"], steps.len());
    assert_eq!(summary["size"], 8 << 20);
    let peaks = summary["peak_rss"].as_array().unwrap();
    assert!(peaks.len() >= 3 && peaks.iter().all(|peak| peak["bytes"].as_u64().unwrap() > 0), "{summary}");
}
