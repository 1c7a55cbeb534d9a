//! Serving of wants: objects that peers ask for, in turn and under the link's credit.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::bulk::Bulk;
use crate::disk::{CACHE_OWNER, DiskDone, DiskError, DiskOp, DiskResult};
use crate::frame::{DATA_LEN_MAX, Frame, WANTS_MAX};
use crate::ids::{BlobKey, LinkId, ObjectId, ObjectKey};
use crate::node::context::Context;
use crate::node::pending::Pending;
use crate::node::{answers, links, schema};
use crate::{buggify, planted, sometimes};

/// Objects of one link in memory or being read from the disk.
pub(crate) const LOADED_MAX: usize = 4;

/// A want of a peer.
#[derive(Debug)]
struct Served {
    lane: u64,
    object: ObjectKey,
    len: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Queued,
    Loading,
    Loaded { data: Bytes, offset: usize },
}

/// The wants of one link.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    wants: BTreeMap<u64, Served>,
    /// The wants of each lane, in order.
    lanes: BTreeMap<u64, VecDeque<u64>>,
    /// The lane served last.
    last_lane: u64,
    /// Wants whose objects are loaded or loading.
    loaded: BTreeSet<u64>,
    /// Reads of the disk under way, those of wants that were taken back included.
    reading: usize,
    /// Data bytes handed to the driver and not yet on the wire.
    in_flight: u32,
}

impl Serving {
    /// How many wants the peer has open.
    pub(crate) fn wants(&self) -> usize {
        self.wants.len()
    }

    /// How many objects are loaded, or how many reads are under way, whichever is more.
    pub(crate) fn reads(&self) -> usize {
        self.loaded.len().max(self.reading)
    }

    /// Data bytes handed to the driver and not yet on the wire.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    fn remove(&mut self, want: u64) -> Option<Served> {
        let served = self.wants.remove(&want)?;
        self.loaded.remove(&want);
        if let Some(lane) = self.lanes.get_mut(&served.lane) {
            lane.retain(|other| *other != want);
            if lane.is_empty() {
                self.lanes.remove(&served.lane);
            }
        }
        Some(served)
    }

    /// The next lane in turn whose first want is loaded, and that want.
    fn next_loaded(&self) -> Option<(u64, u64)> {
        let ready = |(lane, wants): (&u64, &VecDeque<u64>)| {
            let want = *wants.front()?;
            matches!(self.wants.get(&want)?.state, State::Loaded { .. }).then_some((*lane, want))
        };
        let later = self.lanes.range(self.last_lane.saturating_add(1)..);
        later.chain(self.lanes.range(..=self.last_lane)).find_map(ready)
    }

    /// The next want to load: the first of each lane in turn, then the second, ...
    fn next_to_load(&self) -> Option<u64> {
        let queued = |want: &u64| self.wants.get(want).is_some_and(|served| matches!(served.state, State::Queued));
        (0..LOADED_MAX).find_map(|depth| self.lanes.values().filter_map(|lane| lane.get(depth)).copied().find(queued))
    }
}

/// A peer wants an object.
pub(crate) fn on_want(cx: &mut Context, link_id: LinkId, want: u64, lane: u64, object: ObjectKey, len: u32) {
    let Some(link) = cx.links.get_mut(link_id) else { return };
    let serving = &mut link.serving;
    if serving.wants.len() >= WANTS_MAX || serving.wants.contains_key(&want) || len == 0 {
        return links::offend(cx, link_id);
    }
    if object.owner == CACHE_OWNER {
        // What was read here is nobody else's business.
        return cx.send(link_id, Frame::Unavailable { want });
    }
    serving.wants.insert(want, Served { lane, object, len, state: State::Queued });
    serving.lanes.entry(lane).or_default().push_back(want);
    pump(cx, link_id);
}

/// A peer takes a want back.
pub(crate) fn on_unwant(cx: &mut Context, link_id: LinkId, want: u64) {
    if let Some(link) = cx.links.get_mut(link_id) {
        link.serving.remove(want);
        pump(cx, link_id);
    }
}

/// Data bytes have left for the wire.
pub(crate) fn on_sent(cx: &mut Context, link_id: LinkId, bytes: u32) {
    if let Some(link) = cx.links.get_mut(link_id) {
        link.sent_bytes += u64::from(bytes);
        if link.serving.wants.is_empty() && planted!(cx.simulation, CreditLeak) {
            return;
        }
        link.serving.in_flight = link.serving.in_flight.saturating_sub(bytes);
        pump(cx, link_id);
    }
}

