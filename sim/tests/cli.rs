//! The program, as a person or a script meets it.
#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Small and quick scenarios.
const SMALL: [&str; 14] = [
    "--set",
    "nodes=[3,3]",
    "--set",
    "nodes_usual=3",
    "--set",
    "ops=[8,12]",
    "--set",
    "duration_ms=4000",
    "--set",
    "faults=[1,2]",
    "--set",
    "families=process",
    "--set",
    "heal_all_per_mille=1000",
];

/// A budget that no cluster can meet, so that a sound one breaks a rule.
const IMPOSSIBLE: [&str; 4] = ["--set", "settle_ms=10000", "--set", "latency_us=[1000000,1000000]"];

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_forever-sim"))
}

fn run<'a>(folder: &Path, args: impl IntoIterator<Item = &'a str>) -> Output {
    program().current_dir(folder).args(args).output().unwrap()
}

/// Exit code, and what went to stdout and to stderr.
fn ran<'a>(folder: &Path, args: impl IntoIterator<Item = &'a str>) -> (i32, String, String) {
    let output = run(folder, args);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn what_cannot_be_understood_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text"), "neither a case nor a recording").unwrap();
    std::fs::write(folder.path().join("object"), "{\"format\": \"forever-sim case 0\"}").unwrap();
    for (line, says) in [
        ("", "Usage"),
        ("dance", "unrecognized subcommand"),
        ("run", "--seed"),
        ("run --seed 1 --tier moon", "there are world and turmoil"),
        ("sweep --seeds 5..5", "its end must be above its start"),
        ("sweep --seeds x", "such as 0..1000"),
        ("sweep --time 3", "such as 90s"),
        ("sweep --jobs 0", "--jobs"),
        ("check --seeds 0", "--seeds"),
        ("shrink missing.json", "missing.json"),
        ("timeline missing.json -o page.html", "missing.json"),
        ("replay missing.json", "missing.json"),
        ("replay text", "forever node --record"),
        ("replay object", "forever-sim case 0"),
        ("sweep --seeds 0..1 --json missing/report.json", "missing/report.json"),
        ("sweep --seeds 0..1 --junit missing/report.xml", "missing/report.xml"),
        ("sweep --seeds 0..1 --cases text/cases", "text"),
        ("run --seed 1 --trace missing/events", "missing/events"),
        ("run --seed 1 --cases text", "text"),
    ] {
        let (code, out, err) = ran(folder.path(), words(line));
        assert_eq!(code, 2, "{line}: {out}{err}");
        assert!(err.contains(says), "{line}: {err}");
    }
}

#[test]
fn a_setting_that_there_is_not_is_named_with_those_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["run --seed 1", "sweep --seeds 0..1", "check --seeds 1"] {
        let (code, _, err) = ran(folder.path(), words(command).into_iter().chain(["--set", "opps=3"]));
        assert_eq!(code, 2, "{command}");
        assert!(err.contains("`opps`") && err.contains(" ops") && err.contains("nodes"), "{err}");
    }
    let (code, _, err) = ran(folder.path(), ["run", "--seed", "1", "--set", "ops=many"]);
    assert_eq!(code, 2);
    assert!(err.contains("`ops` cannot be `many`"), "{err}");
}

#[test]
fn a_clean_run_says_what_it_was_and_writes_all_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let args = words("run --seed 3 --print-config --trace events.txt").into_iter().chain(SMALL);
    let (code, out, err) = ran(folder.path(), args);
    assert_eq!(code, 0, "{out}{err}");
    let mut values = serde_json::Deserializer::from_str(&out).into_iter::<Value>();
    let config = values.next().unwrap().unwrap();
    assert_eq!(config["seed"], 3);
    assert_eq!(config["nodes"].as_array().unwrap().len(), 3);
    assert_eq!(out.lines().last(), Some("no rule is broken"));
    let events = std::fs::read_to_string(folder.path().join("events.txt")).unwrap().lines().count();
    assert!(out.contains(&format!(" {events} events, ")), "{events} lines: {out}");
    assert!(!folder.path().join("cases").exists());
}

