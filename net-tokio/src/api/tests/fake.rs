//! A node for the tests of the API: files in memory, credits as the real one gives them, and names that fail on purpose.
#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_truncation,
    reason = "a fake that knows only what the tests ask of it"
)]

use std::collections::BTreeMap;

use bytes::Bytes;
use forever_core::command::{Command, CommandError, PutMeta, RangeRequest};
use forever_core::event::{
    FileInfo, FileStat, PeerInfo, PeerState, Plain, PutReport, RequestError, RestoreReport, ScrubReport, Share,
    StatusInfo, VersionInfo, What, WriteReport,
};
use forever_core::ids::{NodeId, OwnerId, RecordId, RequestId};
use forever_core::name::Name;
use forever_core::secrets::{OwnerKeys, OwnerSecret, PageKey};
use forever_core::ticket::{SignedTicket, Ticket};
use forever_core::version::Version;
use tokio::sync::{mpsc, watch};

use crate::handle::{Call, Calls, Handle};

pub(crate) const CHUNK: usize = 64 * 1024;
/// Bytes that a get delivers before it needs credit.
pub(crate) const WINDOW: u64 = 2 * CHUNK as u64;

/// A get of this name fails after its first chunk.
pub(crate) const DAMAGED: &str = "damaged";
/// A put of this name fails after its first chunk.
pub(crate) const FULL: &str = "full";
/// Anything with this name finds too few peers.
pub(crate) const LONELY: &str = "lonely";
/// A get of this name starts and never goes on.
pub(crate) const STALLED: &str = "stalled";

pub(crate) const VERSION: Version = Version { wall_ms: 0x0192_f3a4_b5c6, counter: 7, node: NodeId([0xab; 32]) };

/// The fake node's wall clock, which stands still.
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// What a test may look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Requests cancelled.
    pub(crate) cancelled: u64,
    /// Bytes that gets have delivered.
    pub(crate) delivered: u64,
}

struct File {
    meta: PutMeta,
    bytes: Vec<u8>,
}

struct Put {
    name: Name,
    file: File,
    events: mpsc::UnboundedSender<What>,
}

struct Get {
    rest: Bytes,
    credit: u64,
    events: mpsc::UnboundedSender<What>,
}

pub(crate) struct FakeNode {
    calls: mpsc::Receiver<Call>,
    seen: watch::Sender<Seen>,
    files: BTreeMap<String, File>,
    deleted: BTreeMap<String, File>,
    puts: BTreeMap<RequestId, Put>,
    gets: BTreeMap<RequestId, Get>,
    /// Requests that never end by themselves.
    open: Vec<mpsc::UnboundedSender<What>>,
    requests: u64,
}

impl FakeNode {
    pub(crate) fn new() -> (Handle, watch::Receiver<Seen>, Self) {
        let (handle, Calls(calls)) = Handle::new();
        let (seen, seen_by) = watch::channel(Seen::default());
        let node = Self {
            calls,
            seen,
            files: BTreeMap::new(),
            deleted: BTreeMap::new(),
            puts: BTreeMap::new(),
            gets: BTreeMap::new(),
            open: Vec::new(),
            requests: 0,
        };
        (handle, seen_by, node)
    }

    pub(crate) async fn run(mut self) {
        while let Some(call) = self.calls.recv().await {
            let stop = call.command == Command::Stop;
            let answer = match call.events {
                Some(events) => Ok(self.start(call.command, events)),
                None => self.go_on(call.command),
            };
            let _ = call.answer.send(answer);
            if stop {
                break;
            }
        }
    }

