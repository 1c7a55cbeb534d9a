//! What callers do with the store.

use forever_core::command::{PutMeta, RangeRequest};
use forever_core::placement::Replicas;
use serde::{Deserialize, Serialize};

use super::names;
use crate::system::Step;

/// Something that a caller of a node does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Op {
    /// At which node.
    pub node: usize,
    /// What.
    pub what: OpKind,
}

/// What a caller does. Files are numbered; [`names::of`] gives their names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OpKind {
    /// Stores a file.
    Put {
        /// Which.
        file: u32,
        /// Its content.
        content: Content,
        /// The caller goes away after so many chunks, if it does.
        abandon_after: Option<u32>,
        /// What the caller says of it.
        #[serde(default)]
        said: Said,
        /// How many milliseconds the caller takes over each of the first pieces before it gives them.
        #[serde(default)]
        slow_ms: u32,
    },
    /// Reads a file.
    Get {
        /// Which.
        file: u32,
        /// Which bytes; all if `None`.
        range: Option<Range>,
        /// The so many-th oldest version that the oracles know of, modulo their number; the newest if `None`.
        old: Option<u32>,
        /// How the caller takes what it is given.
        #[serde(default)]
        reader: Reader,
    },
    /// Deletes a file.
    Delete {
        /// Which.
        file: u32,
    },
    /// Puts a deleted file back. Answered as a put of it.
    Undelete {
        /// Which.
        file: u32,
    },
    /// Lists all files.
    List,
    /// Lists some of them.
    ListPart(Part),
    /// Tells all of a file and asks the peers who holds it.
    Stat {
        /// Which.
        file: u32,
    },
    /// Tells the history of a file.
    Versions {
        /// Which.
        file: u32,
    },
    /// Drops a file's local chunks once other nodes have promised to keep theirs.
    Evict {
        /// Which.
        file: u32,
    },
    /// Brings the owner's files back from the peers.
    Restore,
    /// Reads and checks all that the node holds.
    Scrub {
        /// The caller goes away after so many steps, if it does.
        abandon_after: Option<u32>,
    },
    /// Checks what the node's disk holds, while it runs: what of its files is lost.
    Fsck,
    /// Takes the node out of the cluster for good.
    Leave,
    /// Writes a node off that will not come back.
    Forget {
        /// Which.
        member: usize,
    },
    /// Makes a ticket for a version of a file.
    Share {
        /// The ticket's number: no two of a plan have the same.
        ticket: u32,
        /// Which file.
        file: u32,
        /// Which version, as for a get.
        old: Option<u32>,
        /// For how many milliseconds it is valid.
        valid_ms: u64,
    },
    /// Reads what a ticket opens, on whatever node.
    Redeem {
        /// The ticket's number.
        ticket: u32,
        /// Which bytes; all if `None`.
        range: Option<Range>,
        /// Which bit of the ticket was changed on its way, if one was.
        forged: Option<u32>,
    },
}

impl OpKind {
    /// A put of a file by a caller who says its length and nothing else of it.
    #[must_use]
    pub fn put(file: u32, content: Content) -> Self {
        Self::Put { file, content, abandon_after: None, said: Said::default(), slow_ms: 0 }
    }

    /// A get of the whole of a file's newest version.
    #[must_use]
    pub fn get(file: u32) -> Self {
        Self::Get { file, range: None, old: None, reader: Reader::default() }
    }

    /// What a put gives and says of it, if it is one.
    #[must_use]
    pub fn given(&self) -> Option<(Content, Said)> {
        match *self {
            Self::Put { content, said, .. } => Some((content, said)),
            Self::Get { .. }
            | Self::Delete { .. }
            | Self::Undelete { .. }
            | Self::List
            | Self::ListPart(_)
            | Self::Stat { .. }
            | Self::Versions { .. }
            | Self::Evict { .. }
            | Self::Restore
            | Self::Scrub { .. }
            | Self::Fsck
            | Self::Leave
            | Self::Forget { .. }
            | Self::Share { .. }
            | Self::Redeem { .. } => None,
        }
    }

    /// The node that it is about, if it is about another than the one that is asked.
    #[must_use]
    pub fn member(&self) -> Option<usize> {
        if let Self::Forget { member } = self { Some(*member) } else { None }
    }

    /// Whether it is a put whose caller never ends it, or ends it with another length than it announced: it stores nothing.
    #[must_use]
    pub fn comes_to_nothing(&self, chunk_size: u32) -> bool {
        let Self::Put { content, abandon_after, said, .. } = self else { return false };
        let is_abandoned =
            abandon_after.is_some_and(|after| content.len > 0 && content.len >= after.saturating_mul(chunk_size));
        is_abandoned || said.is_wrong(content.len)
    }
}

