//! The command line: what each command takes. What it does is in the modules below.

mod client;
mod error;
mod fsck;
mod get;
mod info;
mod node;
mod pipe;
mod put;
mod report;
mod restore;
mod scrub;
mod setup;
mod share;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub(crate) use client::{Client, Download, PutHead, path};
pub(crate) use error::{CliError, Exit};
pub(crate) use pipe::body_from;
pub(crate) use report::{Report, human_bytes, human_rate, mib_per_s};
pub(crate) use restore::follow_restore;

use forever_core::placement::Replicas;

use crate::demo::DemoArgs;

/// A file store of your own, spread over machines that need not be trusted with what is in it.
#[derive(Debug, Parser)]
#[command(name = "forever", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    /// The data folder [default: the platform's folder for application data]
    #[arg(long, env = "FOREVER_DATA", value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// One JSON object a line on stdout instead of text for people
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 not enough peers or unavailable, \
                          5 integrity.";

const EXPIRY: &str = "Whoever has the ticket can read that one version, its name included; later versions and other files \
                      stay closed. Nodes refuse a ticket that has expired or whose file was deleted, but neither can \
                      recall a key already given: who kept the key or the bytes keeps them. Pass tickets on like \
                      passwords.";

const FSCK: &str = "Checks the index against the blobs' files, and both against the signed records: it prints a line for \
                    everything that is damaged, lost or left over, and a summary. Without --repair nothing on the disk \
                    changes. What is missing or damaged here can only come from other nodes: each line says how. \
                    Stop the node first; a running node is not checked.\n\n\
                    Exit codes: 0 all in order, or put in order; 1 something is not in order that --repair puts in order, \
                    or the folder cannot be checked; 5 something that this disk should hold is lost or damaged. What \
                    crashes leave behind (temporary and unknown files) is told and is no error.";

const RESTORE: &str = "Asks all peers that can be reached for everything of this owner, and brings back what is not here. It says \
                       `complete as of` a time when all that a device of this owner had then is here, or something newer: \
                       devices sign checkpoints a little after each change. Else it says what is missing. Cut off, it \
                       goes on where it stopped when it is run again.\n\n\
                       Exit codes: 0 complete; 4 something is missing, or no checkpoint was found that could tell.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a data folder: the keys of a node and, unless recovered, of a new owner
    Init(InitArgs),
    /// Run a node; makes its data folder if there is none
    Node(NodeArgs),
    /// Store files, folders, or stdin
    Put(PutArgs),
    /// Get a file, by its name or by a ticket
    Get(GetArgs),
    /// Make a ticket, by which any node of the cluster can read one version of one file
    #[command(after_help = EXPIRY)]
    Share(ShareArgs),
    /// Delete a file everywhere
    Rm(NameArg),
    /// Put a deleted file back, as long as its bytes are kept
    Undelete(NameArg),
    /// List files
    Ls(LsArgs),
    /// Show all of a file, and which peers hold it
    Stat(StatArgs),
    /// Show the history of a name
    Versions(NameArg),
    /// Show the recovery phrase; on a terminal only
    Phrase,
    /// Wipe this node's copy of everything; keeps keys and settings
    Clear(ClearArgs),
    /// Drop a file's bytes from this node, once enough others have promised to keep them
    Evict(NameArg),
    /// Bring all files of a recovered owner back from the peers
    #[command(after_help = RESTORE)]
    Restore(RestoreArgs),
    /// Read and check all that this node holds, at once, and bring back from peers what is damaged; one that is interrupted is
    /// gone on with by the next
    Scrub(ScrubArgs),
    /// Show this node: IDs, addresses, files, bytes, peers, health
    Status,
    /// Show the other nodes of the cluster
    Peers,
    /// Leave the cluster, once nothing is owed to others any more, and stop the node
    Leave,
    /// Remove a node that will not come back from the cluster
    Forget(NodeArg),
    /// Check what lies on this node's disk, and repair what can be; the node must not run
    #[command(after_help = FSCK)]
    Fsck(FsckArgs),
    /// Run three nodes through put, evict, get, a killed peer, delete and a full restore
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
struct InitArgs {
    /// Join a cluster: copy its key from this file
    #[arg(long, value_name = "FILE")]
    cluster_key: Option<PathBuf>,
    /// Be the node of an owner whose recovery phrase is read from stdin
    #[arg(long)]
    recover: bool,
}

#[derive(Debug, Args)]
struct ScrubArgs {
    /// Start over instead of going on with one that was interrupted
    #[arg(long)]
    restart: bool,
}

