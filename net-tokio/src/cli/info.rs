//! Commands that ask a running node for something other than bytes.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use forever_core::command::VersionSelector;
use forever_core::name::Name;
use forever_net_tokio::api::view::{
    DeleteView, EvictView, FileView, ForgetView, LeaveView, ListView, PeerView, PeersView, StatView, StateView,
    StatusView, UndeleteView, VersionsView,
};
use http::Method;

use super::client::{encode, path};
use super::{CliError, Client, Exit, Report, human_bytes};

/// Names asked for at once.
const PAGE: u32 = 1_000;

/// `forever rm`.
pub(crate) async fn remove(data: &Path, name: &str, report: &Report) -> Result<Exit, CliError> {
    let path = path("/v1/files/", &Name::new(name)?);
    let view: DeleteView = Client::open(data)?.json(Method::DELETE, &path).await?;
    report.result(&view, || {
        let pending = match view.pending {
            0 => String::new(),
            pending => format!("; {pending} more will be told when they can be reached"),
        };
        format!("{}  deleted, known to {} nodes{pending}", view.name, view.replicas)
    });
    Ok(Exit::Done)
}

/// `forever undelete`.
pub(crate) async fn undelete(data: &Path, name: &str, report: &Report) -> Result<Exit, CliError> {
    let path = path("/v1/undelete/", &Name::new(name)?);
    let view: UndeleteView = Client::open(data)?.json(Method::POST, &path).await?;
    report.result(&view, || {
        let pending = match view.pending {
            0 => String::new(),
            pending => format!("; {pending} more will get it when they can be reached"),
        };
        let size = human_bytes(view.size);
        format!("{}  {size} back as version {}, on {} nodes{pending}", view.name, view.version, view.replicas)
    });
    Ok(Exit::Done)
}

/// `forever ls`.
pub(crate) async fn list(data: &Path, prefix: &str, report: &Report) -> Result<Exit, CliError> {
    let mut client = Client::open(data)?;
    let first = format!("/v1/files?limit={PAGE}&prefix={}", encode(prefix));
    let mut path = first.clone();
    loop {
        let page: ListView = client.json(Method::GET, &path).await?;
        for file in &page.files {
            report.result(file, || list_line(file));
        }
        match page.files.last() {
            Some(last) if page.more => path = format!("{first}&after={}", encode(&last.name)),
            Some(_) | None => return Ok(Exit::Done),
        }
    }
}

fn list_line(file: &FileView) -> String {
    let time = file.mtime_ms.map_or_else(|| "-".to_owned(), date);
    format!("{:>12}  {time:>20}  {}", human_bytes(file.size), file.name)
}

/// `forever stat`.
pub(crate) async fn stat(data: &Path, name: &str, version: Option<&str>, report: &Report) -> Result<Exit, CliError> {
    let mut path = format!("{}?holders=true", path("/v1/stat/", &Name::new(name)?));
    if let Some(version) = version {
        version.parse::<VersionSelector>()?;
        path = format!("{path}&version={}", encode(version));
    }
    let view: StatView = Client::open(data)?.json(Method::GET, &path).await?;
    report.result(&view, || stat_text(&view));
    Ok(Exit::Done)
}

fn stat_text(view: &StatView) -> String {
    let file = &view.file;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let mut lines = vec![
        format!("name      {}", file.name),
        format!("size      {} ({} bytes, {} chunks)", human_bytes(file.size), file.size, file.chunks),
        format!("version   {}", file.version),
        format!("modified  {}", or_dash(file.mtime_ms.map(date))),
        format!("mode      {}", or_dash(file.mode.map(|mode| format!("{mode:o}")))),
        format!("type      {}", or_dash(file.content_type.clone())),
        format!("replicas  {}", view.replicas),
        format!("here      {}", if view.local { "yes" } else { "no" }),
    ];
    for node in view.holders.iter().flatten() {
        lines.push(format!("held by   {node}"));
    }
    for node in view.awaited() {
        lines.push(format!("awaited   {node}"));
    }
    for node in &view.silent {
        lines.push(format!("silent    {node}"));
    }
    lines.join("\n")
}