    fn start(&mut self, command: Command, events: mpsc::UnboundedSender<What>) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        let one = match command {
            Command::Put { name, meta } => {
                let _ = events.send(What::PutReady { chunks: 2 });
                let file = File { meta, bytes: Vec::new() };
                self.puts.insert(id, Put { name, file, events });
                return id;
            }
            Command::Get { name, range, .. } => return self.start_get(id, &name, range, events),
            Command::GetShared { ticket, range } => match self.opened_by(&ticket) {
                Ok(name) => return self.start_get(id, &name, range, events),
                Err(error) => What::Failed(error),
            },
            Command::Restore { .. } => {
                let step = RestoreReport { peers: 2, ..RestoreReport::default() };
                let _ = events.send(What::RestoreProgress(step.clone()));
                What::Restored(RestoreReport { peers_done: 2, files: self.files.len() as u64, ..step })
            }
            Command::Scrub { from_start } => {
                let step = ScrubReport { resumed: !from_start, blobs_total: 2, ..ScrubReport::default() };
                let _ = events.send(What::ScrubProgress(step.clone()));
                What::Scrubbed(ScrubReport { blobs: 2, ..step })
            }
            other => self.answer(other),
        };
        let _ = events.send(one);
        id
    }

    /// The name that a ticket of this node opens.
    fn opened_by(&self, ticket: &SignedTicket) -> Result<Name, RequestError> {
        let ticket = ticket.verify()?;
        if let Some(ago_ms) = ticket.expired_for_ms(NOW_MS) {
            return Err(RequestError::TicketExpired { ago_s: ago_ms / 1_000 });
        }
        let mut names = self.files.keys().map(|name| Name::new(name.as_str()).unwrap());
        names.find(|name| keys().name_id(name) == ticket.name_id).ok_or(RequestError::TicketGone)
    }

    fn start_get(
        &mut self,
        id: RequestId,
        name: &Name,
        range: Option<RangeRequest>,
        events: mpsc::UnboundedSender<What>,
    ) -> RequestId {
        let Some(file) = self.files.get(name.as_str()) else {
            let _ = events.send(What::Failed(missing(name)));
            return id;
        };
        let len = file.bytes.len();
        let (from, to) = match range {
            None => (0, len),
            Some(RangeRequest::From { first, last }) => {
                let to = last.map_or(len, |last| len.min(last as usize + 1));
                (first as usize, to)
            }
            Some(RangeRequest::Suffix { len: suffix }) => (len.saturating_sub(suffix as usize), len),
        };
        if range.is_some() && from >= to {
            let _ = events.send(What::Failed(RequestError::Range { len: len as u64 }));
            return id;
        }
        let rest = Bytes::copy_from_slice(&file.bytes[from..to]);
        let _ = events.send(What::GetStart { file: info(name, file), first: from as u64, len: rest.len() as u64 });
        if name.as_str() == STALLED {
            self.open.push(events);
            return id;
        }
        let get = Get { rest, credit: WINDOW, events };
        self.gets.insert(id, get);
        if name.as_str() == DAMAGED {
            self.deliver_damaged(id);
        } else {
            self.deliver(id);
        }
        id
    }

    fn deliver_damaged(&mut self, id: RequestId) {
        let Some(mut get) = self.gets.remove(&id) else { return };
        let _ = get.events.send(What::GetData(Plain(get.rest.split_to(CHUNK))));
        let error = RequestError::Integrity("chunk 1 is damaged on every peer".to_owned());
        let _ = get.events.send(What::Failed(error));
    }

    fn deliver(&mut self, id: RequestId) {
        let Some(get) = self.gets.get_mut(&id) else { return };
        while !get.rest.is_empty() {
            let len = get.rest.len().min(CHUNK);
            if get.credit < len as u64 {
                return;
            }
            get.credit -= len as u64;
            self.seen.send_modify(|seen| seen.delivered += len as u64);
            let _ = get.events.send(What::GetData(Plain(get.rest.split_to(len))));
        }
        let _ = get.events.send(What::GetDone);
        self.gets.remove(&id);
    }

    fn go_on(&mut self, command: Command) -> Result<RequestId, CommandError> {
        let request = match command {
            Command::PutChunk { request, plain } => {
                let put = self.puts.get_mut(&request).ok_or(CommandError::NoRequest)?;
                put.file.bytes.extend_from_slice(plain.plain());
                if put.name.as_str() == FULL {
                    let _ = put.events.send(What::Failed(RequestError::DiskFull));
                    self.puts.remove(&request);
                } else {
                    let _ = put.events.send(What::PutReady { chunks: 1 });
                }
                request
            }
            Command::PutEnd { request } => {
                let put = self.puts.remove(&request).ok_or(CommandError::NoRequest)?;
                let _ = put.events.send(if put.name.as_str() == LONELY {
                    What::Failed(lonely())
                } else {
                    What::PutDone(PutReport {
                        file: info(&put.name, &put.file),
                        new_bytes: put.file.bytes.len() as u64 + 16,
                        sent_bytes: 2 * (put.file.bytes.len() as u64 + 16),
                        write: written(),
                    })
                });
                self.files.insert(put.name.into(), put.file);
                request
            }
            Command::GetCredit { request, bytes } => {
                let get = self.gets.get_mut(&request).ok_or(CommandError::NoRequest)?;
                get.credit += bytes;
                self.deliver(request);
                request
            }
            Command::Cancel { request } => {
                self.puts.remove(&request);
                self.gets.remove(&request);
                self.seen.send_modify(|seen| seen.cancelled += 1);
                request
            }
            _ => RequestId(0),
        };
        Ok(request)
    }

    fn answer(&mut self, command: Command) -> What {
        match command {
            Command::Delete { name } => match self.files.remove(name.as_str()) {
                Some(file) => {
                    self.deleted.insert(String::from(name), file);
                    What::Deleted(written())
                }
                None => What::Failed(missing(&name)),
            },
            Command::List { prefix, after, limit } => {
                let names = self
                    .files
                    .iter()
                    .filter(|(name, _)| name.starts_with(&prefix) && after.as_ref().is_none_or(|after| *name > after));
                let mut files: Vec<FileInfo> =
                    names.map(|(name, file)| info(&Name::new(name.as_str()).unwrap(), file)).collect();
                let more = files.len() > limit as usize;
                files.truncate(limit as usize);
                What::Listed { files, more }
            }
            Command::Stat { name, holders, .. } => match self.files.get(name.as_str()) {
                Some(file) => What::Stat(FileStat {
                    file: info(&name, file),
                    replicas: file.meta.replicas.unwrap_or_default(),
                    placed: vec![NodeId([2; 32])],
                    local: true,
                    holders: holders.then(|| vec![NodeId([2; 32])]),
                    silent: Vec::new(),
                }),
                None => What::Failed(missing(&name)),
            },
            Command::Versions { .. } => {
                What::Versions(vec![VersionInfo { version: VERSION, deleted: false, size: Some(3), current: true }])
            }
            Command::Share { name, valid_ms, .. } => match self.files.get(name.as_str()) {
                Some(file) => {
                    let ticket = ticket(&name, NOW_MS + valid_ms);
                    What::Shared(Share { file: info(&name, file), expires_ms: NOW_MS + valid_ms, ticket })
                }
                None => What::Failed(missing(&name)),
            },
            Command::Undelete { name } => {
                match (self.files.contains_key(name.as_str()), self.deleted.remove(name.as_str())) {
                    (false, Some(file)) => {
                        let info = info(&name, &file);
                        self.files.insert(name.as_str().to_owned(), file);
                        What::Undeleted { file: info, write: written() }
                    }
                    (true, _) => What::Failed(RequestError::NotDeleted),
                    (false, None) => What::Failed(RequestError::NotFound),
                }
            }
            Command::Evict { name } if name.as_str() == LONELY => What::Failed(lonely()),
            Command::Evict { .. } => {
                What::Evicted { freed_bytes: 100, promised_by: vec![NodeId([2; 32]), NodeId([3; 32])] }
            }
            Command::Status => What::Status(status()),
            Command::Peers => What::Peers(vec![PeerInfo {
                node: None,
                owner: None,
                zone: String::new(),
                weight: 0,
                state: PeerState::Stranger,
                address: "192.0.2.1:7000".to_owned(),
                connected: false,
                sent_bytes: 0,
                received_bytes: 0,
                error: Some("refused".to_owned()),
            }]),
            _ => What::Failed(RequestError::Unavailable("not in the fake".to_owned())),
        }
    }
}