#[derive(Debug, Args)]
struct NodeArgs {
    /// Where peers connect; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where the HTTP API listens; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    api: Option<String>,
    /// A node to connect to; may be repeated
    #[arg(long = "peer", value_name = "ADDR")]
    peers: Vec<String>,
    /// Find nodes of the same cluster on the local network, and be found there: no `--peer` is needed then
    #[arg(long)]
    mdns: bool,
    /// On how many nodes to keep files, 1 to 255, or `all`
    #[arg(long, value_name = "N|all")]
    replicas: Option<Replicas>,
    /// Record all that happens into a new file, for `forever-sim replay`. It holds secrets, the owner's key and all that is
    /// put and read among them: give it to nobody who may not have those
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct PutArgs {
    /// Files, folders, or `-` for stdin
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The name to store under; with several paths, the folder
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// On how many nodes to keep it, 1 to 255, or `all` [default: as the node's settings say]
    #[arg(long, value_name = "N|all")]
    replicas: Option<Replicas>,
}

#[derive(Debug, Args)]
struct GetArgs {
    /// The file's name. A ticket (`forever1...`) works too, but others on this machine see arguments: prefer --ticket
    #[arg(required_unless_present = "ticket")]
    name: Option<String>,
    /// Get what a ticket opens; the ticket is read from this file, or from stdin if it is `-`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "version"])]
    ticket: Option<PathBuf>,
    /// Where to write it; `-` is stdout
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Only these bytes: `A-B` (both inclusive), `A-`, or `-N` for the last N
    #[arg(long, value_name = "A-B", allow_hyphen_values = true)]
    range: Option<String>,
    /// An older version, as `versions` shows them
    #[arg(long = "version", value_name = "V")]
    version: Option<String>,
}

#[derive(Debug, Args)]
struct ShareArgs {
    name: String,
    /// For how long the ticket is valid, such as 12h, 7d or 1month, at most 3,650 days. It cannot recall a key already given
    #[arg(long, value_name = "TIME", default_value = forever_net_tokio::api::share::DEFAULT_VALIDITY)]
    expires: String,
    /// An older version, as `versions` shows them
    #[arg(long = "version", value_name = "V")]
    version: Option<String>,
}

#[derive(Debug, Args)]
struct NameArg {
    name: String,
}

#[derive(Debug, Args)]
struct NodeArg {
    /// Its ID, as `peers` shows it
    node: String,
}

#[derive(Debug, Args)]
struct LsArgs {
    /// Only names that start with this
    #[arg(default_value = "")]
    prefix: String,
}

#[derive(Debug, Args)]
struct StatArgs {
    name: String,
    /// An older version, as `versions` shows them
    #[arg(long = "version", value_name = "V")]
    version: Option<String>,
}

#[derive(Debug, Args)]
struct RestoreArgs {
    /// Only list what would be brought back: version, size and name
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct FsckArgs {
    /// Read and hash every blob, instead of looking at the lengths of their files
    #[arg(long)]
    deep: bool,
    /// Put in order what can be: damaged things move to `store/quarantine`, files that the index does not know go
    #[arg(long)]
    repair: bool,
}

#[derive(Debug, Args)]
struct ClearArgs {
    /// Do it
    #[arg(long)]
    yes: bool,
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let report = Report::new(cli.json);
    let done = data_folder(cli.data).and_then(|data| run(cli.command, &data, &report));
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            report.error(&error);
            error.exit().into()
        }
    }
}

fn data_folder(given: Option<PathBuf>) -> Result<PathBuf, CliError> {
    given
        .or_else(|| directories::ProjectDirs::from("", "", "foreverstore").map(|dirs| dirs.data_dir().to_owned()))
        .ok_or(CliError::NoHome)
}

fn run(command: Command, data: &std::path::Path, report: &Report) -> Result<Exit, CliError> {
    match command {
        Command::Init(args) => setup::init(data, args.cluster_key.as_deref(), args.recover, report),
        Command::Phrase => setup::phrase(data, report),
        Command::Clear(args) => setup::clear(data, args.yes, report),
        Command::Fsck(args) => asynchronously(fsck::run(data, &args, report)),
        Command::Node(args) => node::run(data, args, report),
        Command::Demo(args) => asynchronously(crate::demo::run(args, report)),
        Command::Put(args) => asynchronously(put::run(data, args.paths, args.name, args.replicas, report)),
        Command::Get(args) => asynchronously(get::run(data, args, report)),
        Command::Share(args) => asynchronously(share::run(data, args, report)),
        Command::Rm(args) => asynchronously(info::remove(data, &args.name, report)),
        Command::Ls(args) => asynchronously(info::list(data, &args.prefix, report)),
        Command::Stat(args) => asynchronously(info::stat(data, &args.name, args.version.as_deref(), report)),
        Command::Versions(args) => asynchronously(info::versions(data, &args.name, report)),
        Command::Undelete(args) => asynchronously(info::undelete(data, &args.name, report)),
        Command::Evict(args) => asynchronously(info::evict(data, &args.name, report)),
        Command::Restore(args) => asynchronously(restore::run(data, args.dry_run, report)),
        Command::Scrub(args) => asynchronously(scrub::run(data, args.restart, report)),
        Command::Status => asynchronously(info::status(data, report)),
        Command::Peers => asynchronously(info::peers(data, report)),
        Command::Leave => asynchronously(info::leave(data, report)),
        Command::Forget(args) => asynchronously(info::forget(data, &args.node, report)),
    }
}

/// Runs a client's command; an interrupt ends it in order, so that temporary files go.
fn asynchronously(work: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    let done = runtime.block_on(async {
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => Err(CliError::Interrupted),
            done = work => done,
        }
    });
    // A thread that still waits for stdin must not keep the program.
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests;
