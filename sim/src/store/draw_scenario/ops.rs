//! What callers do in a scenario.

use forever_core::config::Config;
use forever_core::manifest::PAGE_ENTRIES_MAX;

use super::super::client::SLOW_PIECES_MAX;
use super::super::names::FOLDERS;
use super::super::{Content, Family, Fault, Length, NodeSpec, Op, OpKind, Part, Range, Reader, Said, Shape};
use super::departures::{Departures, Setting};
use crate::draw::{Draw, Draws, Site};
use crate::system::{Spanned, Timed};

const COUNT: Site = Site::new("ops.count");
const FILES: Site = Site::new("ops.files");
const MASK: Site = Site::new("ops.mask");
const OP: Site = Site::new("ops.op");
const CONTENT: Site = Site::new("ops.content");
const POOL: Site = Site::new("ops.pool");
const ECHO: Site = Site::new("ops.echo");
const WANTED_AGAIN: Site = Site::new("ops.wanted-again");
const RESTORE: Site = Site::new("ops.restore");
const RANGE: Site = Site::new("ops.range");
const READER: Site = Site::new("ops.reader");
const PACE: Site = Site::new("ops.pace");
const SAID: Site = Site::new("ops.said");
const PART: Site = Site::new("ops.part");
const SCRUB: Site = Site::new("ops.scrub");
const FSCK: Site = Site::new("ops.fsck");
const SHARE: Site = Site::new("ops.share");
const REDEEM: Site = Site::new("ops.redeem");
const UNDELETE: Site = Site::new("ops.undelete");
const LONG: Site = Site::new("ops.long");
const PAGES: Site = Site::new("ops.pages");

/// Contents that several puts share, whoever's they are.
const POOL_LEN: u64 = 4;

/// A file whose manifest takes more than one page is put only if its chunks are as small as this, in bytes, ...
const PAGED_CHUNK_SIZE: u32 = 64;

/// ... and if so many of them may be under way at once, so that it does not take all the time that there is.
const PAGED_WINDOW: u32 = 4;

/// So many of a thousand steps of a clock come in the middle of a long put.
const LONG_PUT_PER_MILLE: u64 = 150;

/// The first operations come when the first links may stand.
const FIRST_MS: u64 = 300;

/// A kind of operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Put,
    Get,
    Delete,
    List,
    Stat,
    Versions,
    Evict,
    Restore,
    Share,
}

/// Kinds that a seed may leave out, with their weights. Puts and gets are always there.
const MASKED: [(Kind, u32); 7] = [
    (Kind::Delete, 80),
    (Kind::List, 50),
    (Kind::Stat, 60),
    (Kind::Versions, 50),
    (Kind::Evict, 40),
    (Kind::Restore, 12),
    (Kind::Share, 26),
];

/// What all operations of a seed have in common.
struct Alphabet {
    kinds: Vec<Kind>,
    files: u64,
    nodes: usize,
    chunk_size: u32,
    chunks_max: u32,
    file_bytes_max: u32,
}

/// Draws the operations, in order of time.
pub(super) fn draw(
    draws: Draws,
    of: &Setting<'_>,
    config: &Config,
    faults: &[Spanned<Fault>],
    departures: Departures,
) -> Vec<Timed<Op>> {
    let Setting { shape, nodes, families, .. } = *of;
    let count = draws.at(COUNT, 0, 0).between(u64::from(shape.ops.0), u64::from(shape.ops.1));
    let files = draws.at(FILES, 0, 0).between(u64::from(shape.files.0), u64::from(shape.files.1));
    let mut kinds = vec![Kind::Put; 340];
    kinds.extend([Kind::Get; 340]);
    for (number, (kind, weight)) in MASKED.into_iter().enumerate() {
        // A lost disk is brought back by a restore, so that one stays where disks may be lost.
        let needed = kind == Kind::Restore && families.contains(&Family::Process);
        if needed || draws.at(MASK, number as u64, 0).per_mille(700) {
            kinds.extend((0..weight).map(|_| kind));
        }
    }
    let alphabet = Alphabet {
        kinds,
        files,
        nodes: nodes.len(),
        chunk_size: config.chunk_size,
        chunks_max: shape.chunks_max,
        file_bytes_max: shape.file_bytes_max,
    };
    let mut ops: Vec<(u64, Op)> = (0..count)
        .map(|nth| {
            let mut draw = draws.at(OP, 0, nth);
            let at_us = 1_000 * draw.between(FIRST_MS, shape.duration_ms - 1);
            (at_us, alphabet.op(draws, &mut draw, nth))
        })
        .collect();
    ops.extend(echoes(draws, nodes, &ops));
    ops.extend(reads_of_evicted(draws, &ops));
    ops.extend(redeems(draws, nodes, &ops));
    ops.extend(undeletes(draws, nodes, &ops));
    ops.extend(restores(draws, faults));
    ops.extend(puts_across_clock_steps(draws, faults, &alphabet));
    ops.extend(scrubs(draws, shape, nodes.len()));
    ops.extend(paged(draws, nodes, config, families, alphabet.files));
    ops.extend(checks(draws, shape, nodes.len()));
    departures.change(nodes, &mut ops);
    ops.retain(|(at_us, _)| *at_us < shape.duration_ms * 1_000);
    ops.sort_by_key(|(at_us, _)| *at_us);
    ops.into_iter().enumerate().map(|(id, (at_us, what))| Timed { id, at_us, what }).collect()
}

