//! `forever-sim list`: what there is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use forever_sim::store::{Fault, Shape, Tier, oracles, probes};
use forever_sim::system::Step as _;

use super::{Verdict, print};

pub(crate) fn list() -> Verdict {
    let mut text = String::new();
    scenarios(&mut text);
    text.push_str("\nFaults\n");
    for fault in Fault::samples() {
        let tiers: Vec<&str> = Tier::ALL.into_iter().filter(|tier| fault.works_in(*tier)).map(Tier::name).collect();
        let _ = writeln!(text, "  {:<16} {:<8} {} [{}]", fault.name(), fault.family(), fault.about(), tiers.join(", "));
    }
    text.push_str("\nOracles\n");
    for (name, rule) in oracles::ALL {
        let _ = writeln!(text, "  {name:<16} {rule}");
    }
    text.push_str("\nProbes\n");
    let tiers = Tier::ALL.map(|tier| (tier, probes::of(tier)));
    let all: BTreeMap<&str, &str> = tiers.iter().flat_map(|(_, probes)| probes.iter().copied()).collect();
    for (name, about) in all {
        let has = |(tier, probes): &(Tier, Vec<(&str, &str)>)| {
            probes.iter().any(|(known, _)| *known == name).then_some(*tier)
        };
        let reached: Vec<Tier> = tiers.iter().filter_map(has).collect();
        let only = if reached.len() < tiers.len() { format!(" [{}]", reached[0].name()) } else { String::new() };
        let _ = writeln!(text, "  {name:<38} {about}{only}");
        for tier in reached {
            if let Some(seeds) = probes::demanded_from(tier, name) {
                let _ = writeln!(text, "  {:<38} rare: demanded of {seeds} seeds of {} or more", "", tier.name());
            }
        }
    }
    print(&text);
    Verdict::Clean
}

/// What `--set` takes, with what each tier has unless told otherwise.
fn scenarios(text: &mut String) {
    let shapes = Tier::ALL.map(|tier| serde_json::to_value(Shape::of(tier)).expect("a shape is plain data"));
    let _ = writeln!(text, "Scenarios (--set KEY=VALUE)");
    let _ = writeln!(text, "  {:<22} {:<40} turmoil, if different", "key", "world");
    let [Some(world), Some(turmoil)] = [shapes[0].as_object(), shapes[1].as_object()] else { return };
    for (key, value) in world {
        let other = turmoil.get(key).filter(|other| *other != value).map_or(String::new(), ToString::to_string);
        let _ = writeln!(text, "{}", format!("  {key:<22} {:<40} {other}", value.to_string()).trim_end());
    }
}
