//! Commands that work on the data folder itself: `init`, `phrase`, `clear`.

use std::io::{self, IsTerminal, Read};
use std::path::Path;

use forever_core::ids::{NodeId, OwnerId};
use forever_core::phrase::{from_phrase, to_phrase};
use forever_core::secrets::OwnerSecret;
use forever_net_tokio::folder::{self, Folder, Owner, read_key};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{CliError, Exit, Report};

/// More than 24 of the longest words with generous space between.
const PHRASE_LEN_MAX: u64 = 4_096;

#[derive(Serialize)]
struct Made<'a> {
    data: &'a Path,
    node: NodeId,
    owner: OwnerId,
    /// Shown once, and not at all to whoever has just typed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    phrase: Option<&'a str>,
}

/// `forever init`.
pub(crate) fn init(data: &Path, cluster_key: Option<&Path>, recover: bool, report: &Report) -> Result<Exit, CliError> {
    let cluster_key = cluster_key.map(read_key).transpose()?;
    let owner = if recover { Owner::Recovered(read_phrase()?) } else { Owner::New };
    let folder = folder::create(data, owner, cluster_key)?.open()?;
    let phrase = (!recover).then(|| Zeroizing::new(to_phrase(folder.owner_secret())));
    let made =
        Made { data, node: folder.node_id(), owner: folder.owner_id(), phrase: phrase.as_deref().map(String::as_str) };
    report.result(&made, || init_text(&made));
    Ok(Exit::Done)
}

fn init_text(made: &Made<'_>) -> String {
    let ids = format!("data folder  {}\nnode         {}\nowner        {}", made.data.display(), made.node, made.owner);
    match made.phrase {
        None => format!("{ids}\n\nStart it with `forever node`, then bring the files back with `forever restore`."),
        Some(phrase) => format!(
            "{ids}\n\nWrite these 24 words down and keep them apart from this machine. Whoever has them has all your \
             files; without\nthem and without this folder, the files are lost:\n\n  {phrase}"
        ),
    }
}

fn read_phrase() -> Result<OwnerSecret, CliError> {
    if io::stdin().is_terminal() {
        eprintln!("Type the 24 words of the recovery phrase, then Enter and Ctrl-D:");
    }
    let mut text = Zeroizing::new(String::new());
    io::stdin()
        .take(PHRASE_LEN_MAX)
        .read_to_string(&mut text)
        .map_err(|error| CliError::io("read", Path::new("stdin"), error))?;
    Ok(from_phrase(&text)?)
}

/// `forever phrase`.
pub(crate) fn phrase(data: &Path, report: &Report) -> Result<Exit, CliError> {
    if !io::stdout().is_terminal() {
        let refused = "the recovery phrase is shown on a terminal only, so that it does not end up in a file or a log";
        return Err(CliError::Refused(refused.to_owned()));
    }
    let secret = Folder::at(data)?.owner_secret()?;
    let phrase = Zeroizing::new(to_phrase(&secret));
    report.result(&serde_json::json!({ "phrase": phrase.as_str() }), || phrase.to_string());
    Ok(Exit::Done)
}

/// `forever clear`.
pub(crate) fn clear(data: &Path, yes: bool, report: &Report) -> Result<Exit, CliError> {
    let folder = Folder::at(data)?;
    if !yes {
        return Err(CliError::Usage(format!(
            "this wipes all blobs and the index in {}; what no other node holds is lost. Keys and settings stay. \
             Say `forever clear --yes` to do it",
            data.display()
        )));
    }
    folder.open()?.clear()?;
    report.result(&serde_json::json!({ "cleared": data }), || {
        format!("{} holds no blobs and no index any more", data.display())
    });
    Ok(Exit::Done)
}
