//! Getting a file: bytes go out as the node verifies them, and no faster than the caller takes them.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, IF_RANGE,
    LAST_MODIFIED,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use forever_core::command::{Command, RangeRequest, VersionSelector};
use forever_core::event::{FileInfo, What};
use forever_core::name::Name;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::query::{VersionQuery, expect, query_of};
use super::view::version_text;
use super::{
    ApiError, HEADER_CHUNKS, HEADER_MODE, HEADER_MTIME, HEADER_NAME, HEADER_REQUEST, HEADER_VERSION, Shared, name_of,
    range,
};
use crate::handle::Request;

/// What a get will deliver.
struct Start {
    file: FileInfo,
    first: u64,
    len: u64,
}

pub(super) async fn get(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<VersionQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let name = name_of(path)?;
    let version = query_of(query)?.selector()?;
    let range = wanted_range(&shared, &headers, &name, version).await?;
    let command = Command::Get { name, version, range };
    let (request, start) = begin(&shared, command).await?;
    let out = file_headers(&start.file);
    if is_known(&headers, &start.file) {
        return Ok((StatusCode::NOT_MODIFIED, out).into_response());
    }
    deliver(shared, request, &start, out, range.is_some()).await
}

/// Gets what a ticket opens, and tells its name.
pub(super) async fn shared(shared: Shared, command: Command, in_part: bool) -> Result<Response, ApiError> {
    let (request, start) = begin(&shared, command).await?;
    let mut out = file_headers(&start.file);
    let name = utf8_percent_encode(start.file.name.as_str(), NON_ALPHANUMERIC).to_string();
    out.insert(HeaderName::from_static(HEADER_NAME), text(&name));
    deliver(shared, request, &start, out, in_part).await
}

/// Starts a get and waits until its file is found.
async fn begin(shared: &Shared, command: Command) -> Result<(Request, Start), ApiError> {
    let mut request = shared.context.handle.request(command).await?;
    let start = expect(request.next().await, |what| {
        let What::GetStart { file, first, len } = what else {
            return None;
        };
        Some(Start { file, first, len })
    })?;
    Ok((request, start))
}

/// The answer to a get that has found its file: all of it, or the range that was asked for.
async fn deliver(
    shared: Shared,
    mut request: Request,
    start: &Start,
    mut out: HeaderMap,
    in_part: bool,
) -> Result<Response, ApiError> {
    out.insert(CONTENT_LENGTH, start.len.into());
    out.insert(HEADER_REQUEST, request.id.0.into());
    let status = if in_part {
        out.insert(CONTENT_RANGE, content_range(start));
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let body = if start.len == 0 {
        // Nobody reads an empty body, so its end is awaited here.
        expect(request.next().await, done)?;
        Body::empty()
    } else {
        body(shared, request, start.len)
    };
    Ok((status, out, body).into_response())
}

pub(super) async fn head(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<VersionQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let version = query_of(query)?.selector()?;
    let file = stat(&shared, name_of(path)?, version).await?;
    let mut out = file_headers(&file);
    if is_known(&headers, &file) {
        return Ok((StatusCode::NOT_MODIFIED, out).into_response());
    }
    out.insert(CONTENT_LENGTH, file.size.into());
    Ok((out, Body::empty()).into_response())
}

async fn stat(shared: &Shared, name: Name, version: Option<VersionSelector>) -> Result<FileInfo, ApiError> {
    let command = Command::Stat { name, version, holders: false };
    let mut request = shared.context.handle.request(command).await?;
    expect(request.next().await, |what| {
        let What::Stat(stat) = what else { return None };
        Some(stat.file)
    })
}

/// The range asked for, unless `If-Range` says that it was meant for another version (RFC 9110, section 13.1.5).
async fn wanted_range(
    shared: &Shared,
    headers: &HeaderMap,
    name: &Name,
    version: Option<VersionSelector>,
) -> Result<Option<RangeRequest>, ApiError> {
    let (Some(range), Some(meant)) = (range::of(headers), headers.get(IF_RANGE)) else {
        return Ok(range::of(headers));
    };
    let file = stat(shared, name.clone(), version).await?;
    Ok((*meant == etag(&file)).then_some(range))
}

/// The body: what the node delivers, as the caller takes it.
fn body(shared: Shared, mut request: Request, len: u64) -> Body {
    let number = request.id;
    let bytes = async_stream::stream! {
        let mut left = len;
        while left > 0 {
            let bytes = match next_bytes(&mut request, &mut left).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    shared.failures.add(number, error.body().clone());
                    // The connection is cut before the announced length: nobody can take the part for the whole.
                    yield Err(io::Error::other(error.body().message.clone()));
                    break;
                }
            };
            let taken = Command::GetCredit { request: number, bytes: bytes.len() as u64 };
            yield Ok(bytes);
            if left > 0 {
                // A request that has just ended says why in its next event.
                let _ = request.send(taken).await;
            }
        }
    };
    Body::from_stream(bytes)
}

/// The next bytes. The last ones come once the node has said that all is well.
async fn next_bytes(request: &mut Request, left: &mut u64) -> Result<Bytes, ApiError> {
    let bytes = expect(request.next().await, |what| {
        let What::GetData(plain) = what else { return None };
        Some(plain.0)
    })?;
    *left = left.checked_sub(bytes.len() as u64).ok_or_else(ApiError::unexpected)?;
    if *left == 0 {
        expect(request.next().await, done)?;
    }
    Ok(bytes)
}

fn done(what: What) -> Option<()> {
    (what == What::GetDone).then_some(())
}

/// Whether `If-None-Match` names what would be sent (RFC 9110, section 13.1.2: weak comparison).
fn is_known(headers: &HeaderMap, file: &FileInfo) -> bool {
    let etag = etag(file);
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes())
}

fn etag(file: &FileInfo) -> HeaderValue {
    text(&format!("\"{}\"", file.etag))
}

fn content_range(start: &Start) -> HeaderValue {
    let Start { file, first, len } = start;
    let last = first.saturating_add(*len).saturating_sub(1);
    text(&format!("bytes {first}-{last}/{}", file.size))
}

/// A header of our own making: digits, hex digits and ASCII signs.
fn text(value: &str) -> HeaderValue {
    HeaderValue::try_from(value).expect("numbers and hex digits are header text")
}

fn file_headers(file: &FileInfo) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let given = file.content_type.as_deref();
    let content_type = given.and_then(|given| HeaderValue::try_from(given).ok());
    headers.insert(CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    headers.insert(ETAG, etag(file));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(HeaderName::from_static(HEADER_VERSION), text(&version_text(&file.version)));
    headers.insert(HeaderName::from_static(HEADER_CHUNKS), file.chunks.into());
    if let Some(mode) = file.mode {
        headers.insert(HeaderName::from_static(HEADER_MODE), text(&format!("{mode:o}")));
    }
    if let Some(mtime) = file.mtime_ms {
        headers.insert(HeaderName::from_static(HEADER_MTIME), mtime.into());
        if let Some(date) = http_date(mtime) {
            headers.insert(LAST_MODIFIED, date);
        }
    }
    headers
}

/// A time as HTTP writes it; `None` beyond the year 9999, which HTTP cannot write.
fn http_date(mtime_ms: u64) -> Option<HeaderValue> {
    const YEAR_10000_S: u64 = 253_402_300_800;
    let seconds = mtime_ms / 1_000;
    (seconds < YEAR_10000_S).then(|| text(&httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))))
}
