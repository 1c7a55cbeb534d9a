//! Rule: canary words, which are in every name and every content, and every secret never appear in a frame before the
//! channel's encryption, nor on any disk. (Names and contents are sealed on the owner's disk, too.)
//!
//! A file whose name ends in `.key` may hold a secret, since that is what it is for; no file may hold a canary word.

use std::time::Duration;

use aho_corasick::{AhoCorasick, MatchKind};

use super::super::names::CANARY;
use super::super::{Event, View};
use super::Rule;

/// The rule in a sentence.
pub const RULE: &str = "no name, content or secret is in a frame or on a disk in the clear";

/// The oracle.
#[derive(Default)]
pub(crate) struct Confidentiality {
    words: Option<Words>,
}

/// What must not be seen.
struct Words {
    finder: AhoCorasick,
    /// Finds whether there is anything to find, many times faster: nearly always there is not.
    quick: AhoCorasick,
    /// What each is; the canary word is the first.
    names: Vec<String>,
}

impl Words {
    fn new(view: &dyn View) -> Self {
        let mut names = vec!["a canary word of names and contents".to_string()];
        let mut patterns = vec![CANARY.to_vec()];
        for (name, secret) in view.secrets() {
            names.push(name);
            patterns.push(secret);
        }
        let finder = AhoCorasick::new(&patterns).expect("a few dozen short words make a small automaton");
        let quick = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(&patterns);
        let quick = quick.expect("the same words make another small automaton");
        Self { finder, quick, names }
    }

    /// What is seen in some bytes, if anything is.
    fn seen(&self, bytes: &[u8], may_hold_secrets: bool) -> Option<&str> {
        if !self.quick.is_match(bytes) {
            return None;
        }
        let mut found = self.finder.find_overlapping_iter(bytes).map(|found| found.pattern().as_usize());
        let index = found.find(|index| *index == 0 || !may_hold_secrets)?;
        self.names.get(index).map(String::as_str)
    }
}

impl Rule for Confidentiality {
    fn name(&self) -> &'static str {
        "confidentiality"
    }

    fn observe(&mut self, _at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        let Event::Frame { from, to, bytes } = event else { return Ok(()) };
        let words = self.words.get_or_insert_with(|| Words::new(view));
        match words.seen(bytes, false) {
            None => Ok(()),
            Some(what) => Err(format!("a frame from node {from} to node {to} holds {what}")),
        }
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        let words = self.words.get_or_insert_with(|| Words::new(view));
        for node in 0..view.scenario().nodes.len() {
            let mut seen = None;
            view.each_stored(node, &mut |place, bytes| {
                if seen.is_none() {
                    let what = words.seen(bytes, place.ends_with(".key"));
                    seen = what.map(|what| format!("the disk of node {node} holds {what} at {place}"));
                }
            });
            if let Some(what) = seen {
                return Err(what);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