#[test]
fn a_clean_sweep_reports_and_exits_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let args = words("sweep --seeds 10..14 --json report.json --junit report.xml").into_iter().chain(SMALL);
    let (code, out, err) = ran(folder.path(), args);
    assert_eq!(code, 0, "{out}{err}");
    for part in
        ["4 seeds from 10 on", "operations", "succeeded", "reads excused", "seeds a second", "no rule is broken"]
    {
        assert!(out.contains(part), "{part}: {out}");
    }
    let json: Value = serde_json::from_slice(&std::fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    assert_eq!((&json["seeds"], &json["first_seed"], &json["failed"]), (&4.into(), &10.into(), &0.into()));
    assert_eq!(json["seeds_that_ran_to_their_end"], 4);
    assert!(json["tally"]["ops"].as_u64().unwrap() >= 32, "{json}");
    assert!(std::fs::read_to_string(folder.path().join("report.xml")).unwrap().contains("failures=\"0\""));
}

#[test]
fn a_sweep_that_tested_too_little_fails_where_that_is_required() {
    let folder = tempfile::tempdir().unwrap();
    let args = words("sweep --seeds 10..11 --require-probes --junit report.xml").into_iter().chain(SMALL);
    let (code, out, _) = ran(folder.path(), args);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("probes were never reached: "), "{out}");
    let junit = std::fs::read_to_string(folder.path().join("report.xml")).unwrap();
    assert!(junit.contains("name=\"tests enough\">"), "{junit}");
    assert!(out.contains("fails: 1 of 1 seeds had fewer than 100 operations"), "{out}");
}

#[test]
fn a_report_that_cannot_be_written_is_printed_all_the_same_and_a_broken_rule_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    // Can be opened, and written to as little as a full disk.
    let args = words("sweep --seeds 0..1 --json /dev/full --junit report.xml --cases found");
    let (code, out, err) = ran(here, args.clone().into_iter().chain(SMALL));
    assert_eq!(code, 2, "{out}{err}");
    assert!(out.contains("no rule is broken") && err.contains("/dev/full"), "{out}{err}");
    assert!(std::fs::read_to_string(here.join("report.xml")).unwrap().contains("</testsuites>"));
    let (code, out, err) = ran(here, args.into_iter().chain(SMALL).chain(IMPOSSIBLE));
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.lines().last().unwrap().starts_with("forever-sim replay found/world-0-"), "{out}");
    assert!(err.contains("/dev/full"), "{err}");
}

#[test]
fn a_failure_without_a_case_file_says_how_to_run_its_seed_again() {
    let folder = tempfile::tempdir().unwrap();
    // Where the case file should go there is a folder.
    for oracle in ["convergence", "durability", "sessions", "panic"] {
        std::fs::create_dir_all(folder.path().join(format!("cases/world-0-{oracle}.json"))).unwrap();
    }
    for command in ["sweep --seeds 0..1", "run --seed 0"] {
        let (code, out, err) = ran(folder.path(), words(command).into_iter().chain(SMALL).chain(IMPOSSIBLE));
        assert_eq!(code, 1, "{out}{err}");
        let last = out.lines().last().unwrap();
        assert!(last.starts_with("forever-sim run --seed 0 --tier world --set 'nodes=[3,3]' --set "), "{last}");
        assert!(
            last.ends_with("--set 'latency_us=[1000000,1000000]'") && err.contains("cases/world-0-"),
            "{last}{err}"
        );
    }
}