/// `forever versions`.
pub(crate) async fn versions(data: &Path, name: &str, report: &Report) -> Result<Exit, CliError> {
    let path = path("/v1/versions/", &Name::new(name)?);
    let view: VersionsView = Client::open(data)?.json(Method::GET, &path).await?;
    for version in &view.versions {
        report.result(version, || {
            let what = match (version.deleted, version.size) {
                (true, _) => "deleted".to_owned(),
                (false, Some(size)) => human_bytes(size),
                (false, None) => "size not known here".to_owned(),
            };
            let current = if version.current { "  current" } else { "" };
            format!("{}  {}  {what}{current}", version.version, date(version.time_ms))
        });
    }
    Ok(Exit::Done)
}

/// `forever evict`.
pub(crate) async fn evict(data: &Path, name: &str, report: &Report) -> Result<Exit, CliError> {
    let path = path("/v1/evict/", &Name::new(name)?);
    let view: EvictView = Client::open(data)?.json(Method::POST, &path).await?;
    report.result(&view, || {
        let freed = human_bytes(view.freed_bytes);
        format!("{}  {freed} freed here; {} other nodes keep it", view.name, view.promised_by.len())
    });
    Ok(Exit::Done)
}

/// `forever status`.
pub(crate) async fn status(data: &Path, report: &Report) -> Result<Exit, CliError> {
    let view: StatusView = Client::open(data)?.json(Method::GET, "/v1/status").await?;
    report.result(&view, || status_text(&view));
    Ok(Exit::Done)
}

fn status_text(view: &StatusView) -> String {
    let health = if view.healthy { "good".to_owned() } else { view.problems.join("; ") };
    let files = view.files.map_or_else(|| "being counted".to_owned(), |files| files.to_string());
    let disk = match (view.blobs, view.blob_bytes) {
        (Some(blobs), Some(bytes)) => format!("{} in {blobs} blobs", human_bytes(bytes)),
        (_, _) => "not known".to_owned(),
    };
    let free = view.free_bytes.map_or_else(|| "not known".to_owned(), human_bytes);
    let full = if view.full { ": FULL, it takes nothing more" } else { "" };
    let mut lines = vec![
        format!("health    {health}"),
        format!("node      {}", view.node),
        format!("owner     {}", view.owner),
        format!("listen    {}", view.listen),
        format!("api       http://{}", view.api),
        format!("data      {}", view.data.display()),
        format!("files     {files} ({})", human_bytes(view.file_bytes)),
        format!("disk      {disk}, {free} free{full}"),
        format!("peers     {} connected, {} needed for a write", view.peers_connected, view.write_quorum),
        format!("members   {}, {} alive, {} down", view.members, view.members_alive, view.members_down),
        format!("pending   {} writes that some node does not have yet", view.pending),
        format!("covered   {}", covered_text(view.checkpoint_ms, view.checkpoint_due)),
        format!("faults    {} broken frames, {}", view.protocol_errors, damage_text(view)),
    ];
    if view.out_of_place > 0 {
        let count = view.out_of_place;
        lines.push(format!("moving    {count} records that are not to be here, and go when their holders have them"));
    }
    lines.extend(room_text(view));
    lines.join("\n")
}

/// The limits, if there are any, and what each owner's blobs take, if there are several.
fn room_text(view: &StatusView) -> Vec<String> {
    let mut lines = Vec::new();
    let limits: Vec<String> = [(view.store_max_bytes, "in all"), (view.quota_bytes, "for each other owner")]
        .into_iter()
        .filter(|(bytes, _)| *bytes > 0)
        .map(|(bytes, what)| format!("{} {what}", human_bytes(bytes)))
        .collect();
    if !limits.is_empty() {
        lines.push(format!("limits    {}", limits.join(", ")));
    }
    if view.cached_bytes > 0 {
        let max = human_bytes(view.cache_max_bytes);
        lines.push(format!("cache     {} of {max}", human_bytes(view.cached_bytes)));
    }
    if view.owners.iter().any(|usage| usage.owner != view.owner) {
        for usage in &view.owners {
            let is_over = usage.owner != view.owner && view.quota_bytes > 0 && usage.bytes >= view.quota_bytes;
            let full = if is_over { ": FULL" } else { "" };
            lines.push(format!(
                "holds     {} in {} blobs of {}{full}",
                human_bytes(usage.bytes),
                usage.blobs,
                usage.owner
            ));
        }
    }
    lines
}

