//! `forever share`, and reading of tickets.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use axum::body::Body;
use forever_core::command::VersionSelector;
use forever_core::name::Name;
use forever_core::ticket::{SignedTicket, TICKET_TEXT_LEN_MAX};
use forever_net_tokio::api::share::validity_ms;
use forever_net_tokio::api::view::ShareView;
use http::Method;
use serde_json::json;

use super::client::path;
use super::info::date;
use super::{CliError, Client, Exit, Report, ShareArgs};

/// What an argument starts with that is taken for a ticket.
const TICKET_START: &str = "forever1";

/// Arguments at least so long, of letters and digits only, that start like a ticket are meant as one, complete or not: as
/// a name, a ticket would be asked for, and shown, as it is.
const TICKET_LEN_MIN: usize = 64;

/// The most bytes of a file or of stdin that are read as a ticket.
const INPUT_MAX: u64 = 4 * TICKET_TEXT_LEN_MAX as u64;

/// `forever share`.
pub(crate) async fn run(data: &Path, args: ShareArgs, report: &Report) -> Result<Exit, CliError> {
    let path = path("/v1/share/", &Name::new(args.name)?);
    validity_ms(&args.expires).map_err(|error| CliError::Usage(error.to_string()))?;
    if let Some(version) = &args.version {
        version.parse::<VersionSelector>()?;
    }
    let body = json!({ "expires": args.expires, "version": args.version }).to_string();
    let view: ShareView = Client::open(data)?.json_with(Method::POST, &path, Body::from(body)).await?;
    report.result(&view, || view.ticket.clone());
    if !report.is_json() {
        report.note(&format!(
            "whoever has this ticket can read version {} of {} until {}; the expiry cannot recall a key already given",
            view.version,
            view.name,
            date(view.expires_ms)
        ));
    }
    Ok(Exit::Done)
}

/// Whether an argument is meant as a ticket.
pub(crate) fn looks_like_ticket(text: &str) -> bool {
    let start = text.get(..TICKET_START.len()).is_some_and(|start| start.eq_ignore_ascii_case(TICKET_START));
    start && text.len() >= TICKET_LEN_MIN && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A ticket's text, checked.
pub(crate) fn parse(text: &str) -> Result<String, CliError> {
    let ticket: SignedTicket = text.parse().map_err(CliError::Ticket)?;
    Ok(ticket.to_text())
}

/// Reads a ticket from a file, or from stdin if that is `-`.
pub(crate) async fn read(from: &Path) -> Result<String, CliError> {
    let from = from.to_owned();
    // It may take its time, and meanwhile an interrupt must be heard.
    let read = tokio::task::spawn_blocking(move || {
        let text = read_text(&from);
        text.map_err(|error| CliError::io("read", &from, error))
    });
    let text = read.await.map_err(|error| CliError::Runtime(io::Error::other(error)))??;
    parse(&text)
}

fn read_text(from: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    if from.as_os_str() == "-" {
        io::stdin().take(INPUT_MAX).read_to_end(&mut bytes)?;
    } else {
        File::open(from)?.take(INPUT_MAX).read_to_end(&mut bytes)?;
    }
    // What is not text is not a ticket either, and is told so.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