#[test]
fn a_case_that_no_longer_fails_as_it_did_is_not_shrunk() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let args = words("run --seed 0 --cases found").into_iter().chain(SMALL).chain(IMPOSSIBLE);
    let (code, out, _) = ran(here, args);
    assert_eq!(code, 1, "{out}");
    let case = out.lines().last().unwrap().strip_prefix("forever-sim replay ").unwrap();
    let text = std::fs::read_to_string(here.join(case)).unwrap();
    let mut changed: Value = serde_json::from_str(&text).unwrap();
    changed["violation"]["oracle"] = "integrity".into();
    std::fs::write(here.join("changed.json"), changed.to_string()).unwrap();
    let (code, _, err) = ran(here, ["shrink", "changed.json"]);
    assert_eq!(code, 2);
    assert!(err.contains("now breaks 'convergence'") && err.contains("not 'integrity'"), "{err}");
    changed["scenario"]["core"] = serde_json::json!([7]);
    std::fs::write(here.join("changed.json"), changed.to_string()).unwrap();
    for command in ["replay changed.json", "shrink changed.json", "timeline changed.json -o page.html"] {
        let (code, _, err) = ran(here, words(command));
        assert_eq!(code, 2);
        assert!(err.contains("core names node 7"), "{command}: {err}");
    }
}

#[test]
fn a_failure_goes_from_sweep_to_replay_shrink_and_timeline() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let args = words("sweep --seeds 0..3 --json report.json --junit report.xml --cases found");
    let (code, out, err) = ran(here, args.into_iter().chain(SMALL).chain(IMPOSSIBLE));
    assert_eq!(code, 1, "{out}{err}");
    let last = out.lines().last().unwrap();
    let case = last.strip_prefix("forever-sim replay ").unwrap();
    assert!(case.starts_with("found/world-") && case.ends_with(".json"), "{last}");

    let json: Value = serde_json::from_slice(&std::fs::read(here.join("report.json")).unwrap()).unwrap();
    let all = json["failures"].as_array().unwrap().iter().flat_map(|oracle| oracle["first"].as_array().unwrap());
    let failure = all.clone().find(|failure| failure["case"] == case).unwrap();
    let written: Value = serde_json::from_slice(&std::fs::read(here.join(case)).unwrap()).unwrap();
    assert_eq!(written["trace_hash"], failure["trace_hash"]);
    assert_eq!(written["seed"], failure["seed"]);
    let oracle = written["violation"]["oracle"].as_str().unwrap();
    let junit = std::fs::read_to_string(here.join("report.xml")).unwrap();
    assert!(junit.contains(&format!("name=\"{oracle}\">")) && junit.contains(last), "{junit}");

    let (code, out, err) = ran(here, ["replay", case]);
    assert_eq!(code, 1, "{err}");
    assert!(out.contains("as in the case, bit for bit"), "{out}");
    assert!(out.contains(written["trace_hash"].as_str().unwrap()), "{out}");
    assert_eq!(out.lines().last(), Some(last));

    let (code, story, err) = ran(here, ["shrink", case, "-o", "small.json", "--tries", "100"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        story.contains(&format!("The rule '{oracle}' is broken: ")) && story.contains("Left of 3 nodes"),
        "{story}"
    );
    assert_eq!(story.lines().last(), Some("forever-sim replay small.json"));
    let (code, out, _) = ran(here, ["replay", "small.json"]);
    assert_eq!(code, 1);
    assert!(out.contains("as in the case, bit for bit"), "{out}");

    let (code, out, err) = ran(here, ["timeline", case, "-o", "page.html"]);
    assert_eq!(code, 0, "{out}{err}");
    let page = std::fs::read_to_string(here.join("page.html")).unwrap();
    assert_page(&page, &written["scenario"], oracle);
}

/// The page of a case shows all its operations, its faults and the broken rule, and loads nothing.
fn assert_page(page: &str, scenario: &Value, oracle: &str) {
    let ops = scenario["plan"]["ops"].as_array().unwrap().len();
    assert!(page.matches("<g class=\"op ").count() >= ops, "{ops} operations");
    let faults = scenario["plan"]["faults"].as_array().unwrap().len();
    assert_eq!(page.matches("<g class=\"fault\">").count(), faults);
    assert_eq!(page.matches("<g class=\"violation\">").count(), 1);
    assert!(page.contains(&format!("✖ {oracle} broken")));
    assert!(page.contains("<g class=\"message "));
    for outside in ["http:", "https:", " src=", "<link", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn seeds_are_the_same_in_other_threads_and_in_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = ran(folder.path(), ["check", "--seeds", "2"].into_iter().chain(SMALL));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("2 seeds, the same "), "{out}");
}

