//! `forever-sim check`: the same seed, the same run.

use std::process::Command;
use std::sync::atomic::AtomicBool;

use forever_sim::check;
use forever_sim::store::Store;
use forever_sim::sweep::{Sweep, sweep};

use super::again::{run_line, store_line};
use super::{CheckArgs, CliError, DigestArgs, StoreArgs, Verdict, cores, print, progress};

pub(crate) fn check(args: &CheckArgs) -> Result<Verdict, CliError> {
    let store = args.store.store()?;
    let progress = progress::counting(args.seeds);
    let checked = check::check(&store, 0..args.seeds, &mut |_| progress.inc(1));
    progress.finish_and_clear();
    let hash = match checked {
        Ok(hash) => hash.to_string(),
        Err(divergence) => {
            print(&format!("{divergence}\n"));
            print(&format!("forever-sim {}\n", check_line(&args.store, divergence.seed + 1)));
            return Ok(Verdict::Broken);
        }
    };
    let other = elsewhere(&args.store, 0, args.seeds)?;
    if other == hash {
        print(&format!(
            "{} seeds, the same in other threads, after other seeds and in another process: {hash}\n",
            args.seeds
        ));
        return Ok(Verdict::Clean);
    }
    let seed = first_different(&store, args)?;
    print(&format!(
        "seed {seed}: another process runs it differently; compare what --trace FILE writes in two runs of\n"
    ));
    print(&run_line(seed, &args.store));
    Ok(Verdict::Broken)
}

/// The hidden command by which a process asks another one.
pub(crate) fn digest(args: &DigestArgs) -> Result<Verdict, CliError> {
    let store = args.store.store()?;
    print(&format!("{}\n", here(&store, args.seeds.range())));
    Ok(Verdict::Clean)
}

fn here(store: &Store, seeds: std::ops::Range<u64>) -> String {
    let range = Sweep { seeds, time: None, jobs: cores(), stop: &AtomicBool::new(false) };
    sweep(store, &range, &mut |_| {}).digest().to_string()
}

/// The hash over some seeds in another process.
fn elsewhere(store: &StoreArgs, first: u64, end: u64) -> Result<String, CliError> {
    let failed = |why: String| CliError::Process(why);
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new(program);
    command.args(["digest", "--tier", store.tier.name(), "--seeds", &format!("{first}..{end}")]);
    command.args(store.set.iter().flat_map(|assignment| ["--set", assignment]));
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// The first seed that another process runs differently. If none does any more, the last.
fn first_different(store: &Store, args: &CheckArgs) -> Result<u64, CliError> {
    for seed in 0..args.seeds {
        if elsewhere(&args.store, seed, seed + 1)? != here(store, seed..seed + 1) {
            return Ok(seed);
        }
    }
    Ok(args.seeds - 1)
}

fn check_line(store: &StoreArgs, seeds: u64) -> String {
    format!("check --seeds {seeds} {}", store_line(store))
}
