//! Putting a file: the body becomes chunks as the node is ready for them.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Buf, Bytes};
use forever_core::bulk::PlainChunk;
use forever_core::command::{Command, CommandError, PutMeta};
use forever_core::event::What;
use http_body_util::BodyExt;

use super::query::{PutQuery, expect, put_view, query_of};
use super::view::PutView;
use super::{ApiError, HEADER_MODE, HEADER_MTIME, Shared, name_of};
use crate::handle::Request;

/// For how long the rest of a refused body is still read, so that its sender gets to read the answer instead of a reset.
const DRAIN_MAX: Duration = Duration::from_secs(5);

pub(super) async fn put(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<PutQuery>, QueryRejection>,
    headers: HeaderMap,
    mut body: Body,
) -> Result<Json<PutView>, ApiError> {
    let stored = store(&shared, path, query, &headers, &mut body).await;
    if stored.is_err() {
        tokio::spawn(tokio::time::timeout(DRAIN_MAX, drain(body)));
    }
    stored
}

async fn drain(mut body: Body) {
    while let Some(Ok(_)) = body.frame().await {}
}

async fn store(
    shared: &Shared,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<PutQuery>, QueryRejection>,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Json<PutView>, ApiError> {
    let name = name_of(path)?;
    let meta = PutMeta { replicas: query_of(query)?.replicas()?, ..meta(headers)? };
    let request = shared.context.handle.request(Command::Put { name, meta }).await?;
    let mut upload = Upload { request, ready: 0, chunk: None, chunk_size: shared.context.chunk_size as usize };
    while let Some(bytes) = upload.next_bytes(body).await? {
        upload.write(bytes).await?;
    }
    upload.finish().await
}

struct Upload {
    request: Request,
    /// Chunks that the node is ready for.
    ready: u32,
    chunk: Option<PlainChunk>,
    chunk_size: usize,
}

impl Upload {
    /// The next bytes of the body, unless the put fails first.
    async fn next_bytes(&mut self, body: &mut Body) -> Result<Option<Bytes>, ApiError> {
        loop {
            tokio::select! {
                biased;
                event = self.request.next() => self.note(event)?,
                frame = body.frame() => match frame {
                    None => return Ok(None),
                    Some(Ok(frame)) => if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    },
                    Some(Err(error)) => {
                        return Err(ApiError::request(format!("the body ended early: {error}")));
                    }
                },
            }
        }
    }

    /// Notes how many more chunks the node is ready for.
    fn note(&mut self, event: Option<What>) -> Result<(), ApiError> {
        let more = expect(event, |what| {
            let What::PutReady { chunks } = what else { return None };
            Some(chunks)
        })?;
        self.ready = self.ready.saturating_add(more);
        Ok(())
    }

    /// Copies bytes into chunks, the one copy on their way from the socket to the cipher. A chunk gets its memory only
    /// when the node is ready for it, so that slow uploads do not hold any.
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), ApiError> {
        while !bytes.is_empty() {
            let mut chunk = match self.chunk.take() {
                Some(chunk) => chunk,
                None => self.new_chunk().await?,
            };
            let len = bytes.len().min(self.chunk_size - chunk.len());
            chunk.extend(&bytes[..len]);
            bytes.advance(len);
            if chunk.len() == self.chunk_size {
                self.send(chunk).await?;
            } else {
                self.chunk = Some(chunk);
            }
        }
        Ok(())
    }

    async fn new_chunk(&mut self) -> Result<PlainChunk, ApiError> {
        while self.ready == 0 {
            let event = self.request.next().await;
            self.note(event)?;
        }
        self.ready -= 1;
        Ok(PlainChunk::with_capacity(self.chunk_size))
    }

    async fn send(&mut self, plain: PlainChunk) -> Result<(), ApiError> {
        let request = self.request.id;
        let sent = self.request.send(Command::PutChunk { request, plain }).await;
        self.check(sent).await
    }

    /// A request that has ended meanwhile says why in its events, which is better than "no such request".
    async fn check(&mut self, sent: Result<(), CommandError>) -> Result<(), ApiError> {
        if sent == Err(CommandError::NoRequest) {
            while let Some(what) = self.request.next().await {
                self.note(Some(what))?;
            }
        }
        Ok(sent?)
    }

    async fn finish(mut self) -> Result<Json<PutView>, ApiError> {
        if let Some(chunk) = self.chunk.take() {
            self.send(chunk).await?;
        }
        let request = self.request.id;
        let sent = self.request.send(Command::PutEnd { request }).await;
        self.check(sent).await?;
        loop {
            let event = self.request.next().await;
            if !matches!(event, Some(What::PutReady { .. })) {
                return expect(event, put_view);
            }
        }
    }
}

fn meta(headers: &HeaderMap) -> Result<PutMeta, ApiError> {
    let text = |name: &str| -> Result<Option<&str>, ApiError> {
        let value = headers.get(name).map(|value| value.to_str());
        value.transpose().map_err(|_| ApiError::request(format!("the header {name} is not text")))
    };
    let wrong = |name: &str, what: &str| ApiError::request(format!("the header {name} must be {what}"));
    let len = text(CONTENT_LENGTH.as_str())?
        .map(|text| text.parse().map_err(|_| wrong("content-length", "a number of bytes")))
        .transpose()?;
    let mtime_ms = text(HEADER_MTIME)?
        .map(|text| text.parse().map_err(|_| wrong(HEADER_MTIME, "milliseconds since 1970")))
        .transpose()?;
    let mode = text(HEADER_MODE)?
        .map(|text| match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o7777 => Ok(mode),
            Ok(_) | Err(_) => Err(wrong(HEADER_MODE, "octal permission bits, like 644")),
        })
        .transpose()?;
    let content_type = text(CONTENT_TYPE.as_str())?.map(str::to_owned);
    Ok(PutMeta { len, mtime_ms, mode, content_type, replicas: None })
}
