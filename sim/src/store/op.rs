//! What callers do with the store.

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
    },
    /// Reads a file.
    Get {
        /// Which.
        file: u32,
        /// Which bytes; all if `None`.
        range: Option<Range>,
        /// The so many-th oldest version that the oracles know of, modulo their number; the newest if `None`.
        old: Option<u32>,
    },
    /// Deletes a file.
    Delete {
        /// Which.
        file: u32,
    },
    /// Lists all files.
    List,
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
}

/// Bytes from `first` on, so many; may lie outside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// First byte.
    pub first: u64,
    /// How many; at least 1.
    pub len: u64,
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
            OpKind::Put { file, content, abandon_after } => {
                let length = content.len;
                let end = abandon_after.map_or(String::new(), |chunks| format!(" and goes away after {chunks} chunks"));
                format!("a caller of node {node} puts file {file} of {length} bytes{end}")
            }
            OpKind::Get { file, range, old } => {
                let which = old.map_or("", |_| "an old version of ");
                let part =
                    range.map_or(String::new(), |range| format!(", {} bytes from byte {}", range.len, range.first));
                format!("a caller of node {node} reads {which}file {file}{part}")
            }
            OpKind::Delete { file } => format!("a caller of node {node} deletes file {file}"),
            OpKind::List => format!("a caller of node {node} lists its files"),
            OpKind::Stat { file } => format!("a caller of node {node} asks who holds file {file}"),
            OpKind::Versions { file } => format!("a caller of node {node} asks for the versions of file {file}"),
            OpKind::Evict { file } => format!("a caller of node {node} evicts file {file} from it"),
            OpKind::Restore => format!("a caller of node {node} restores its files from the peers"),
        }
    }

    fn family(&self) -> &'static str {
        match &self.what {
            OpKind::Put { .. } => "put",
            OpKind::Get { .. } => "get",
            OpKind::Delete { .. } => "delete",
            OpKind::List => "list",
            OpKind::Stat { .. } => "stat",
            OpKind::Versions { .. } => "versions",
            OpKind::Evict { .. } => "evict",
            OpKind::Restore => "restore",
        }
    }

    fn nodes(&self) -> Vec<usize> {
        vec![self.node]
    }
}