fn keys() -> OwnerKeys {
    OwnerKeys::derive(&OwnerSecret::new([9; 32]))
}

/// A ticket of this node's owner.
pub(crate) fn ticket(name: &Name, expires_ms: u64) -> SignedTicket {
    let ticket = Ticket {
        owner: keys().owner_id(),
        name_id: keys().name_id(name),
        record: RecordId([1; 32]),
        root_key: PageKey::new([2; 32]),
        expires_ms,
    };
    SignedTicket::sign(&keys(), &ticket)
}

fn missing(name: &Name) -> RequestError {
    if name.as_str() == LONELY { lonely() } else { RequestError::NotFound }
}

fn lonely() -> RequestError {
    RequestError::NotEnoughPeers { needed: 2, have: 1, why: "nobody is connected".to_owned() }
}

fn written() -> WriteReport {
    WriteReport { version: VERSION, replicas: 3, pending: 1 }
}

fn info(name: &Name, file: &File) -> FileInfo {
    FileInfo {
        name: name.clone(),
        version: VERSION,
        size: file.bytes.len() as u64,
        chunks: file.bytes.len().div_ceil(CHUNK) as u64,
        mtime_ms: file.meta.mtime_ms,
        mode: file.meta.mode,
        content_type: file.meta.content_type.clone(),
        etag: blake3::hash(&file.bytes).to_hex().to_string(),
    }
}

fn status() -> StatusInfo {
    StatusInfo {
        node: NodeId([1; 32]),
        owner: OwnerId([9; 32]),
        files: Some(3),
        file_bytes: 300,
        disk: None,
        disk_error: None,
        peers_connected: 0,
        members: 3,
        members_alive: 1,
        members_down: 1,
        write_quorum: 2,
        pending: 0,
        checkpoint_ms: None,
        checkpoint_due: false,
        requests: 1,
        protocol_errors: 0,
        damaged_blobs: 0,
        is_full: false,
        quota_bytes: 0,
        store_max_bytes: 0,
        cache_max_bytes: 0,
        mended: 0,
        unmended: 0,
        out_of_place: 0,
    }
}
