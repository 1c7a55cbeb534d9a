//! The HTTP API: files, history, status; JSON, and streaming bodies both ways.
//!
//! Every request but `/healthz` and `/v1/openapi.json` needs the bearer token. A request whose caller goes away is
//! cancelled. `api/openapi.json` describes all of it.

mod download;
mod error;
mod failures;
mod fsck;
mod guard;
mod query;
mod range;
mod scrub;
pub mod share;
mod steps;
mod upload;
pub mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, rejection::PathRejection};
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use forever_core::name::Name;

use crate::handle::Handle;

pub use error::ApiError;
pub(crate) use failures::Failures;
pub use fsck::{CheckStep, Checker};

/// The file's version, as [`forever_core::command::VersionSelector`] writes it.
pub const HEADER_VERSION: &str = "x-forever-version";
/// Time of last modification, milliseconds since the Unix epoch.
pub const HEADER_MTIME: &str = "x-forever-mtime-ms";
/// Unix permission bits, octal.
pub const HEADER_MODE: &str = "x-forever-mode";
/// The file's name, percent-encoded, in the answer to a ticket: whoever asked may not have known it.
pub const HEADER_NAME: &str = "x-forever-name";
/// How many chunks the file has.
pub const HEADER_CHUNKS: &str = "x-forever-chunks";
/// The number of a get, to ask `/v1/failures/{number}` why its body ended early.
pub const HEADER_REQUEST: &str = "x-forever-request";

/// The OpenAPI document.
const OPENAPI: &str = include_str!("api/openapi.json");

/// What the API needs to know of its node.
#[derive(Clone, Debug)]
pub struct Context {
    /// The node.
    pub handle: Handle,
    /// Plain bytes of a chunk.
    pub chunk_size: u32,
    /// Where peers connect.
    pub listen: String,
    /// Where this API listens.
    pub api: SocketAddr,
    /// The data folder.
    pub data: PathBuf,
    /// BLAKE3 of the bearer token: comparing hashes takes the same time whatever was guessed.
    pub token_hash: blake3::Hash,
    /// Checks of the store beside its work, if it can be checked so.
    pub checker: Option<Checker>,
    /// Whether requests may name a host other than this machine.
    pub allow_remote: bool,
}

#[derive(Clone, Debug)]
struct Shared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: Context,
    failures: Failures,
}

impl std::ops::Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// All endpoints.
pub fn router(context: Context) -> Router {
    let shared = Shared(Arc::new(Inner { context, failures: Failures::default() }));
    let guarded = Router::new()
        .route("/v1/files", get(query::list))
        .route("/v1/files/", get(empty_name).put(empty_name).delete(empty_name))
        .route("/v1/files/{*name}", get(download::get).head(download::head).put(upload::put).delete(query::delete))
        .route("/v1/stat/{*name}", get(query::stat))
        .route("/v1/versions/{*name}", get(query::versions))
        .route("/v1/undelete/{*name}", post(query::undelete))
        .route("/v1/evict/{*name}", post(query::evict))
        .route("/v1/share/{*name}", post(share::share))
        .route("/v1/tickets/get", post(share::get))
        .route("/v1/restore", post(query::restore))
        .route("/v1/leave", post(query::leave))
        .route("/v1/forget/{node}", post(query::forget))
        .route("/v1/scrub", post(scrub::scrub))
        .route("/v1/fsck", post(fsck::fsck))
        .route("/v1/status", get(query::status))
        .route("/v1/peers", get(query::peers))
        .route("/v1/failures/{request}", get(query::failure))
        .fallback(async || ApiError::no_endpoint())
        .method_not_allowed_fallback(async || ApiError::method())
        .layer(middleware::from_fn_with_state(shared.clone(), guard::token));
    let open = Router::new()
        .route("/healthz", get(query::health))
        .route("/v1/openapi.json", get(openapi))
        .method_not_allowed_fallback(async || ApiError::method());
    guarded.merge(open).layer(middleware::from_fn_with_state(shared.clone(), guard::host)).with_state(shared)
}

async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn empty_name() -> ApiError {
    ApiError::name("a name must not be empty")
}

/// The name in a path, percent-decoded.
fn name_of(path: Result<Path<String>, PathRejection>) -> Result<Name, ApiError> {
    let Path(text) = path.map_err(|error| ApiError::name(&error.body_text()))?;
    Name::new(text).map_err(|error| ApiError::name(&error.to_string()))
}

#[cfg(test)]
pub(crate) mod tests;
