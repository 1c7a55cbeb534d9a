//! What callers do in a scenario.

use super::super::{Content, Family, Fault, NodeSpec, Op, OpKind, Range, Shape};
use crate::draw::{Draw, Draws, Site};
use crate::system::{Spanned, Timed};

const COUNT: Site = Site::new("ops.count");
const FILES: Site = Site::new("ops.files");
const MASK: Site = Site::new("ops.mask");
const OP: Site = Site::new("ops.op");
const CONTENT: Site = Site::new("ops.content");
const POOL: Site = Site::new("ops.pool");
const ECHO: Site = Site::new("ops.echo");
const RESTORE: Site = Site::new("ops.restore");

/// Contents that several puts share, whoever's they are.
const POOL_LEN: u64 = 4;

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
}

/// Kinds that a seed may leave out, with their weights. Puts and gets are always there.
const MASKED: [(Kind, u32); 6] = [
    (Kind::Delete, 80),
    (Kind::List, 50),
    (Kind::Stat, 60),
    (Kind::Versions, 50),
    (Kind::Evict, 40),
    (Kind::Restore, 12),
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
    shape: &Shape,
    nodes: &[NodeSpec],
    chunk_size: u32,
    families: &[Family],
    faults: &[Spanned<Fault>],
) -> Vec<Timed<Op>> {
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
        chunk_size,
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
    ops.extend(restores(draws, faults));
    ops.retain(|(at_us, _)| *at_us < shape.duration_ms * 1_000);
    ops.sort_by_key(|(at_us, _)| *at_us);
    ops.into_iter().enumerate().map(|(id, (at_us, what))| Timed { id, at_us, what }).collect()
}

/// Some operations are done twice at almost the same time, by two devices of one owner if it has two.
fn echoes(draws: Draws, nodes: &[NodeSpec], ops: &[(u64, Op)]) -> Vec<(u64, Op)> {
    let mut echoes = Vec::new();
    for ((at_us, op), nth) in ops.iter().zip(0..) {
        let mut draw = draws.at(ECHO, 0, nth);
        if draw.per_mille(80) {
            let of_owner = |other: &usize| nodes[*other].owner == nodes[op.node].owner && *other != op.node;
            let twins: Vec<usize> = (0..nodes.len()).filter(of_owner).collect();
            let node = if twins.is_empty() { draw.index(nodes.len()) } else { *draw.pick(&twins) };
            echoes.push((at_us + draw.between(0, 20_000), Op { node, what: op.what.clone() }));
        }
    }
    echoes
}

/// Mostly, whoever has lost a disk soon restores what was on it.
fn restores(draws: Draws, faults: &[Spanned<Fault>]) -> Vec<(u64, Op)> {
    let mut restores = Vec::new();
    for fault in faults {
        let Fault::LostDisk { node } = fault.what else { continue };
        let mut draw = draws.at(RESTORE, fault.from_us, node as u64);
        if draw.per_mille(750) {
            restores.push((fault.until_us + draw.between(300_000, 4_000_000), Op { node, what: OpKind::Restore }));
        }
    }
    restores
}

impl Alphabet {
    fn op(&self, draws: Draws, draw: &mut Draw, nth: u64) -> Op {
        let node = draw.index(self.nodes);
        let file = u32::try_from(draw.below(self.files)).expect("files are few");
        let what = match *draw.pick(&self.kinds) {
            Kind::Put => {
                let content = self.content(draws, nth);
                let abandon_after = draw.per_mille(40).then(|| 1 + u32::try_from(draw.below(3)).expect("below 3"));
                OpKind::Put { file, content, abandon_after }
            }
            Kind::Get => {
                let old = draw.per_mille(150).then(|| u32::try_from(draw.below(8)).expect("below 8"));
                OpKind::Get { file, range: self.range(draw), old }
            }
            Kind::Delete => OpKind::Delete { file },
            Kind::List => OpKind::List,
            Kind::Stat => OpKind::Stat { file },
            Kind::Versions => OpKind::Versions { file },
            Kind::Evict => OpKind::Evict { file },
            Kind::Restore => OpKind::Restore,
        };
        Op { node, what }
    }

    fn range(&self, draw: &mut Draw) -> Option<Range> {
        let chunk = u64::from(self.chunk_size);
        draw.per_mille(300).then(|| Range { first: draw.below(4 * chunk), len: 1 + draw.below(5 * chunk) })
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
