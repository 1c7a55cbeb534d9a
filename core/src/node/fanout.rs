//! The uploads of a put: to each target its own cursor over the file's chunks.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use core::time::Duration;

use bytes::Bytes;

use crate::buggify;
use crate::frame::{Frame, OFFER_CHUNKS_MAX, Refusal};
use crate::ids::{ChunkId, LinkId, NodeId, RequestId};
use crate::intent::{SignedIntent, UploadIntent};
use crate::manifest::ChunkRef;
use crate::node::context::Context;
use crate::node::signal::OfferReply;
use crate::node::targets::Targets;
use crate::secrets::ChunkKey;
use crate::time::Monotonic;

/// Chunks offered to one target and not yet answered.
const OFFERED_MAX: usize = 32;

/// How long an upload's intent is good for, in milliseconds.
const INTENT_MS: u64 = 24 * 3_600 * 1_000;

/// The longest file whose length is not known beforehand, in bytes: what an intent then allows.
const BYTES_MAX: u64 = 1 << 44;

/// A target.
#[derive(Debug)]
struct Target {
    link: LinkId,
    upload: u64,
    /// The next chunk to offer.
    next: usize,
    /// Chunks offered and not yet answered, with their lengths.
    offered: BTreeMap<ChunkId, u32>,
    last_progress: Monotonic,
    /// It came later than the first chunks, and has not caught up.
    late: bool,
    /// It has owed an answer for too long.
    stalled: bool,
    refused: Option<Refusal>,
}

impl Target {
    fn completed(&self) -> usize {
        self.next - self.offered.len()
    }

    fn waited_for(&self) -> bool {
        !self.late && !self.stalled && self.refused.is_none()
    }
}

/// All uploads of a put.
#[derive(Debug)]
pub(crate) struct Fanout {
    request: RequestId,
    places: Targets,
    bytes_max: u64,
    /// The owner's leave to upload from this node, with the end of its life: one for all targets, since they check the same.
    intent: Option<(u64, Bytes)>,
    targets: BTreeMap<NodeId, Target>,
    /// The most chunks that each target was ever known to have: what it says again over a new link is no progress.
    furthest: BTreeMap<NodeId, usize>,
    sent_bytes: u64,
}

impl Fanout {
    pub(crate) fn new(cx: &Context, request: RequestId, places: Targets, len: Option<u64>) -> Self {
        // Every chunk carries an IV, and a chunk may be offered again over a new link.
        let chunks = |len: u64| len / u64::from(cx.config.chunk_size) + 1;
        let bytes_max = len.map_or(BYTES_MAX, |len| len.saturating_add(chunks(len).saturating_mul(16)).min(BYTES_MAX));
        let (targets, furthest) = (BTreeMap::new(), BTreeMap::new());
        Self { request, places, bytes_max, intent: None, targets, furthest, sent_bytes: 0 }
    }

    /// Opens uploads to all who are to have the file and have none. Latecomers are not waited for: they have all chunks to
    /// catch up on.
    pub(crate) fn recruit(&mut self, cx: &mut Context, late: bool) {
        for node in self.places.pick(cx, &BTreeSet::new()) {
            if !self.targets.contains_key(&node) {
                self.add(cx, node, late);
            }
        }
    }

    fn add(&mut self, cx: &mut Context, node: NodeId, late: bool) {
        let Some(link) = cx.links.of(node) else { return };
        let upload = cx.number();
        let intent = self.intent(cx);
        cx.send(link, Frame::OpenUpload { upload, intent });
        cx.upload_owners.insert((link, upload), self.request);
        let last_progress = cx.now.mono;
        let (offered, refused) = (BTreeMap::new(), None);
        let target = Target { link, upload, next: 0, offered, last_progress, late, stalled: false, refused };
        self.targets.insert(node, target);
    }

    /// The intent to show, signed anew when half of its life is over.
    fn intent(&mut self, cx: &Context) -> Bytes {
        if let Some((expires_ms, signed)) = &self.intent
            && cx.now.wall_ms + INTENT_MS / 2 < *expires_ms
        {
            return signed.clone();
        }
        let expires_ms = cx.now.wall_ms + INTENT_MS;
        let intent = UploadIntent { owner: cx.owner, node: cx.me, expires_ms, bytes_max: self.bytes_max };
        let SignedIntent(signed) = SignedIntent::sign(&cx.keys, &intent);
        self.intent = Some((expires_ms, signed.clone()));
        signed
    }

    /// A peer can be talked to.
    pub(crate) fn on_peer_ready(&mut self, cx: &mut Context, node: NodeId) {
        self.places.on_ready(node);
        self.recruit(cx, true);
    }

    /// A peer that was to come does not.
    pub(crate) fn on_unreachable(&mut self, cx: &mut Context, node: NodeId) {
        self.places.fail(node);
        self.recruit(cx, true);
    }

    /// A peer is gone.
    pub(crate) fn on_peer_gone(&mut self, cx: &mut Context, node: NodeId) {
        self.forget(cx, node);
        self.recruit(cx, true);
    }

