//! Errors as the API tells them: a status, a code for programs, a sentence for people.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_RANGE, HeaderValue, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use forever_core::command::CommandError;
use forever_core::event::RequestError;

use super::view::ErrorBody;

/// An error of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    body: ErrorBody,
    /// The file's length, for an answer to a range outside it.
    file_len: Option<u64>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, body: ErrorBody { error: code.to_owned(), message: message.into() }, file_len: None }
    }

    pub(super) fn name(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_name", message)
    }

    pub(super) fn expiry(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_expiry", message)
    }

    pub(super) fn request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "send `Authorization: Bearer TOKEN` with the token in the data folder's file `api.token`",
        )
    }

    pub(super) fn host() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host",
            "the Host header names another machine: use 127.0.0.1 or localhost, or set api_allow_remote = true",
        )
    }

    pub(super) fn no_endpoint() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_such_endpoint",
            "there is no such endpoint: /v1/openapi.json describes all there are",
        )
    }

    pub(super) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this endpoint has no such method: the Allow header names those it has",
        )
    }

    /// A request ended without saying how: the node stopped.
    pub(super) fn stopped() -> Self {
        RequestError::Stopping.into()
    }

    /// An event that does not belong to the request: a mistake of the node.
    pub(super) fn unexpected() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the node answered something else than was asked; please report this",
        )
    }

    pub(super) fn body(&self) -> &ErrorBody {
        &self.body
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        let (status, code) = match &error {
            RequestError::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            RequestError::NoSuchVersion => (StatusCode::NOT_FOUND, "no_such_version"),
            RequestError::NotDeleted => (StatusCode::CONFLICT, "not_deleted"),
            RequestError::NotKept => (StatusCode::GONE, "not_kept"),
            RequestError::Ticket(_) => (StatusCode::BAD_REQUEST, "invalid_ticket"),
            RequestError::TicketExpired { .. } => (StatusCode::GONE, "ticket_expired"),
            RequestError::TicketGone => (StatusCode::GONE, "ticket_gone"),
            RequestError::Range { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "range"),
            RequestError::NotEnoughPeers { .. } => (StatusCode::SERVICE_UNAVAILABLE, "not_enough_peers"),
            RequestError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            RequestError::Integrity(_) => (StatusCode::INTERNAL_SERVER_ERROR, "integrity"),
            RequestError::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
            RequestError::Disk(_) => (StatusCode::INTERNAL_SERVER_ERROR, "disk"),
            RequestError::Deadline(_) => (StatusCode::GATEWAY_TIMEOUT, "deadline"),
            RequestError::Length { .. } => (StatusCode::BAD_REQUEST, "length"),
            RequestError::ClockBehind => (StatusCode::CONFLICT, "clock_behind"),
            RequestError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            RequestError::NoSuchMember => (StatusCode::NOT_FOUND, "no_such_member"),
            RequestError::MemberAlive => (StatusCode::CONFLICT, "member_alive"),
            RequestError::StillOwed { .. } => (StatusCode::SERVICE_UNAVAILABLE, "still_owed"),
        };
        let mut api = Self::new(status, code, error.to_string());
        if let RequestError::Range { len } = error {
            api.file_len = Some(len);
        }
        api
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        let (status, code) = match &error {
            CommandError::NoRequest | CommandError::NoCredit | CommandError::ChunkLength { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
            CommandError::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            CommandError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            CommandError::Limit => (StatusCode::BAD_REQUEST, "limit"),
            CommandError::ContentType { .. } => (StatusCode::BAD_REQUEST, "content_type"),
            CommandError::Validity => (StatusCode::BAD_REQUEST, "invalid_expiry"),
            CommandError::Restoring => (StatusCode::CONFLICT, "restoring"),
            CommandError::Scrubbing => (StatusCode::CONFLICT, "scrubbing"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self.body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        if let Some(len) = self.file_len {
            let range = HeaderValue::try_from(format!("bytes */{len}")).expect("digits are header text");
            response.headers_mut().insert(CONTENT_RANGE, range);
        }
        response
    }
}
