//! A client of a running node's HTTP API.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::body::Body;
use bytes::Bytes;
use forever_core::name::Name;
use forever_core::placement::Replicas;
use forever_net_tokio::api::view::{ErrorBody, PutView, StepLine};
use forever_net_tokio::api::{HEADER_MODE, HEADER_MTIME, HEADER_NAME, HEADER_REQUEST};
use forever_net_tokio::folder::Folder;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::CliError;

/// What stands for itself in a path: RFC 3986's unreserved characters, and the slash between the parts of a name.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The longest answer that is no file's bytes: a page of 10,000 names of 4 KiB.
const JSON_LEN_MAX: usize = 128 << 20;

/// What a put says of its file.
#[derive(Clone, Debug, Default)]
pub(crate) struct PutHead {
    pub(crate) len: Option<u64>,
    pub(crate) mtime_ms: Option<u64>,
    pub(crate) mode: Option<u32>,
    pub(crate) content_type: Option<String>,
    pub(crate) replicas: Option<Replicas>,
}

/// Talks to the node of a data folder, one request at a time.
pub(crate) struct Client {
    data: PathBuf,
    address: SocketAddr,
    authorization: HeaderValue,
    connection: Option<SendRequest<Body>>,
}

impl Client {
    /// A client of the node that runs on a data folder.
    pub(crate) fn open(data: &Path) -> Result<Self, CliError> {
        let folder = Folder::at(data)?;
        let Some(address) = folder.api_address()? else {
            return Err(CliError::NoNode(data.to_owned()));
        };
        let token = folder.api_token()?;
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", token.as_str())).expect("hex digits are header text");
        authorization.set_sensitive(true);
        Ok(Self { data: data.to_owned(), address: address.api, authorization, connection: None })
    }

    /// Asks for something that is answered by JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self, method: Method, path: &str) -> Result<T, CliError> {
        self.json_with(method, path, Body::empty()).await
    }

    /// The same, with a body.
    pub(crate) async fn json_with<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<T, CliError> {
        let response = self.send(method, path, HeaderMap::new(), body).await?;
        read_json(response).await
    }

    /// Asks for something that takes long, and shows each of its steps until one is the last.
    pub(crate) async fn steps<T: DeserializeOwned>(
        &mut self,
        path: &str,
        mut show: impl FnMut(&T),
        is_last: impl Fn(&T) -> bool,
    ) -> Result<T, CliError> {
        let response = self.send(Method::POST, path, HeaderMap::new(), Body::empty()).await?;
        let mut body = response.into_body();
        let mut pending = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| CliError::Connection(error.to_string()))?;
            pending.extend_from_slice(frame.data_ref().map_or(&[][..], |bytes| bytes));
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                match serde_json::from_slice(&line).map_err(|error| CliError::Answer(error.to_string()))? {
                    StepLine::Error(body) => return Err(CliError::Api(body)),
                    StepLine::Step(step) => {
                        show(&step);
                        if is_last(&step) {
                            return Ok(step);
                        }
                    }
                }
            }
        }
        Err(CliError::Connection("it ended without saying how".to_owned()))
    }

    /// Stores a file.
    pub(crate) async fn put(&mut self, name: &Name, head: PutHead, body: Body) -> Result<PutView, CliError> {
        let mut headers = HeaderMap::new();
        if let Some(len) = head.len {
            headers.insert(CONTENT_LENGTH, len.into());
        }
        if let Some(mtime) = head.mtime_ms {
            headers.insert(HeaderName::from_static(HEADER_MTIME), mtime.into());
        }
        if let Some(mode) = head.mode {
            let octal = HeaderValue::try_from(format!("{mode:o}")).expect("digits are header text");
            headers.insert(HeaderName::from_static(HEADER_MODE), octal);
        }
        if let Some(content_type) = head.content_type.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(CONTENT_TYPE, content_type);
        }
        let replicas = head.replicas.map(|replicas| format!("?replicas={replicas}")).unwrap_or_default();
        let path = format!("{}{replicas}", path("/v1/files/", name));
        let response = self.send(Method::PUT, &path, headers, body).await?;
        read_json(response).await
    }

    /// Starts to get a file.
    pub(crate) async fn get(
        &mut self,
        name: &Name,
        version: Option<&str>,
        range: Option<&str>,
    ) -> Result<Download, CliError> {
        let mut path = path("/v1/files/", name);
        if let Some(version) = version {
            path = format!("{path}?version={}", encode(version));
        }
        self.download(Method::GET, &path, range, Body::empty()).await
    }

    /// Starts to get what a ticket opens. The ticket goes into the body: URLs end up in logs.
    pub(crate) async fn get_shared(&mut self, ticket: String, range: Option<&str>) -> Result<Download, CliError> {
        self.download(Method::POST, "/v1/tickets/get", range, Body::from(ticket)).await
    }

    async fn download(
        &mut self,
        method: Method,
        path: &str,
        range: Option<&str>,
        body: Body,
    ) -> Result<Download, CliError> {
        let mut headers = HeaderMap::new();
        if let Some(range) = range {
            let range = HeaderValue::try_from(format!("bytes={range}"))
                .map_err(|_| CliError::Usage("a range has digits and a hyphen only".to_owned()))?;
            headers.insert(RANGE, range);
        }
        let response = self.send(method, path, headers, body).await?;
        let number = |name: &str| response.headers().get(name)?.to_str().ok()?.parse::<u64>().ok();
        let announced =
            number(CONTENT_LENGTH.as_str()).ok_or_else(|| CliError::Answer("a file without its length".to_owned()))?;
        Ok(Download {
            announced,
            got: 0,
            request: number(HEADER_REQUEST),
            mtime_ms: number(HEADER_MTIME),
            name: response.headers().get(HEADER_NAME).and_then(decoded_name),
            mode: response.headers().get(HEADER_MODE).and_then(|mode| u32::from_str_radix(mode.to_str().ok()?, 8).ok()),
            response,
        })
    }

    /// Why a download ended early.
    pub(crate) async fn failure_of(&mut self, download: &Download) -> CliError {
        let short = CliError::Short { announced: download.announced, got: download.got };
        let Some(request) = download.request else {
            return short;
        };
        // The connection that broke is of no use.
        self.connection = None;
        match self.json(Method::GET, &format!("/v1/failures/{request}")).await {
            Ok(body) => CliError::Api(body),
            Err(CliError::Api(_)) => short,
            Err(error) => error,
        }
    }

    /// Sends a request and reads the answer's head. Answers that tell an error become one.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response<Incoming>, CliError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() =
            path.parse().map_err(|_| CliError::Usage("the name is too long for a request".to_owned()))?;
        *request.headers_mut() = headers;
        let host = HeaderValue::try_from(self.address.to_string()).expect("an address is header text");
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        let response =
            self.connection().await?.send_request(request).await.map_err(|error| connection_error(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = read_all(response).await?;
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(_) if status == StatusCode::UNAUTHORIZED => Err(CliError::Refused(format!(
                "the node at {} does not take the token of {}: it runs on another data folder",
                self.address,
                self.data.display()
            ))),
            Ok(error) => Err(CliError::Api(error)),
            Err(_) => Err(CliError::Answer(status.to_string())),
        }
    }

    async fn connection(&mut self) -> Result<&mut SendRequest<Body>, CliError> {
        let usable = match &mut self.connection {
            Some(connection) => connection.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.connection = Some(self.connect().await?);
        }
        Ok(self.connection.as_mut().expect("just made if there was none"))
    }

    async fn connect(&self) -> Result<SendRequest<Body>, CliError> {
        let stream = match TcpStream::connect(self.address).await {
            Ok(stream) => stream,
            // A node that was killed leaves its address behind.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(CliError::NoNode(self.data.clone()));
            }
            Err(error) => return Err(CliError::Connection(error.to_string())),
        };
        // Without it small requests may wait for an acknowledgement; if it cannot be set they still arrive.
        let _ = stream.set_nodelay(true);
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| connection_error(&error))?;
        tokio::spawn(async move {
            // Whoever waits for an answer is told of the error as well.
            let _ = connection.await;
        });
        Ok(sender)
    }
}

