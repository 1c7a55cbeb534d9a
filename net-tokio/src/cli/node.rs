//! `forever node`.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process;

use forever_net_tokio::folder::{self, Folder, Owner, State};
use forever_net_tokio::settings::{Flags, Settings};
use forever_net_tokio::{record, server};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{CliError, Exit, NodeArgs, Report};

/// Runs a node until SIGINT or SIGTERM.
pub(crate) fn run(data: &Path, args: NodeArgs, report: &Report) -> Result<Exit, CliError> {
    log_to_stderr();
    let folder = match Folder::inspect(data)? {
        State::Ready => Folder::at(data)?,
        State::Empty => {
            let folder = folder::create(data, Owner::New, None)?;
            tracing::info!(
                "made the data folder {}, with a new owner: `forever phrase` shows the recovery phrase",
                data.display()
            );
            folder
        }
    };
    let replicas = args.replicas.map(|replicas| replicas.to_string());
    let flags =
        Flags { listen: args.listen, api: args.api, peers: args.peers, mdns: args.mdns.then_some(true), replicas };
    let settings = Settings::load(&folder.config_path(), environment(), &flags)?;
    let folder = folder.open()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
    let recording = match &args.record {
        Some(path) => Some(record::create(path).map_err(|error| CliError::io("record into", path, error))?),
        None => None,
    };
    let json = report.is_json();
    let served = runtime.block_on(async {
        let stop = stop_signal().map_err(CliError::Runtime)?;
        server::run(folder, settings, recording, |ready| announce(ready, json), stop).await.map_err(CliError::from)
    });
    // What is still under way after the node's own deadlines is cut.
    runtime.shutdown_background();
    served.map(|()| Exit::Done)
}

/// The environment as text; what is not UTF-8 is no setting of ours.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("FOREVER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}

fn announce(ready: &server::Ready, json: bool) {
    let mut out = io::stdout().lock();
    let printed = if json {
        let object = serde_json::json!({
            "ready": true, "listen": ready.listen, "api": ready.api, "node": ready.node, "owner": ready.owner,
        });
        writeln!(out, "{object}")
    } else {
        writeln!(out, "{ready}")
    };
    if let Err(error) = printed.and_then(|()| out.flush()) {
        tracing::warn!("nobody reads the ready line: {error}");
    }
}

/// Ends at the first signal; the second ends the process at once.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        either(&mut interrupt, &mut terminate).await;
        tracing::info!("stopping; a second signal stops at once");
        tokio::spawn(async move {
            either(&mut interrupt, &mut terminate).await;
            process::exit(130);
        });
    })
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        biased;
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
