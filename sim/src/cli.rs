//! The command line: what each command takes. What it does is in the modules below.

mod again;
mod case;
mod check;
mod error;
mod list;
mod mutants;
mod output;
mod progress;
mod range;
mod replay;
mod report;
mod run;
mod shrink;
mod stop;
mod sweep;
mod timeline;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use forever_sim::store::{Store, Tier};

use error::CliError;
use range::Seeds;

/// Whole clusters from one seed, with faults everywhere: finds bugs, replays them, makes them small and tells them.
#[derive(Debug, Parser)]
#[command(name = "forever-sim", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 clean, 1 a rule is broken (the last line says how to replay it), 2 usage, or a \
                          file that cannot be used.";

const SWEEP_GOALS: &str = "A sweep should test enough:
  at least 90% of operations succeed, and at most 2% of reads are excused;
  every seed that runs to its end has at least 100 operations, and at least 10 faults that took effect if it has any;
  every probe is reached (`list` says which tier is held to which).
The report says what falls short. The first line fails any sweep of 50 seeds or more without --set (exit code 1); all of them \
fail one with --require-probes.

Exit codes: 0 clean, 1 a rule is broken (the last line says how to replay it) or the sweep fell short, 2 usage, or a file that \
cannot be written, 130 a second Ctrl-C.";

const SHRINK_CODES: &str = "Exit codes: 0 the case was made as small as it gets, 2 usage, a file that cannot be used, or a case \
                            that breaks another rule in this build, or none.";

const TIMELINE_CODES: &str = "Exit codes: 0 the page was written, whatever the case does in this build, 2 usage, or a file that \
                              cannot be used.";

const MUTANTS_CODES: &str = "Exit codes: 0 all bugs were found, 1 one was not, 2 usage, or a file that cannot be written, 130 a \
                             second Ctrl-C. The first ends the hunt with its scoreboard; what it stopped counts as neither.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one seed
    Run(RunArgs),
    /// Run many seeds on all cores; writes a case file for what it finds
    #[command(after_help = SWEEP_GOALS)]
    Sweep(SweepArgs),
    /// Run every seed twice in different settings, and again in another process, and compare all that happens
    Check(CheckArgs),
    /// Run a case file again, or a recording that `forever node --record` made
    Replay(ReplayArgs),
    /// Make a case as small as it gets with the same rule broken, and tell what is left as a story
    #[command(after_help = SHRINK_CODES)]
    Shrink(ShrinkArgs),
    /// Draw a case as one HTML page
    #[command(after_help = TIMELINE_CODES)]
    Timeline(TimelineArgs),
    /// Look for each planted bug until it is found, and print the scoreboard
    #[command(after_help = MUTANTS_CODES)]
    Mutants(MutantsArgs),
    /// List what scenarios can be set to, and all faults, oracles and probes
    List,
    /// Print one hash over all that happens with some seeds, and what oracles make of it
    #[command(hide = true)]
    Digest(DigestArgs),
}

#[derive(Args, Clone, Debug)]
struct StoreArgs {
    /// `world`: discrete events around the core, for breadth; `turmoil`: the real node on a simulated network, for depth
    #[arg(long, value_name = "TIER", default_value = "world", value_parser = tier)]
    tier: Tier,
    /// Sets what scenarios are drawn from, such as ops=[200,300]; `list` shows what there is
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl StoreArgs {
    fn store(&self) -> Result<Store, CliError> {
        store(self.tier, &self.set)
    }
}

/// The store in a tier, with what was set.
fn store(tier: Tier, set: &[String]) -> Result<Store, CliError> {
    let mut store = Store::new(tier);
    for assignment in set {
        store.shape.set(assignment)?;
    }
    Ok(store)
}

#[derive(Args, Debug)]
struct RunArgs {
    /// The seed
    #[arg(long, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    store: StoreArgs,
    /// Writes all events to a file, one a line
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Prints all that the seed stands for, as JSON, before it is run
    #[arg(long)]
    print_config: bool,
    /// Where a case file goes if a rule is broken
    #[arg(long, value_name = "DIR", default_value = "cases")]
    cases: PathBuf,
}

#[derive(Args, Debug)]
struct SweepArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The seeds, B excluded; without B until the time is over
    #[arg(long, value_name = "A..B")]
    seeds: Option<Seeds>,
    /// Begins no seed after so long, such as 90s, 5m or 8h [default: 60s, unless B is given]
    #[arg(long, value_name = "TIME", value_parser = range::time)]
    time: Option<Duration>,
    /// Seeds at once [default: one a core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Writes a report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes a report as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Fails if the sweep tested too little in any way: see below
    #[arg(long)]
    require_probes: bool,
    /// Where case files go
    #[arg(long, value_name = "DIR", default_value = "cases")]
    cases: PathBuf,
}

#[derive(Args, Debug)]
struct CheckArgs {
    /// How many seeds, from 0 on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Args, Debug)]
struct ReplayArgs {
    /// A case file, or a recording
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Writes all events of a case to a file, one a line
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct ShrinkArgs {
    /// A case file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the small case goes [default: FILE with `.small` before its ending]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Runs at most so many candidates
    #[arg(long, value_name = "N", default_value_t = 2000)]
    tries: u32,
}

#[derive(Args, Debug)]
struct TimelineArgs {
    /// A case file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the page goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Args, Debug)]
struct MutantsArgs {
    /// Only this bug; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Writes the scoreboard as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes a case file for each find, and prints how to replay it
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Gives up on a bug after so many seeds of World
    #[arg(long, value_name = "N", default_value_t = 2000)]
    world_seeds: u64,
    /// And after so many of Turmoil
    #[arg(long, value_name = "N", default_value_t = 200)]
    turmoil_seeds: u64,
    /// Sets what scenarios are drawn from, in both tiers, such as families=network,disk
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Finds out which faults each find cannot do without, by leaving out all others (many more runs)
    #[arg(long)]
    needs: bool,
}

#[derive(Args, Debug)]
struct DigestArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[arg(long, value_name = "A..B")]
    seeds: Seeds,
}

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing.
    Clean,
    /// A broken rule.
    Broken,
}

impl Verdict {
    const fn of(is_clean: bool) -> Self {
        if is_clean { Self::Clean } else { Self::Broken }
    }
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let verdict = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Sweep(args) => sweep::sweep(&args),
        Command::Check(args) => check::check(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Shrink(args) => shrink::shrink(&args),
        Command::Timeline(args) => timeline::timeline(&args),
        Command::Mutants(args) => mutants::mutants(&args),
        Command::List => Ok(list::list()),
        Command::Digest(args) => check::digest(&args),
    };
    match verdict {
        Ok(Verdict::Clean) => ExitCode::SUCCESS,
        Ok(Verdict::Broken) => ExitCode::from(1),
        Err(error) => {
            eprint(&format!("error: {error}\n"));
            ExitCode::from(2)
        }
    }
}

fn tier(text: &str) -> Result<Tier, String> {
    let tier = Tier::ALL.into_iter().find(|tier| tier.name() == text);
    tier.ok_or_else(|| format!("there is no tier `{text}`; there are world and turmoil"))
}

/// Prints to stdout. That nobody reads it (`forever-sim list | head`) is no failure.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Prints to stderr: what is not a result.
fn eprint(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// How many cores there are.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