/// A file on its way.
pub(crate) struct Download {
    pub(crate) announced: u64,
    pub(crate) got: u64,
    pub(crate) mtime_ms: Option<u64>,
    pub(crate) mode: Option<u32>,
    /// The file's name, in the answer to a ticket.
    pub(crate) name: Option<Name>,
    request: Option<u64>,
    response: Response<Incoming>,
}

impl Download {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// `()` when it ended early; [`Client::failure_of`] finds out why.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ()> {
        while let Some(frame) = self.response.body_mut().frame().await {
            if let Ok(bytes) = frame.map_err(|_| ())?.into_data() {
                self.got += bytes.len() as u64;
                return Ok(Some(bytes));
            }
        }
        if self.got == self.announced { Ok(None) } else { Err(()) }
    }
}

/// A name in a header, percent-encoded. Another owner chose it, so it is checked like any other.
fn decoded_name(header: &HeaderValue) -> Option<Name> {
    let text = percent_decode(header.as_bytes()).decode_utf8().ok()?;
    Name::new(text.into_owned()).ok()
}

/// A path with a name at its end.
pub(crate) fn path(prefix: &str, name: &Name) -> String {
    format!("{prefix}{}", utf8_percent_encode(name.as_str(), IN_PATH))
}

/// A value in a query.
pub(crate) fn encode(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

async fn read_json<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, CliError> {
    let body = read_all(response).await?;
    serde_json::from_slice(&body).map_err(|error| CliError::Answer(error.to_string()))
}

async fn read_all(response: Response<Incoming>) -> Result<Bytes, CliError> {
    let body = http_body_util::Limited::new(response.into_body(), JSON_LEN_MAX);
    let whole = body.collect().await.map_err(|error| CliError::Connection(error.to_string()))?;
    Ok(whole.to_bytes())
}

/// The innermost reason: hyper's own text only says at which step.
fn connection_error(error: &hyper::Error) -> CliError {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    CliError::Connection(reason.to_string())
}

#[cfg(test)]
mod tests;