#[test]
fn a_list_has_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = ran(folder.path(), ["list"]);
    assert_eq!(code, 0);
    for part in ["chunk_sizes", "half-open", "drop-bytes", "[turmoil]", "[world, turmoil]", "durability", "Probes"] {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[cfg(not(feature = "planted-bugs"))]
#[test]
fn a_case_of_a_planted_bug_says_which_build_runs_it() {
    let folder = tempfile::tempdir().unwrap();
    let case = r#"{"format": "forever-sim case 1", "scenario": {"planted": "skip-hash-check", "later": 1}}"#;
    std::fs::write(folder.path().join("case.json"), case).unwrap();
    let (code, _, err) = ran(folder.path(), ["replay", "case.json"]);
    assert_eq!(code, 2);
    assert!(err.contains("skip-hash-check") && err.contains("--features planted-bugs"), "{err}");
}

#[cfg(feature = "planted-bugs")]
#[test]
fn a_find_can_be_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let args = words("mutants --only count-refused-replica --world-seeds 30 --turmoil-seeds 0 --cases found");
    let (code, out, err) = ran(folder.path(), args);
    assert_eq!(code, 0, "{out}{err}");
    let case = out.lines().last().unwrap().strip_prefix("forever-sim replay ").unwrap();
    assert!(case.starts_with("found/count-refused-replica-world-"), "{case}");
    let (code, out, err) = ran(folder.path(), ["replay", case]);
    assert_eq!(code, 1, "{err}");
    assert!(out.contains("as in the case, bit for bit"), "{out}");
}

#[cfg(not(feature = "planted-bugs"))]
#[test]
fn a_build_without_planted_bugs_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = ran(folder.path(), ["mutants"]);
    assert_eq!(code, 2);
    assert!(err.contains("--features planted-bugs"), "{err}");
}

/// A program that was told to stop once it had said that it can be, and the lines of its stderr from then on.
#[cfg(unix)]
fn interrupted<'a>(
    folder: &Path,
    args: impl IntoIterator<Item = &'a str>,
) -> (std::process::Child, std::io::Lines<BufReader<std::process::ChildStderr>>) {
    let mut command = program();
    let mut child =
        command.current_dir(folder).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("Ctrl-C ends it"));
    interrupt(&child);
    (child, lines)
}

#[cfg(unix)]
fn interrupt(child: &std::process::Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_sweep_with_its_report() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, _lines) = interrupted(folder.path(), words("sweep --time 8h --jobs 1").into_iter().chain(SMALL));
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{out}");
    assert!(out.contains("World: ") && out.contains("no rule is broken"), "{out}");
}

#[cfg(unix)]
#[test]
fn a_second_ctrl_c_ends_the_program_as_signals_do() {
    let folder = tempfile::tempdir().unwrap();
    // One seed of Turmoil takes far longer than two signals.
    let (mut child, mut lines) = interrupted(folder.path(), words("sweep --tier turmoil --time 8h --jobs 1"));
    assert!(lines.next().unwrap().unwrap().contains("a second Ctrl-C"));
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[cfg(all(unix, feature = "planted-bugs"))]
#[test]
fn ctrl_c_ends_a_hunt_with_its_scoreboard() {
    let folder = tempfile::tempdir().unwrap();
    let args = "mutants --only trust-fetched-blob --world-seeds 1000000 --turmoil-seeds 0 --json board.json";
    let (mut child, _lines) = interrupted(folder.path(), words(args));
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{out}");
    assert!(out.contains("stopped") && out.contains("1 of 1 hunts did not end"), "{out}");
    assert!(std::fs::read_to_string(folder.path().join("board.json")).unwrap().contains("\"stopped\": true"));
}