/// What the caller of a put says of the file besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Its length.
    pub length: Length,
    /// Time, mode and content type, which follow from this number; nothing of them if `None`.
    pub details: Option<u32>,
}

/// The length that is announced with a put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Length {
    /// The right one.
    #[default]
    Right,
    /// None.
    Unknown,
    /// Another one.
    Wrong(u32),
}

impl Said {
    /// What the node is told of a file of so many bytes.
    #[must_use]
    pub fn meta(&self, len: u32) -> PutMeta {
        let len = match self.length {
            Length::Right => Some(u64::from(len)),
            Length::Unknown => None,
            Length::Wrong(wrong) => Some(u64::from(wrong)),
        };
        let Some(number) = self.details else { return PutMeta { len, ..PutMeta::default() } };
        // Each of them may be missing, and the edges of what they can be come up.
        PutMeta {
            len,
            mtime_ms: [None, Some(0), Some(u64::MAX), Some(u64::from(number))][number as usize % 4],
            mode: [None, Some(0o644), Some(u32::MAX)][number as usize / 4 % 3],
            content_type: [None, Some(String::new()), Some(format!("text/{number}"))][number as usize / 12 % 3].clone(),
            replicas: [None, None, None, None, Replicas::new(2), Some(Replicas::ALL)][number as usize / 36 % 6],
        }
    }

    fn is_wrong(&self, len: u32) -> bool {
        matches!(self.length, Length::Wrong(wrong) if wrong != len)
    }
}

/// How the caller of a get takes what it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    /// It goes away after so many pieces, if it does.
    pub abandon_after: Option<u32>,
    /// How many milliseconds it takes over each of the first pieces before it lets the node deliver more.
    pub slow_ms: u32,
}

/// Part of an owner's files: names in order, at most `limit` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Only those in this folder, if one is named.
    pub folder: Option<u32>,
    /// Only those after the name of this file, if one is named.
    pub after: Option<u32>,
    /// How many at most.
    pub limit: u32,
}

impl Part {
    /// All files.
    pub const ALL: Self = Self { folder: None, after: None, limit: 10_000 };

    /// What the names start with.
    #[must_use]
    pub fn prefix(&self) -> String {
        self.folder.map_or(String::new(), names::folder)
    }

    /// The name after which it begins, exclusive.
    #[must_use]
    pub fn after(&self) -> Option<String> {
        self.after.map(|file| names::of(file).as_str().to_string())
    }

    /// Whether a name belongs to it if the limit is not reached before.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        name.starts_with(&self.prefix()) && self.after().is_none_or(|after| name > after.as_str())
    }
}

/// Which bytes of a file; may lie outside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Range {
    /// So many bytes from one on.
    Slice {
        /// First byte.
        first: u64,
        /// How many; at least 1.
        len: u64,
    },
    /// All from one on.
    From {
        /// First byte.
        from: u64,
    },
    /// The last so many.
    Last {
        /// How many.
        last: u64,
    },
}

impl Range {
    /// What a node is asked for.
    #[must_use]
    pub fn request(&self) -> RangeRequest {
        match *self {
            Self::Slice { first, len } => {
                RangeRequest::From { first, last: Some(first.saturating_add(len.max(1) - 1)) }
            }
            Self::From { from } => RangeRequest::From { first: from, last: None },
            Self::Last { last } => RangeRequest::Suffix { len: last },
        }
    }

    /// First byte and end (exclusive) of it in a file of so many bytes; `None` if it has none of them.
    #[must_use]
    pub fn within(&self, size: u64) -> Option<(u64, u64)> {
        let (first, end) = match *self {
            Self::Slice { first, len } => (first, first.saturating_add(len.max(1)).min(size)),
            Self::From { from } => (from, size),
            Self::Last { last } => (size.saturating_sub(last), size),
        };
        (first < end).then_some((first, end))
    }

    fn tell(&self) -> String {
        match self {
            Self::Slice { first, len } => format!(", {len} bytes from byte {first}"),
            Self::From { from } => format!(" from byte {from} on"),
            Self::Last { last } => format!(", its last {last} bytes"),
        }
    }
}

/// A file's content: bytes that follow from a salt, one of whose chunks may be another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Content {
    /// Same salt, same bytes.
    pub salt: u64,
    /// How many bytes.
    pub len: u32,
    /// From which byte on the content is that of another salt: a changed file that shares its beginning.
    pub changed: Option<(u32, u64)>,
}

