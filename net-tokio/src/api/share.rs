//! Sharing: tickets made, and files read by them. A ticket opens a file for whoever has it, so it travels in bodies only:
//! URLs end up in logs.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::IF_RANGE;
use axum::response::Response;
use bytes::Bytes;
use forever_core::command::Command;
use forever_core::event::{RequestError, What};
use forever_core::ticket::{SignedTicket, TICKET_TEXT_LEN_MAX, TicketError};
use serde::Deserialize;

use super::query::{ask, selector};
use super::view::ShareView;
use super::{ApiError, Shared, download, name_of, range};

/// For how long a ticket is valid when the caller does not say.
pub const DEFAULT_VALIDITY: &str = "7d";

/// White space that may stand around a ticket, such as the newline at the end of a file.
const MARGIN: usize = 64;

/// What is asked of a share; all of it may be left out, and the whole body too.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShareRequest {
    expires: Option<String>,
    version: Option<String>,
}

/// Text that is not a time for which a ticket can be valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no length of time: write it like 7d, 12h or 1h 30min")]
pub struct ValidityError(String);

/// Milliseconds of a time as people write it: `7d`, `12h`, `1h 30min`.
///
/// # Errors
/// If it is none.
pub fn validity_ms(text: &str) -> Result<u64, ValidityError> {
    let time: Option<Duration> = humantime::parse_duration(text).ok();
    time.and_then(|time| u64::try_from(time.as_millis()).ok()).ok_or_else(|| ValidityError(text.to_owned()))
}

/// The body, with an error that is JSON like all others.
fn body_of(body: Result<Bytes, BytesRejection>) -> Result<Bytes, ApiError> {
    body.map_err(|error| ApiError::request(error.body_text()))
}

pub(super) async fn share(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<ShareView>, ApiError> {
    let name = name_of(path)?;
    let body = body_of(body)?;
    let request: ShareRequest = if body.is_empty() {
        ShareRequest::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| ApiError::request(error.to_string()))?
    };
    let version = selector(request.version.as_deref())?;
    let expires = request.expires.as_deref().unwrap_or(DEFAULT_VALIDITY);
    let valid_ms = validity_ms(expires).map_err(|error| ApiError::expiry(&error.to_string()))?;
    ask(&shared.context, Command::Share { name, version, valid_ms }, |what| {
        let What::Shared(share) = what else { return None };
        Some(Json(share.into()))
    })
    .await
}

/// Reads what a ticket opens. The body is the ticket's text.
pub(super) async fn get(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let ticket = ticket_of(&body_of(body)?).map_err(RequestError::Ticket)?;
    // A ticket names one version for ever, and whoever asks for a part of another one (`If-Range`) is given all of this.
    let range = if headers.contains_key(IF_RANGE) { None } else { range::of(&headers) };
    download::shared(shared, Command::GetShared { ticket, range }, range.is_some()).await
}

fn ticket_of(body: &[u8]) -> Result<SignedTicket, TicketError> {
    if body.len() > TICKET_TEXT_LEN_MAX + MARGIN {
        return Err(TicketError::Text);
    }
    std::str::from_utf8(body).map_err(|_| TicketError::Text)?.parse()
}