    /// A peer is gone, after all chunks have been offered.
    pub(crate) fn forget(&mut self, cx: &mut Context, node: NodeId) {
        if let Some(target) = self.targets.remove(&node) {
            cx.upload_owners.remove(&(target.link, target.upload));
        }
    }

    /// Offers sealed chunks to every target that has room.
    pub(crate) fn offer(&mut self, cx: &mut Context, sealed: &[Option<(ChunkRef, ChunkKey)>]) {
        for target in self.targets.values_mut().filter(|target| target.refused.is_none()) {
            let mut chunks = alloc::vec::Vec::new();
            let most = if buggify!(cx.simulation, "fanout.offer-of-one") { 1 } else { OFFER_CHUNKS_MAX };
            while target.next < sealed.len() && target.offered.len() < OFFERED_MAX && chunks.len() < most {
                let Some((chunk, _)) = &sealed[target.next] else { break };
                if target.offered.contains_key(&chunk.id) {
                    // The file repeats itself: the answer to the first offer must come before the next.
                    break;
                }
                target.offered.insert(chunk.id, chunk.len);
                chunks.push(*chunk);
                target.next += 1;
            }
            if !chunks.is_empty() {
                if target.offered.len() == chunks.len() {
                    target.last_progress = cx.now.mono;
                }
                cx.send(target.link, Frame::Offer { upload: target.upload, chunks });
            }
        }
    }

    /// A target answered. Returns whether it has more chunks than it ever had.
    pub(crate) fn on_reply(&mut self, cx: &mut Context, node: NodeId, reply: OfferReply) -> bool {
        let Some(target) = self.targets.get_mut(&node) else { return false };
        target.last_progress = cx.now.mono;
        match reply {
            OfferReply::Stored { held, fetched } => {
                for chunk in held {
                    target.offered.remove(&chunk);
                }
                for chunk in fetched {
                    if let Some(len) = target.offered.remove(&chunk) {
                        self.sent_bytes += u64::from(len);
                    }
                }
                let owes_nothing = target.offered.is_empty();
                target.late &= !owes_nothing;
                target.stalled &= !owes_nothing;
                if !target.stalled {
                    self.places.on_progress(node);
                }
            }
            OfferReply::Refused(reason) => target.refused = Some(reason),
        }
        let furthest = self.furthest.entry(node).or_default();
        let before = core::mem::replace(furthest, target.completed().max(*furthest));
        let has_more = *furthest > before;
        if target.refused.is_some() {
            self.places.fail(node);
            self.recruit(cx, true);
        }
        has_more
    }

    /// Targets that owe an answer for too long are no longer waited for, nor are nodes that do not come.
    pub(crate) fn lose_patience(&mut self, cx: &mut Context, patience: Duration) {
        let now = cx.now.mono;
        for (node, target) in &mut self.targets {
            let is_stalled = !target.offered.is_empty() && now - target.last_progress >= patience;
            if is_stalled && !core::mem::replace(&mut target.stalled, true) {
                self.places.fail(*node);
            }
        }
        self.places.lose_patience(now, patience);
        self.recruit(cx, true);
    }

    /// How many of the first chunks every target that is waited for has.
    pub(crate) fn completed(&self) -> usize {
        self.targets.values().filter(|target| target.waited_for()).map(Target::completed).min().unwrap_or(usize::MAX)
    }

    /// The targets that have all of `chunks` chunks.
    pub(crate) fn having(&self, chunks: usize) -> BTreeSet<NodeId> {
        let has = |target: &Target| target.completed() >= chunks && target.refused.is_none();
        self.targets.iter().filter(|(_, target)| has(target)).map(|(node, _)| *node).collect()
    }

    /// Whether every target refused, and no other is to come.
    pub(crate) fn hopeless(&self) -> bool {
        let refused = self.targets.values().all(|target| target.refused.is_some());
        !self.targets.is_empty() && refused && !self.places.is_coming()
    }

    pub(crate) fn has_targets(&self) -> bool {
        !self.targets.is_empty()
    }

    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Why targets refused, for people.
    pub(crate) fn refusals(&self) -> String {
        let mut text = String::new();
        for (node, target) in &self.targets {
            let why = match target.refused {
                Some(Refusal::Full) => "its disk is full",
                Some(Refusal::Disk) => "its disk failed",
                Some(Refusal::Unauthorised) => "it did not accept this owner's signature or clock",
                Some(Refusal::Busy) => "it is busy",
                Some(Refusal::Unavailable | Refusal::Invalid) => "it could not fetch the chunks",
                None if target.late || target.stalled => "it does not answer",
                None => continue,
            };
            text.push_str(&alloc::format!("node {node}: {why}; "));
        }
        text
    }

    /// Ends all uploads.
    pub(crate) fn close(&mut self, cx: &mut Context) {
        for target in self.targets.values() {
            cx.upload_owners.remove(&(target.link, target.upload));
            cx.send(target.link, Frame::CloseUpload { upload: target.upload });
        }
        self.targets.clear();
    }
}