fn read(cx: &mut Context, link_id: LinkId, want: u64, object: ObjectKey, what: DiskOp) {
    if let Some(link) = cx.links.get_mut(link_id) {
        link.serving.reading += 1;
    }
    cx.disk(what, Pending::Serve { link: link_id, want, object });
}

/// An object was read.
pub(crate) fn on_loaded(cx: &mut Context, link_id: LinkId, want: u64, object: ObjectKey, result: DiskResult) {
    if let Some(link) = cx.links.get_mut(link_id) {
        link.serving.reading -= 1;
    }
    if let (Err(DiskError::Corrupt), ObjectId::Chunk(chunk)) = (&result, object.id) {
        sometimes!(cx.simulation, "serve.damaged-blob");
        answers::note_damage(cx, BlobKey { owner: object.owner, chunk });
    }
    let data = match result {
        Ok(DiskDone::Blob(blob)) => Some(blob),
        Ok(DiskDone::Values(mut values)) => values.pop().flatten(),
        Ok(_) | Err(_) => None,
    };
    loaded(cx, link_id, want, data);
    pump(cx, link_id);
}

fn loaded(cx: &mut Context, link_id: LinkId, want: u64, data: Option<Bytes>) {
    let Some(link) = cx.links.get_mut(link_id) else { return };
    let Some(served) = link.serving.wants.get_mut(&want) else { return };
    match data {
        Some(data) if data.len() == served.len as usize => served.state = State::Loaded { data, offset: 0 },
        Some(_) | None => {
            link.serving.remove(want);
            cx.send(link_id, Frame::Unavailable { want });
        }
    }
}

/// Loads and sends as much as the credit allows.
fn pump(cx: &mut Context, link_id: LinkId) {
    load_ahead(cx, link_id);
    let window = cx.config.link_window_bytes;
    while let Some(link) = cx.links.get_mut(link_id) {
        if link.serving.in_flight >= window {
            break;
        }
        let Some((lane, want)) = link.serving.next_loaded() else { break };
        link.serving.last_lane = lane;
        let Some(Served { state: State::Loaded { data, offset }, .. }) = link.serving.wants.get_mut(&want) else {
            break;
        };
        let most = if buggify!(cx.simulation, "serve.small-pieces") { 1_000 } else { DATA_LEN_MAX };
        let end = data.len().min(*offset + most);
        let payload = data.slice(*offset..end);
        let start = u32::try_from(*offset).expect("an object is at most as long as its want says, which is a u32");
        *offset = end;
        let finished = end == data.len();
        link.serving.in_flight += u32::try_from(payload.len()).expect("a payload is at most DATA_LEN_MAX");
        if finished {
            link.serving.remove(want);
        }
        cx.send(link_id, Frame::Data { want, offset: start, payload: Bulk::from(payload) });
        if finished {
            load_ahead(cx, link_id);
        }
    }
}

fn load_ahead(cx: &mut Context, link_id: LinkId) {
    loop {
        let Some(link) = cx.links.get_mut(link_id) else { return };
        if link.serving.loaded.len().max(link.serving.reading) >= LOADED_MAX {
            return;
        }
        let Some(want) = link.serving.next_to_load() else { return };
        link.serving.loaded.insert(want);
        let Some(served) = link.serving.wants.get_mut(&want) else { return };
        served.state = State::Loading;
        let object = served.object;
        let ObjectKey { owner, id } = object;
        match id {
            ObjectId::Chunk(chunk) => {
                let blob = BlobKey { owner, chunk };
                let miss = buggify!(cx.simulation, "serve.hot-miss");
                let hot = if miss { cx.hot.get_written(&blob) } else { cx.hot.get(&blob) };
                match hot {
                    Some(data) => loaded(cx, link_id, want, Some(data)),
                    None => read(cx, link_id, want, object, DiskOp::ReadBlob { blob }),
                }
            }
            ObjectId::Page(page) => {
                let keys = alloc::vec![schema::page_key(owner, page)];
                read(cx, link_id, want, object, DiskOp::Lookup { keys });
            }
        }
    }
}
