//! Rule: canary words, which are in every name and every content, and every secret never appear in a frame before the
//! channel's encryption, nor on any disk. (Names and contents are sealed on the owner's disk, too.) Secrets are the cluster's key,
//! the nodes', the owners' with all that is derived from them, and the keys of chunks and manifest pages. And a stranger, who does
//! not know the cluster's key, gets no byte from a node.
//!
//! Frames are searched for the keys of pages that tickets hold; disks, whenever their node goes down, when the cluster is healed, and at
//! the end; then for keys of chunks that were put and of pages that lie on them, too. No tier keeps secrets in files: that they are in
//! files of their own, for their owner alone to read, is tested with the real node, in `net-tokio/tests/e2e/folders.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use forever_core::bulk::PlainChunk;
use forever_core::manifest::{PageContext, open_root_page};
use forever_core::record::RecordBody;
use forever_core::seal::seal_chunk;

use super::super::names::CANARY;
use super::super::{Content, Event, OpKind, OpResult, View};
use super::Rule;
use finder::Finder;

mod finder;

/// The rule in a sentence.
pub const RULE: &str = "no name, content or secret is in a frame or on a disk in the clear, and strangers get no byte";

/// Of so many puts at most the key of the first chunk is searched for.
const CHUNK_KEYS_MAX: usize = 64;

/// The keys of so many pages at most are searched for.
const PAGE_KEYS_MAX: usize = 64;

/// The keys of so many tickets at most are searched for in frames: a search for few words is many times faster.
const TICKETS_MAX: usize = 8;

/// The oracle.
#[derive(Default)]
pub(crate) struct Confidentiality {
    words: Option<Words>,
    /// What was put, and at which node.
    puts: Vec<(usize, Content)>,
    /// The keys that tickets hold, with what each is.
    tickets: Vec<(String, Vec<u8>)>,
}

/// What must not be seen.
struct Words {
    finder: Finder,
    /// What each is; the canary word is the first.
    names: Vec<String>,
}

impl Words {
    /// Canary words, the secrets of all nodes, and others.
    fn new(view: &dyn View, others: Vec<(String, Vec<u8>)>) -> Self {
        let mut names = vec!["a canary word of names and contents".to_string()];
        let mut patterns = vec![CANARY.to_vec()];
        for (name, secret) in view.secrets().into_iter().chain(others) {
            names.push(name);
            patterns.push(secret);
        }
        Self { finder: Finder::new(patterns), names }
    }

    /// What is seen in some bytes, if anything is.
    fn seen(&self, bytes: &[u8]) -> Option<&str> {
        self.finder.find(bytes).map(|number| self.names[number].as_str())
    }

    /// Searches a disk.
    fn check_disk(&self, node: usize, view: &mut dyn View) -> Result<(), String> {
        let mut seen = None;
        view.each_stored(node, &mut |place, bytes| {
            if seen.is_none() {
                let what = self.seen(bytes);
                seen = what.map(|what| format!("the disk of node {node} holds {what} at {place}"));
            }
        });
        seen.map_or(Ok(()), Err)
    }
}

/// The keys of some chunks that were put.
fn chunk_keys(view: &dyn View, puts: &[(usize, Content)]) -> Vec<(String, Vec<u8>)> {
    let chunk_size = view.scenario().config.chunk_size as usize;
    let key = |(node, content): &(usize, Content)| {
        let mut plain = PlainChunk::with_capacity(chunk_size);
        plain.extend(content.bytes().chunks(chunk_size).next()?);
        let sealed = seal_chunk(view.keys(*node), plain);
        Some((format!("the key of a chunk that was put at node {node}"), sealed.key.expose().to_vec()))
    };
    puts.iter().filter_map(key).collect()
}

/// The keys of manifest pages that lie on the disks of their owners' nodes.
fn page_keys(view: &mut dyn View) -> Vec<(String, Vec<u8>)> {
    let mut keys = BTreeMap::new();
    for node in 0..view.scenario().nodes.len() {
        let contents = view.contents(node);
        let rows: BTreeMap<_, _> = contents.rows.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let owner = view.keys(node);
        for record in contents.records.iter().map(|held| &held.record.record) {
            let RecordBody::File { root, .. } = record.body else { continue };
            let page = rows.get([&b"P"[..], &record.owner.0, &root.0].concat().as_slice());
            let context = PageContext { owner: record.owner, name_id: record.name_id, version: record.version };
            if record.owner == owner.owner_id()
                && keys.len() < PAGE_KEYS_MAX
                && let Some(Ok(opened)) = page.map(|page| open_root_page(owner, &context, page))
            {
                keys.insert(root, opened.key.expose().to_vec());
            }
        }
    }
    keys.into_values().map(|key| ("the key of a page of a manifest".to_string(), key)).collect()
}

impl Rule for Confidentiality {
    fn name(&self) -> &'static str {
        "confidentiality"
    }

    fn observe(&mut self, _at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        let tickets = self.tickets.iter().take(TICKETS_MAX);
        let words = self.words.get_or_insert_with(|| Words::new(view, tickets.cloned().collect()));
        match event {
            Event::Frame { from, to, bytes, .. } => match words.seen(bytes) {
                None => Ok(()),
                Some(what) => Err(format!("a frame from node {from} to node {to} holds {what}")),
            },
            Event::Down { node } => words.check_disk(*node, view),
            Event::Healed => (0..view.scenario().nodes.len()).try_for_each(|node| words.check_disk(node, view)),
            Event::Started { what, .. } => {
                if let OpKind::Put { content, .. } = &what.what
                    && self.puts.len() < CHUNK_KEYS_MAX
                {
                    self.puts.push((what.node, *content));
                }
                Ok(())
            }
            Event::Ended { op, result: OpResult::Shared(share) } => {
                if let Ok(ticket) = share.ticket.verify() {
                    let what = format!("the key in the ticket that operation {op} made");
                    self.tickets.push((what, ticket.root_key.expose().to_vec()));
                    if self.tickets.len() <= TICKETS_MAX {
                        self.words = None;
                    }
                }
                Ok(())
            }
            Event::Told { node, bytes } => {
                Err(format!("node {node} sends a stranger, who does not know the cluster key, {} bytes", bytes.len()))
            }
            Event::Delivered { .. }
            | Event::Ended { .. }
            | Event::Up { .. }
            | Event::Bit { .. }
            | Event::Lost { .. }
            | Event::Heard { .. }
            | Event::Probe { .. } => Ok(()),
        }
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        let of_pages = page_keys(view);
        let others = chunk_keys(view, &self.puts).into_iter().chain(of_pages).chain(self.tickets.iter().cloned());
        let words = Words::new(view, others.collect());
        (0..view.scenario().nodes.len()).try_for_each(|node| words.check_disk(node, view))
    }
}

#[cfg(test)]
mod tests;
