//! Rule: canary words, which are in every name and every content, and every secret never appear in a frame before the
//! channel's encryption, nor on any disk. (Names and contents are sealed on the owner's disk, too.)
//!
//! Disks are searched whenever their node goes down, when the cluster is healed, and at the end; then for keys of chunks that
//! were put, too. No tier keeps secrets in files: that they are in files of their own, for their owner alone to read, is
//! tested with the real node, in `net-tokio/tests/e2e/folders.rs`.

use std::time::Duration;

use aho_corasick::{AhoCorasick, MatchKind};
use forever_core::bulk::PlainChunk;
use forever_core::seal::seal_chunk;

use super::super::names::CANARY;
use super::super::{Content, Event, OpKind, View};
use super::Rule;

/// The rule in a sentence.
pub const RULE: &str = "no name, content or secret is in a frame or on a disk in the clear";

/// Of so many puts at most the key of the first chunk is searched for.
const CHUNK_KEYS_MAX: usize = 64;

/// The oracle.
#[derive(Default)]
pub(crate) struct Confidentiality {
    words: Option<Words>,
    /// What was put, and at which node.
    puts: Vec<(usize, Content)>,
}

/// What must not be seen.
struct Words {
    finder: AhoCorasick,
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
        // Many times faster than what finds all of them.
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(&patterns);
        Self { finder: finder.expect("a few dozen short words make a small automaton"), names }
    }

    /// What is seen in some bytes, if anything is.
    fn seen(&self, bytes: &[u8]) -> Option<&str> {
        let found = self.finder.find(bytes)?;
        self.names.get(found.pattern().as_usize()).map(String::as_str)
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

impl Rule for Confidentiality {
    fn name(&self) -> &'static str {
        "confidentiality"
    }

    fn observe(&mut self, _at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        let words = self.words.get_or_insert_with(|| Words::new(view, Vec::new()));
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
        let words = Words::new(view, chunk_keys(view, &self.puts));
        (0..view.scenario().nodes.len()).try_for_each(|node| words.check_disk(node, view))
    }
}

#[cfg(test)]
mod tests;