/// Some operations are done twice at almost the same time, by two devices of one owner if it has two.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others come twice equally often")]
fn echoes(draws: Draws, nodes: &[NodeSpec], ops: &[(u64, Op)]) -> Vec<(u64, Op)> {
    let mut echoes = Vec::new();
    for ((at_us, op), nth) in ops.iter().zip(0..) {
        let mut draw = draws.at(ECHO, 0, nth);
        // Whoever makes room on one device often does so on the other; a ticket is made once.
        let per_mille = match op.what {
            OpKind::Evict { .. } => 300,
            OpKind::Share { .. } => 0,
            _ => 80,
        };
        if draw.per_mille(per_mille) {
            let of_owner = |other: &usize| nodes[*other].owner == nodes[op.node].owner && *other != op.node;
            let twins: Vec<usize> = (0..nodes.len()).filter(of_owner).collect();
            let node = if twins.is_empty() { draw.index(nodes.len()) } else { *draw.pick(&twins) };
            echoes.push((at_us + draw.between(0, 20_000), Op { node, what: op.what.clone() }));
        }
    }
    echoes
}

/// What was evicted is often wanted again soon: a read that can only come from peers.
fn reads_of_evicted(draws: Draws, ops: &[(u64, Op)]) -> Vec<(u64, Op)> {
    let mut reads = Vec::new();
    for ((at_us, op), nth) in ops.iter().zip(0..) {
        let OpKind::Evict { file } = op.what else { continue };
        let mut draw = draws.at(WANTED_AGAIN, 0, nth);
        if draw.per_mille(600) {
            let read_at_us = at_us + draw.between(200_000, 2_000_000);
            reads.push((read_at_us, Op { node: op.node, what: OpKind::get(file) }));
        }
    }
    reads
}

/// In most scenarios some of what was deleted is wanted back: on the same node, or on another device of its owner.
fn undeletes(draws: Draws, nodes: &[NodeSpec], ops: &[(u64, Op)]) -> Vec<(u64, Op)> {
    let mut undeletes = Vec::new();
    if !draws.at(UNDELETE, 1, 0).per_mille(700) {
        return undeletes;
    }
    for ((at_us, op), nth) in ops.iter().zip(0..) {
        let OpKind::Delete { file } = op.what else { continue };
        let mut draw = draws.at(UNDELETE, 0, nth);
        if draw.per_mille(500) {
            let of_owner = |other: &usize| nodes[*other].owner == nodes[op.node].owner;
            let devices: Vec<usize> = (0..nodes.len()).filter(of_owner).collect();
            let node = if draw.per_mille(700) { op.node } else { *draw.pick(&devices) };
            let after_us = draw.between(50_000, 8_000_000);
            undeletes.push((at_us + after_us, Op { node, what: OpKind::Undelete { file } }));
        }
    }
    undeletes
}

