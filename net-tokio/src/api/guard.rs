//! Who may ask: the bearer token, and a Host header that names this machine.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::middleware::Next;
use axum::response::Response;

use super::{ApiError, Shared};

/// Lets requests with the right token pass.
pub(super) async fn token(State(shared): State<Shared>, request: Request, next: Next) -> Result<Response, ApiError> {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let hash = given.map(|token| blake3::hash(token.as_bytes()));
    // `blake3::Hash` compares in constant time.
    if hash != Some(shared.context.token_hash) {
        return Err(ApiError::token());
    }
    Ok(next.run(request).await)
}

/// Refuses requests that a web page made this machine's browser send by pointing its own name at 127.0.0.1.
pub(super) async fn host(State(shared): State<Shared>, request: Request, next: Next) -> Result<Response, ApiError> {
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    if !shared.context.allow_remote && !host.is_some_and(is_this_machine) {
        return Err(ApiError::host());
    }
    Ok(next.run(request).await)
}

fn is_this_machine(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
