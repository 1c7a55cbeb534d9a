//! `forever-sim replay`: a case, or a recording of a real node, once more.

use std::path::Path;

use forever_core::recording::ReplayError;
use forever_sim::case::{self, Case};
use forever_sim::recording::{ReplayFileError, is_recording, replay_file};
use forever_sim::simulation::run_caught;
use forever_sim::store::{Scenario, Store};
use forever_sim::trace::Keep;

use super::again::replay_line;
use super::case::parse;
use super::output::Output;
use super::run::{lines, summary};
use super::{CliError, ReplayArgs, Verdict, print};

pub(crate) fn replay(args: &ReplayArgs) -> Result<Verdict, CliError> {
    let path = args.file.as_path();
    let bytes = std::fs::read(path).map_err(CliError::file(path))?;
    if is_recording(&bytes) {
        return replay_recording(path);
    }
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(CliError::Unknown { path: path.into() });
    }
    let events = Output::open(args.trace.as_deref())?;
    replay_case(path, parse(path, &bytes)?, events)
}

fn replay_case(path: &Path, case: Case<Scenario>, events: Option<Output>) -> Result<Verdict, CliError> {
    let store = Store::new(case.scenario.tier);
    let keep = if events.is_some() { Keep::Events { from: 0, count: u64::MAX } } else { Keep::Hash };
    let (outcome, trace) = run_caught(&store, &case.scenario, keep);
    print(&summary(&case.scenario, &outcome));
    if let Some(file) = events {
        file.write(&lines(&trace))?;
    }
    let Some(violation) = &outcome.violation else {
        let (oracle, commit) = (&case.violation.oracle, &case.commit);
        print(&format!("the case broke the rule '{oracle}' at commit {commit}; it does not any more\n"));
        return Ok(Verdict::Clean);
    };
    let verdict = if case.is_reproduced_by(&outcome) {
        "as in the case, bit for bit".to_string()
    } else if violation.oracle == case.violation.oracle {
        format!(
            "the same rule as in the case, in another way: this is commit {}, the case is of {}",
            case::commit(),
            case.commit
        )
    } else {
        format!("another rule than in the case, which broke '{}'", case.violation.oracle)
    };
    print(&format!("{verdict}\n{}", replay_line(path)));
    Ok(Verdict::Broken)
}

/// A node that does otherwise than its recording says is not the node that was recorded, or not a function of its inputs.
fn replay_recording(path: &Path) -> Result<Verdict, CliError> {
    match replay_file(path) {
        Ok(report) => {
            let (entries, outputs, node) = (report.entries, report.outputs, report.node);
            print(&format!(
                "a recording of node {node}: told something {entries} times, did {outputs} things, the same again\n"
            ));
            if report.left_bytes > 0 {
                let left = report.left_bytes;
                print(&format!(
                    "its last {left} bytes are cut off within an entry, as when a node is killed: not replayed\n"
                ));
            }
            Ok(Verdict::Clean)
        }
        Err(ReplayFileError::Replay { error: ReplayError::Diverged(divergence), .. }) => {
            print(&format!("the node does otherwise than its recording says: {divergence}\n{}", replay_line(path)));
            Ok(Verdict::Broken)
        }
        Err(ReplayFileError::Panicked { entry, message, .. }) => {
            print(&format!(
                "the node does otherwise than its recording says: at entry {entry} it {message}\n{}",
                replay_line(path)
            ));
            Ok(Verdict::Broken)
        }
        Err(error) => Err(error.into()),
    }
}