/// What a ticket opens is read on other nodes, mostly another owner's: soon, and again later, when it may be void. On their way some
/// tickets are changed.
fn redeems(draws: Draws, nodes: &[NodeSpec], ops: &[(u64, Op)]) -> Vec<(u64, Op)> {
    let mut redeems = Vec::new();
    for (at_us, op) in ops {
        let OpKind::Share { ticket, valid_ms, .. } = op.what else { continue };
        let mut draw = draws.at(REDEEM, 0, ticket.into());
        let is_others = |node: &usize| nodes[*node].owner != nodes[op.node].owner;
        let others: Vec<usize> = (0..nodes.len()).filter(is_others).collect();
        for nth in 0..draw.between(1, 4) {
            let node =
                if others.is_empty() || draw.per_mille(150) { draw.index(nodes.len()) } else { *draw.pick(&others) };
            let after_ms = match nth {
                0 => draw.between(100, 2_000),
                1 => valid_ms.min(20_000) + draw.between(1, 3_000),
                _ => draw.between(100, 20_000),
            };
            let range =
                draw.per_mille(200).then(|| Range::Slice { first: draw.below(2_000), len: 1 + draw.below(9_000) });
            let forged = draw.per_mille(100).then(|| u32::try_from(draw.below(1 << 20)).expect("small"));
            redeems.push((at_us + 1_000 * after_ms, Op { node, what: OpKind::Redeem { ticket, range, forged } }));
        }
    }
    redeems
}

/// Whoever has lost a disk soon restores what was on it, mostly at once; and so do some whose device joins late.
#[expect(clippy::wildcard_enum_match_arm, reason = "after the other faults a node has its files")]
fn restores(draws: Draws, faults: &[Spanned<Fault>]) -> Vec<(u64, Op)> {
    let mut restores = Vec::new();
    for fault in faults {
        let (node, per_mille) = match fault.what {
            Fault::LostDisk { node } => (node, 950),
            Fault::SlowStart { node } => (node, 300),
            _ => continue,
        };
        let mut draw = draws.at(RESTORE, fault.from_us, node as u64);
        if draw.per_mille(per_mille) {
            let most_us = if draw.per_mille(700) { 800_000 } else { 4_000_000 };
            restores.push((fault.until_us + draw.between(20_000, most_us), Op { node, what: OpKind::Restore }));
        }
    }
    restores
}

/// Some clocks are set in the middle of a long upload.
fn puts_across_clock_steps(draws: Draws, faults: &[Spanned<Fault>], alphabet: &Alphabet) -> Vec<(u64, Op)> {
    let mut puts = Vec::new();
    for fault in faults {
        let (Fault::Skew { node, .. } | Fault::Jump { node, .. }) = fault.what else { continue };
        let mut draw = draws.at(LONG, fault.from_us, node as u64);
        if draw.per_mille(LONG_PUT_PER_MILLE) {
            let step_us = if draw.per_mille(500) { fault.from_us } else { fault.until_us };
            let at_us = step_us.saturating_sub(draw.between(500_000, 6_000_000)).max(FIRST_MS * 1_000);
            let file = u32::try_from(draw.below(alphabet.files)).expect("files are few");
            let slow_ms = u32::try_from(draw.between(2_000, 6_000)).expect("seconds");
            let content = Content { salt: draw.next(), len: 4 * alphabet.chunk_size, changed: None };
            let what = OpKind::Put { file, content, abandon_after: None, said: Said::default(), slow_ms };
            puts.push((at_us, Op { node, what }));
        }
    }
    puts
}

/// In some scenarios what a few nodes hold is read and checked on request; half of those who ask go away in the middle.
fn scrubs(draws: Draws, shape: &Shape, nodes: usize) -> Vec<(u64, Op)> {
    let mut draw = draws.at(SCRUB, 0, 0);
    let count = [0, 0, 2, 4][draw.index(4)];
    let scrub = |nth: u64| {
        let mut draw = draws.at(SCRUB, 1, nth);
        let at_us = 1_000 * draw.between(FIRST_MS, shape.duration_ms - 1);
        let leaves = draw.per_mille(500);
        let steps = 1 + u32::try_from(draw.below(4)).expect("below 4");
        (at_us, Op { node: draw.index(nodes), what: OpKind::Scrub { abandon_after: leaves.then_some(steps) } })
    };
    (0..count).map(scrub).collect()
}

