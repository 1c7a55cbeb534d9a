//! What a finding is, where, and what can be done about it: in words for people, and in a word for programs.

use std::fmt;

use forever_core::ids::OwnerId;

use super::{Affected, BlobFault, Finding, Outcome, Place, Problem};

/// What a repair does is told once.
const REPAIR: &str = "`forever fsck --repair` ";

impl Problem {
    /// One word for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Blob { fault, .. } => match fault {
                BlobFault::Missing => "blob_missing",
                BlobFault::WrongLength { .. } => "blob_length",
                BlobFault::WrongHash => "blob_hash",
                BlobFault::Unreadable(_) => "blob_unreadable",
                BlobFault::BadRow => "blob_row",
            },
            Self::Page { .. } => "page_damaged",
            Self::Record { .. } => "record_damaged",
            Self::Incomplete { .. } => "incomplete",
            Self::References { .. } => "references_missing",
            Self::WrongCounters { .. } => "counters_wrong",
            Self::Unlistable { .. } => "folder_unreadable",
            Self::Unknown { .. } => "unknown_format",
            Self::Orphan { .. } => "orphan",
            Self::Temp { .. } => "temp",
            Self::Foreign { .. } => "foreign",
            Self::Quarantined { .. } => "quarantined",
            Self::Unclean => "unclean",
            Self::Doubtful => "doubtful",
        }
    }

    /// Where it is: a path, or what it is called in the index. Empty if it is nowhere in particular.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Blob { place: Place::File(path), .. }
            | Self::Unlistable { path, .. }
            | Self::Orphan { path, .. }
            | Self::Temp { path, .. }
            | Self::Foreign { path }
            | Self::Quarantined { path, .. } => path.display().to_string(),
            Self::Blob { blob, place: Place::Index, .. } => format!("index: blob {} of {}", blob.chunk, blob.owner),
            Self::Page { owner, page } | Self::References { owner, page, .. } => {
                format!("index: page {page} of {owner}")
            }
            Self::Record { key, place, .. } => match place {
                Some(place) => format!("index: record {} of {}", place.record, place.owner),
                None => format!("index: key {}", hex::encode(key)),
            },
            Self::Unknown { key } => format!("index: key {}", hex::encode(key)),
            Self::WrongCounters { .. } | Self::Doubtful => "index".to_owned(),
            Self::Incomplete { .. } | Self::Unclean => String::new(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob { fault, .. } => fault.fmt(f),
            Self::Page { .. } => f.write_str("a manifest page is damaged"),
            Self::Record { why, .. } => write!(f, "a record is damaged: {why}"),
            Self::Incomplete { pages, missing, damaged, chunks } => incomplete(f, *pages, *missing, *damaged, *chunks),
            Self::References { chunks, .. } => {
                write!(f, "the index does not say that the page needs {chunks} of its chunks")
            }
            Self::WrongCounters { blobs, blob_bytes } => {
                write!(f, "the index counts {blobs} blobs of {blob_bytes} bytes, which is wrong")
            }
            Self::Unlistable { why, .. } => write!(f, "the folder cannot be listed: {why}"),
            Self::Unknown { .. } => f.write_str("something in a format that this program does not know"),
            Self::Orphan { len, .. } => write!(f, "a blob's file of {len} bytes that the index does not know"),
            Self::Temp { len, .. } => write!(f, "a file of {len} bytes that was never finished"),
            Self::Foreign { .. } => f.write_str("a file that is not the store's"),
            Self::Quarantined { len, .. } => write!(f, "{len} damaged bytes, kept for inspection"),
            Self::Unclean => f.write_str("the last run did not end well"),
            Self::Doubtful => f.write_str("a sync failed in the last run"),
        }
    }
}

/// What a version of a file lacks, as far as it lacks any of it.
fn incomplete(f: &mut fmt::Formatter<'_>, pages: u64, missing: u64, damaged: u64, chunks: u64) -> fmt::Result {
    f.write_str("the file is not whole here:")?;
    let mut comma = "";
    if pages > 0 {
        write!(f, " {pages} manifest pages missing or damaged")?;
        comma = ",";
    }
    for (count, what) in [(missing, "missing"), (damaged, "damaged")] {
        if count > 0 {
            write!(f, "{comma} {count} of {chunks} chunks {what}")?;
            comma = ",";
        }
    }
    Ok(())
}

impl fmt::Display for BlobFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("a blob's file is missing"),
            Self::WrongLength { expected, found } => {
                write!(f, "a blob's file has {found} bytes instead of {expected}")
            }
            Self::WrongHash => f.write_str("a blob's bytes are damaged"),
            Self::Unreadable(why) => write!(f, "a blob's file cannot be read: {why}"),
            Self::BadRow => f.write_str("a blob's row in the index is damaged"),
        }
    }
}

impl fmt::Display for Affected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}, version {}", self.place.version),
            None => write!(
                f,
                "name id {} of owner {}, version {}",
                self.place.name_id, self.place.owner, self.place.version
            ),
        }
    }
}

impl Finding {
    /// What can be done about it, if anything: `own` is the owner of this node.
    #[must_use]
    pub fn advice(&self, own: Option<OwnerId>) -> Option<String> {
        let is_own = |affected: &&Affected| own == Some(affected.place.owner);
        let own_file = self.affected.iter().find(is_own);
        let open = self.outcome == Outcome::Found;
        if self.outcome == Outcome::Mended {
            return None;
        }
        match &self.problem {
            Problem::Incomplete { pages: 1.., .. } => Some(match own_file {
                Some(Affected { name: Some(name), .. }) => {
                    format!(
                        "its pages can come from a peer: start the node, `forever get {}`, and put it again",
                        quoted(name)
                    )
                }
                Some(_) | None => of_others("put it again"),
            }),
            Problem::Incomplete { .. } => Some(match own_file {
                Some(Affected { name: Some(name), place }) => format!(
                    "a peer that has it gives it back: start the node, then `forever get {} --version {}`",
                    quoted(name),
                    place.version
                ),
                Some(_) | None => of_others("put the same content again"),
            }),
            Problem::Record { .. } => {
                let lost = if own_file.is_some() {
                    "a peer that has it gives it back: start the node, then `forever restore`"
                } else {
                    "other nodes that hold it keep it"
                };
                let first = if open { format!("{REPAIR}moves it to quarantine; ") } else { String::new() };
                Some(first + lost)
            }
            Problem::Blob { fault: BlobFault::Unreadable(_), .. } | Problem::Unlistable { .. } => {
                Some("check the disk: copy the data folder to a sound one, then check again".to_owned())
            }
            Problem::Blob { .. } | Problem::Page { .. } => open.then(|| format!("{REPAIR}moves it to quarantine")),
            Problem::References { .. } | Problem::WrongCounters { .. } => open.then(|| format!("{REPAIR}corrects it")),
            Problem::Orphan { .. } | Problem::Temp { .. } => open.then(|| format!("{REPAIR}removes it")),
            Problem::Unclean => open.then(|| "the next start removes what it left".to_owned()),
            Problem::Doubtful => open.then(|| "the next start writes the index anew; check the disk".to_owned()),
            Problem::Unknown { .. } => Some("use a newer forever; it was left alone".to_owned()),
            Problem::Foreign { .. } => Some("it was left alone; remove it yourself if you know it".to_owned()),
            Problem::Quarantined { .. } => Some("remove it when you need it no more".to_owned()),
        }
    }
}

/// A name as a shell takes it.
fn quoted(name: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    if name.chars().all(is_plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

fn of_others(what: &str) -> String {
    format!("it is another owner's: the other nodes that hold it have it, and its owner can {what}")
}
