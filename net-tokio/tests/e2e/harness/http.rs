//! The HTTP API, byte by byte: a client that can stop in the middle of a body.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::SOON;

/// A client of one node. Every request has a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) api: SocketAddr,
    pub(crate) token: String,
}

/// An answer whose body has been read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// An answer whose body is still coming.
pub(crate) struct Download {
    pub(crate) head: Answer,
    reader: BufReader<TcpStream>,
    left: usize,
}

/// A request whose body is still going out.
pub(crate) struct Upload {
    stream: TcpStream,
}

impl Http {
    fn send(&self, method: &str, path: &str, headers: &[&str]) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.api)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        let Self { api, token } = self;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {api}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
        );
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        Ok(stream)
    }

    /// Starts to get something.
    #[track_caller]
    pub(crate) fn open(&self, method: &str, path: &str, headers: &[&str]) -> Download {
        let stream = self.send(method, path, headers).unwrap();
        Download::of(stream, method).unwrap()
    }

    /// Asks and reads the whole answer.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        self.open(method, path, headers).finish().unwrap()
    }

    /// The JSON of a successful answer.
    #[track_caller]
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, &[]);
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// The JSON of a successful answer; `None` if the node cannot answer.
    pub(crate) fn try_json(&self, path: &str) -> Option<Value> {
        let stream = self.send("GET", path, &[]).ok()?;
        let answer = Download::of(stream, "GET").ok()?.finish().ok()?;
        (answer.status == 200).then(|| answer.json())
    }

    /// Starts to put a file of a given length.
    #[track_caller]
    pub(crate) fn start_put(&self, path: &str, len: usize) -> Upload {
        let stream = self.send("PUT", path, &[&format!("Content-Length: {len}")]).unwrap();
        Upload { stream }
    }

    /// Puts a file.
    #[track_caller]
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) -> Answer {
        let mut upload = self.start_put(path, bytes.len());
        // A node that refuses says why before it has read everything.
        let _ = upload.write(bytes);
        upload.finish()
    }
}

impl Upload {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads the answer.
    #[track_caller]
    pub(crate) fn finish(self) -> Answer {
        Download::of(self.stream, "PUT").unwrap().finish().unwrap()
    }
}

impl Download {
    fn of(stream: TcpStream, method: &str) -> io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            lines.push(line.to_owned());
        }
        let status = lines[0].split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        let headers = lines[1..].iter().map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        });
        let head = Answer { status, headers: headers.collect(), body: Vec::new() };
        let announced = head.header("content-length").map_or(0, |len| len.parse().unwrap());
        let left = if method == "HEAD" || status == 304 { 0 } else { announced };
        Ok(Self { head, reader, left })
    }

    /// Reads so many bytes of the body.
    pub(crate) fn read(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.reader.read_exact(&mut bytes)?;
        self.left -= len;
        Ok(bytes)
    }

    /// Reads the rest of the body.
    pub(crate) fn finish(mut self) -> io::Result<Answer> {
        self.head.body = self.read(self.left)?;
        Ok(self.head)
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts how it failed: the status, the error's word for programs, and what its sentence for people holds.
    #[track_caller]
    pub(crate) fn fails(&self, status: u16, error: &str, told: &str) {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        let json = self.json();
        assert_eq!(json["error"], error, "{json}");
        assert!(json["message"].as_str().unwrap().contains(told), "no `{told}` in: {json}");
    }
}