/// In half of the scenarios some disks are checked while their nodes run.
fn checks(draws: Draws, shape: &Shape, nodes: usize) -> Vec<(u64, Op)> {
    let count = [0, 0, 2, 5][draws.at(FSCK, 0, 0).index(4)];
    let check = |nth: u64| {
        let mut draw = draws.at(FSCK, 1, nth);
        let at_us = 1_000 * draw.between(FIRST_MS, shape.duration_ms - 1);
        (at_us, Op { node: draw.index(nodes), what: OpKind::Fsck })
    };
    (0..count).map(check).collect()
}

/// In some scenarios one file, of a name of its own, has so many chunks that its manifest takes two pages. It is put early and
/// read across the pages' border, evicted, and read whole.
fn paged(draws: Draws, nodes: &[NodeSpec], config: &Config, families: &[Family], files: u64) -> Vec<(u64, Op)> {
    let mut draw = draws.at(PAGES, 0, 0);
    let has_time = config.put_window_chunks >= PAGED_WINDOW && !families.contains(&Family::Network);
    if config.chunk_size != PAGED_CHUNK_SIZE || !has_time || !draw.per_mille(500) {
        return Vec::new();
    }
    let node = draw.index(nodes.len());
    let file = u32::try_from(files).expect("files are few");
    let border = PAGE_ENTRIES_MAX as u64 * u64::from(config.chunk_size);
    let len = u32::try_from(border + 1 + draw.below(300)).expect("a page of small chunks is less than a megabyte");
    let content = Content { salt: draw.next(), len, changed: None };
    let range = Range::Slice { first: border - draw.between(1, 200), len: draw.between(2, 400) };
    let (reader, old) = (Reader::default(), None);
    let steps = [
        (FIRST_MS, 8_000, OpKind::put(file, content)),
        (30_000, 36_000, OpKind::Get { file, range: Some(range), old, reader }),
        (38_000, 42_000, OpKind::Evict { file }),
        (44_000, 48_000, OpKind::get(file)),
    ];
    steps.into_iter().map(|(from, to, what)| (1_000 * draw.between(from, to), Op { node, what })).collect()
}

impl Alphabet {
    fn op(&self, draws: Draws, draw: &mut Draw, nth: u64) -> Op {
        let node = draw.index(self.nodes);
        let file = u32::try_from(draw.below(self.files)).expect("files are few");
        let what = match *draw.pick(&self.kinds) {
            Kind::Put => {
                let content = self.content(draws, nth);
                let abandon_after = draw.per_mille(40).then(|| 1 + u32::try_from(draw.below(3)).expect("below 3"));
                let said = said(draws, nth, content.len);
                let slow_ms = pace(draws, nth, content.len.div_ceil(self.chunk_size));
                OpKind::Put { file, content, abandon_after, said, slow_ms }
            }
            Kind::Get => {
                let old = draw.per_mille(150).then(|| u32::try_from(draw.below(8)).expect("below 8"));
                OpKind::Get { file, range: self.range(draws, draw, nth), old, reader: reader(draws, nth) }
            }
            Kind::Delete => OpKind::Delete { file },
            Kind::List => part(draws, nth, self.files).map_or(OpKind::List, OpKind::ListPart),
            Kind::Stat => OpKind::Stat { file },
            Kind::Versions => OpKind::Versions { file },
            Kind::Evict => OpKind::Evict { file },
            Kind::Restore => OpKind::Restore,
            Kind::Share => share(draws, nth, file),
        };
        Op { node, what }
    }

    fn range(&self, draws: Draws, draw: &mut Draw, nth: u64) -> Option<Range> {
        let chunk = u64::from(self.chunk_size);
        if !draw.per_mille(300) {
            return None;
        }
        let (first, len) = (draw.below(4 * chunk), 1 + draw.below(5 * chunk));
        Some(match draws.at(RANGE, 0, nth).below(10) {
            0 => Range::From { from: first },
            1 => Range::Last { last: len - 1 },
            // Beyond the end of most files.
            2 => Range::Slice { first: first + 10 * chunk, len },
            _ => Range::Slice { first, len },
        })
    }