impl Content {
    /// The bytes. Every [`names::CANARY_EVERY`] bytes they hold a canary word.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = names::content(self.salt, self.len as usize);
        if let Some((from, salt)) = self.changed
            && from < self.len
        {
            let other = names::content(salt, self.len as usize);
            bytes[from as usize..].copy_from_slice(&other[from as usize..]);
        }
        bytes
    }
}

impl Step for Op {
    fn tell(&self) -> String {
        let node = self.node;
        match &self.what {
            OpKind::Put { file, content, abandon_after, said, slow_ms } => {
                let pace = if *slow_ms > 0 { " slowly" } else { "" };
                let length = content.len;
                let end = abandon_after.map_or(String::new(), |chunks| format!(" and goes away after {chunks} chunks"));
                let announced = match said.length {
                    Length::Right => String::new(),
                    Length::Unknown => ", whose length it does not say,".into(),
                    Length::Wrong(wrong) => format!(", of which it announces {wrong},"),
                };
                format!("a caller of node {node} puts{pace} file {file} of {length} bytes{announced}{end}")
            }
            OpKind::Get { file, range, old, reader } => {
                let which = old.map_or("", |_| "an old version of ");
                let part = range.map_or(String::new(), |range| range.tell());
                let pace = if reader.slow_ms > 0 { " slowly" } else { "" };
                let leaves = |pieces| format!(" and goes away after {pieces} pieces");
                let end = reader.abandon_after.map_or(String::new(), leaves);
                format!("a caller of node {node} reads{pace} {which}file {file}{part}{end}")
            }
            OpKind::Delete { file } => format!("a caller of node {node} deletes file {file}"),
            OpKind::Undelete { file } => format!("a caller of node {node} puts deleted file {file} back"),
            OpKind::List => format!("a caller of node {node} lists its files"),
            OpKind::ListPart(part) => {
                let limit = part.limit;
                let folder = part.folder.map_or(String::new(), |folder| format!(" in folder {folder}"));
                let after = part.after.map_or(String::new(), |file| format!(" after file {file}"));
                format!("a caller of node {node} lists at most {limit} files{folder}{after}")
            }
            OpKind::Stat { file } => format!("a caller of node {node} asks who holds file {file}"),
            OpKind::Versions { file } => format!("a caller of node {node} asks for the versions of file {file}"),
            OpKind::Evict { file } => format!("a caller of node {node} evicts file {file} from it"),
            OpKind::Restore => format!("a caller of node {node} restores its files from the peers"),
            OpKind::Scrub { abandon_after } => {
                let leaves = |steps| format!(" and goes away after {steps} steps");
                let end = abandon_after.map_or(String::new(), leaves);
                format!("a caller of node {node} has it read and check all that it holds{end}")
            }
            OpKind::Fsck => format!("a caller of node {node} has its disk checked"),
            OpKind::Leave => format!("a caller of node {node} takes it out of the cluster"),
            OpKind::Forget { member } => format!("a caller of node {node} writes node {member} off"),
            OpKind::Share { ticket, file, old, valid_ms } => {
                let which = old.map_or("", |_| "an old version of ");
                format!("a caller of node {node} makes ticket {ticket} for {which}file {file}, valid for {valid_ms} ms")
            }
            OpKind::Redeem { ticket, range, forged } => {
                let part = range.map_or(String::new(), |range| range.tell());
                let how = forged.map_or(String::new(), |_| ", which was changed on its way".into());
                format!("a caller of node {node} reads what ticket {ticket} opens{part}{how}")
            }
        }
    }

    fn family(&self) -> &'static str {
        match &self.what {
            OpKind::Put { .. } => "put",
            OpKind::Get { .. } => "get",
            OpKind::Delete { .. } => "delete",
            OpKind::Undelete { .. } => "undelete",
            OpKind::List | OpKind::ListPart(_) => "list",
            OpKind::Stat { .. } => "stat",
            OpKind::Versions { .. } => "versions",
            OpKind::Evict { .. } => "evict",
            OpKind::Restore => "restore",
            OpKind::Scrub { .. } => "scrub",
            OpKind::Fsck => "fsck",
            OpKind::Leave => "leave",
            OpKind::Forget { .. } => "forget",
            OpKind::Share { .. } => "share",
            OpKind::Redeem { .. } => "redeem",
        }
    }

    fn nodes(&self) -> Vec<usize> {
        [self.node].into_iter().chain(self.what.member()).collect()
    }
}

#[cfg(test)]
mod tests;