fn covered_text(checkpoint_ms: Option<u64>, is_due: bool) -> String {
    match (checkpoint_ms, is_due) {
        (Some(ms), false) => format!("all, by the checkpoint of {}", date(ms)),
        (Some(ms), true) => format!("up to the checkpoint of {}; the next is due", date(ms)),
        (None, true) => "nothing yet; the first checkpoint is due".to_owned(),
        (None, false) => "nothing to cover".to_owned(),
    }
}

fn damage_text(view: &StatusView) -> String {
    let mut text = format!("{} damaged blobs", view.damaged_blobs);
    if view.mended > 0 {
        text.push_str(&format!(", {} chunks and records brought back from peers", view.mended));
    }
    if view.unmended > 0 {
        text.push_str(&format!(", {} that no peer has given back so far", view.unmended));
    }
    text
}

/// `forever peers`.
pub(crate) async fn peers(data: &Path, report: &Report) -> Result<Exit, CliError> {
    let view: PeersView = Client::open(data)?.json(Method::GET, "/v1/peers").await?;
    if view.peers.is_empty() {
        report.text("no peers: name one with `forever node --peer ADDR` or in config.toml");
    }
    for peer in &view.peers {
        report.result(peer, || peer_line(peer));
    }
    Ok(Exit::Done)
}

/// `forever leave`.
pub(crate) async fn leave(data: &Path, report: &Report) -> Result<Exit, CliError> {
    let view: LeaveView = Client::open(data)?.json(Method::POST, "/v1/leave").await?;
    report.result(&view, || "this node has left the cluster and stops".to_owned());
    Ok(Exit::Done)
}

/// `forever forget`.
pub(crate) async fn forget(data: &Path, node: &str, report: &Report) -> Result<Exit, CliError> {
    let path = format!("/v1/forget/{}", encode(node));
    let view: ForgetView = Client::open(data)?.json(Method::POST, &path).await?;
    report.result(&view, || format!("{}  forgotten", view.node));
    Ok(Exit::Done)
}

fn peer_line(peer: &PeerView) -> String {
    let node = peer.node.map_or_else(|| "-".repeat(64), |node| node.to_string());
    let state = match (peer.state, peer.down_s) {
        (StateView::Alive, _) => "alive".to_owned(),
        (StateView::Down, down_s) => {
            let down = humantime::format_duration(Duration::from_secs(down_s.unwrap_or(0)));
            format!("down for {down}")
        }
        (StateView::Unseen, _) => "not seen yet".to_owned(),
        (StateView::Left, _) => "left".to_owned(),
        (StateView::Stranger, _) => "never met".to_owned(),
    };
    let zone = if peer.zone.is_empty() { "-" } else { &peer.zone };
    let link = match (&peer.error, peer.connected) {
        (_, true) => {
            let (sent, received) = (human_bytes(peer.sent_bytes), human_bytes(peer.received_bytes));
            format!("connected, {sent} sent, {received} received")
        }
        (Some(error), false) => error.clone(),
        (None, false) => "not connected".to_owned(),
    };
    format!("{node}  {}  zone {zone}  weight {}  {state}; {link}", peer.address, peer.weight)
}

/// A time as HTTP writes it, which people can read too.
pub(super) fn date(ms: u64) -> String {
    const YEAR_10000_MS: u64 = 253_402_300_800_000;
    if ms >= YEAR_10000_MS {
        return format!("{ms} ms");
    }
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(ms))
}