    /// New, the same as another's, or changed from some point on.
    fn content(&self, draws: Draws, nth: u64) -> Content {
        let mut draw = draws.at(CONTENT, 0, nth);
        let pooled = draw.below(POOL_LEN);
        match draw.below(100) {
            0..50 => Content { salt: draw.next(), len: self.len(&mut draw), changed: None },
            50..65 => self.pooled(draws, pooled),
            65..95 => {
                let base = self.pooled(draws, pooled);
                let from = draw.below(u64::from(base.len) + 1);
                Content { changed: Some((u32::try_from(from).expect("below a u32"), draw.next())), ..base }
            }
            _ => Content { salt: draw.next(), len: 0, changed: None },
        }
    }

    fn pooled(&self, draws: Draws, number: u64) -> Content {
        let mut draw = draws.at(POOL, 0, number);
        Content { salt: draw.next(), len: self.len(&mut draw), changed: None }
    }

    /// A length: mostly a few chunks, sometimes many; at the edges of a chunk as often as not.
    fn len(&self, draw: &mut Draw) -> u32 {
        let most = u64::from(self.chunks_max.min(self.file_bytes_max / self.chunk_size).max(1));
        let chunks = if draw.per_mille(120) { draw.between(1, most) } else { draw.between(1, most.min(5)) };
        let size = u64::from(self.chunk_size);
        let rest = match draw.below(4) {
            0 => 0,
            1 => 1,
            2 => size - 1,
            _ => draw.below(size),
        };
        // The last chunk is short or full, so that there are as many chunks as drawn.
        let len = if rest == 0 { chunks * size } else { (chunks - 1) * size + rest };
        u32::try_from(len).expect("a file is at most file_bytes_max and a chunk")
    }
}

/// Some callers go away in the middle of a get, and some take their time.
fn reader(draws: Draws, nth: u64) -> Reader {
    let mut draw = draws.at(READER, 0, nth);
    let small = |number: u64| u32::try_from(number).expect("drawn to be small");
    let abandon_after = draw.per_mille(40).then(|| small(draw.between(1, 4)));
    let slow_ms = if draw.per_mille(50) { small(draw.between(20, 400)) } else { 0 };
    Reader { abandon_after, slow_ms }
}

/// Some callers of puts take a long time over them, longer than most things go on.
fn pace(draws: Draws, nth: u64, chunks: u32) -> u32 {
    let mut draw = draws.at(PACE, 0, nth);
    let takes_ms = draw.between(2_000, 25_000);
    let is_slow = draw.per_mille(50) && chunks > 1;
    let pieces = (chunks + 1).min(SLOW_PIECES_MAX);
    if is_slow { u32::try_from(takes_ms).expect("25 seconds") / pieces } else { 0 }
}

/// Half of the tickets are void before the plan is over.
fn share(draws: Draws, nth: u64, file: u32) -> OpKind {
    let mut draw = draws.at(SHARE, 0, nth);
    let small = |number: u64| u32::try_from(number).expect("operations are few");
    let valid_ms = if draw.per_mille(500) { draw.between(1_000, 8_000) } else { 7 * 86_400_000 };
    let old = draw.per_mille(200).then(|| small(draw.below(8)));
    OpKind::Share { ticket: small(nth), file, old, valid_ms }
}

/// Most callers of puts say the right length and nothing else.
fn said(draws: Draws, nth: u64, len: u32) -> Said {
    let mut draw = draws.at(SAID, 0, nth);
    let length = match draw.below(100) {
        0..10 => Length::Unknown,
        10 => Length::Wrong(len + 1),
        11 if len > 0 => Length::Wrong(u32::try_from(draw.below(u64::from(len))).expect("below a u32")),
        _ => Length::Right,
    };
    let details = draw.per_mille(500).then(|| u32::try_from(draw.below(1_000)).expect("below 1,000"));
    Said { length, details }
}

/// Half of the lists ask for some of the files only.
fn part(draws: Draws, nth: u64, files: u64) -> Option<Part> {
    let mut draw = draws.at(PART, 0, nth);
    let small = |number: u64| u32::try_from(number).expect("files are few");
    draw.per_mille(500).then(|| Part {
        folder: draw.per_mille(400).then(|| small(draw.below(u64::from(FOLDERS)))),
        after: draw.per_mille(500).then(|| small(draw.below(files))),
        limit: small(draw.between(1, 4)),
    })
}
