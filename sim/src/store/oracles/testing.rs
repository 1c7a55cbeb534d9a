//! A cluster that exists only as what oracles look at, and runs that are made by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forever_core::command::VersionSelector;
use forever_core::config::Config;
use forever_core::event::{FileInfo, PutReport, RequestError, WriteReport};
use forever_core::ids::{BlobKey, ChunkId, NodeId, PageId};
use forever_core::placement::Replicas;
use forever_core::reconcile::Sum;
use forever_core::record::{Record, RecordBody, Retention, SignedRecord};
use forever_core::secrets::{OwnerKeys, OwnerSecret};
use forever_core::version::Version;

use super::Rule;
use crate::store::{
    Content, Contents, DiskLoss, Event, Fault, Got, Held, NodeSpec, Op, OpError, OpKind, OpResult, Reader, Scenario,
    Tier, View, names,
};
use crate::system::{Plan, Spanned};

/// Node 0 and node 1 are devices of owner 0, node 2 is owner 1's. All know all.
const OWNERS: [usize; 3] = [0, 0, 1];

/// Bytes of a chunk.
const CHUNK_SIZE: u32 = 256;

/// What oracles look at.
pub(crate) struct FakeView {
    pub(crate) scenario: Scenario,
    keys: Vec<OwnerKeys>,
    pub(crate) disks: Vec<Contents>,
    pub(crate) up: Vec<bool>,
    pub(crate) stored: Vec<(String, Vec<u8>)>,
    pub(crate) gauges: Vec<(&'static str, u64, u64)>,
    pub(crate) left_over: Vec<(&'static str, u64)>,
    pub(crate) links: Vec<Vec<usize>>,
    pub(crate) sums: Vec<Option<Sum>>,
}

impl View for FakeView {
    fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    fn node_id(&self, node: usize) -> NodeId {
        NodeId([u8::try_from(node).unwrap() + 1; 32])
    }

    fn keys(&self, node: usize) -> &OwnerKeys {
        &self.keys[OWNERS[node]]
    }

    fn secrets(&self) -> Vec<(String, Vec<u8>)> {
        vec![("the cluster key".into(), b"a secret of 32 bytes, all of them".to_vec())]
    }

    fn is_up(&self, node: usize) -> bool {
        self.up[node]
    }

    fn is_core(&self, node: usize) -> bool {
        self.scenario.core.contains(&node)
    }

    fn contents(&mut self, node: usize) -> Arc<Contents> {
        Arc::new(self.disks[node].clone())
    }

    fn each_stored(&mut self, node: usize, show: &mut dyn FnMut(&str, &[u8])) {
        if node == 0 {
            for (place, bytes) in &self.stored {
                show(place, bytes);
            }
        }
    }

    fn gauges(&self, _node: usize) -> Vec<(&'static str, u64, u64)> {
        self.gauges.clone()
    }

    fn left_over(&self, _node: usize) -> Vec<(&'static str, u64)> {
        self.left_over.clone()
    }

    fn links(&self, node: usize) -> Vec<usize> {
        self.links[node].clone()
    }

    fn record_sum(&self, node: usize) -> Option<Sum> {
        self.sums[node]
    }
}

/// A run made by hand, before one rule.
pub(crate) struct Run<R> {
    pub(crate) rule: R,
    pub(crate) view: FakeView,
    pub(crate) now: Duration,
    next: usize,
}

impl<R: Rule> Run<R> {
    pub(crate) fn new(rule: R) -> Self {
        Self { rule, view: view(), now: Duration::ZERO, next: 0 }
    }

    pub(crate) fn see(&mut self, event: Event) -> Result<(), String> {
        self.now += Duration::from_millis(10);
        let at = self.now;
        self.rule.observe(at, &event, &mut self.view)
    }

    /// All nodes have talked to each other.
    pub(crate) fn meet(&mut self) {
        for (from, to) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
            self.see(Event::Frame { from, to, link: 1, bytes: Bytes::from_static(&[4, 0]) }).unwrap();
        }
    }

    pub(crate) fn start(&mut self, node: usize, what: OpKind) -> usize {
        let op = self.next;
        self.next += 1;
        self.see(Event::Started { op, what: Op { node, what }, asked: None }).unwrap();
        op
    }

    /// A get of the version of this wall time by node 0 begins.
    pub(crate) fn start_old(&mut self, node: usize, file: u32, wall_ms: u64) -> usize {
        let op = self.next;
        self.next += 1;
        let asked = Some(VersionSelector::from(&self.version(wall_ms, 0)));
        let what = OpKind::Get { file, range: None, old: Some(0), reader: Reader::default() };
        self.see(Event::Started { op, what: Op { node, what }, asked }).unwrap();
        op
    }

    pub(crate) fn end(&mut self, op: usize, result: OpResult) -> Result<(), String> {
        self.see(Event::Ended { op, result })
    }

    /// A put from its start to its end, acknowledged with a version of this wall time and stored whole on these nodes.
    pub(crate) fn put(&mut self, node: usize, file: u32, wall_ms: u64, on: &[usize]) -> Result<(), String> {
        let op = self.start(node, put_of(file));
        let version = self.version(wall_ms, node);
        for holder in on {
            self.store(*holder, node, file, version, false);
        }
        self.end(op, put_done(file, version, on.len()))
    }

    /// A delete from its start to its end.
    pub(crate) fn delete(&mut self, node: usize, file: u32, wall_ms: u64, on: &[usize]) -> Result<(), String> {
        let op = self.start(node, OpKind::Delete { file });
        let version = self.version(wall_ms, node);
        for holder in on {
            self.store(*holder, node, file, version, true);
        }
        self.end(op, OpResult::Deleted(report(version, on.len())))
    }

    /// A read of the newest version from its start to its end.
    pub(crate) fn get(&mut self, node: usize, file: u32, result: OpResult) -> Result<(), String> {
        let op = self.start(node, get_of(file));
        self.end(op, result)
    }

    /// What a get answers that finds the version of this wall time by this node.
    pub(crate) fn got(&self, file: u32, wall_ms: u64, writer: usize) -> OpResult {
        let bytes = content(file).bytes();
        OpResult::Got(Got { file: info(file, self.version(wall_ms, writer)), first: 0, bytes })
    }

    pub(crate) fn version(&self, wall_ms: u64, node: usize) -> Version {
        Version { wall_ms, counter: 0, node: self.view.node_id(node) }
    }

    pub(crate) fn heal(&mut self) -> Result<(), String> {
        self.see(Event::Healed)
    }

    pub(crate) fn lose(&mut self, node: usize, what: DiskLoss) {
        match &what {
            DiskLoss::All => self.view.disks[node] = Contents::default(),
            DiskLoss::Blobs(blobs) => {
                for blob in blobs {
                    self.view.disks[node].blobs.insert(*blob, false);
                }
            }
            DiskLoss::Unknown => {}
        }
        self.see(Event::Lost { node, what }).unwrap();
    }

    pub(crate) fn judge(&mut self) -> Result<(), String> {
        self.rule.judge(&mut self.view)
    }

    /// Puts a record, and its one chunk, on a disk.
    pub(crate) fn store(&mut self, holder: usize, writer: usize, file: u32, version: Version, deleted: bool) {
        let keys = self.view.keys(writer).clone();
        let root = PageId(*blake3::hash(&version.to_bytes()).as_bytes());
        let body = if deleted { RecordBody::Tombstone } else { RecordBody::File { root, root_len: 100 } };
        let record = Record {
            owner: keys.owner_id(),
            name_id: keys.name_id(&names::of(file)),
            version,
            retention: Retention { keep_versions: 3, keep_days: 1, replicas: Replicas::default() },
            body,
        };
        let record = SignedRecord::sign(&keys, record);
        let chunk = chunk_of(&self.view, writer, version);
        let chunks = if deleted { Vec::new() } else { vec![chunk] };
        let disk = &mut self.view.disks[holder];
        disk.blobs.extend(chunks.iter().map(|chunk| (*chunk, true)));
        disk.rows.push((Bytes::from_static(b"R..."), record.bytes.clone()));
        disk.records.push(Held { record, chunks: Some(chunks) });
    }

    /// Takes a version away from a disk.
    pub(crate) fn remove(&mut self, holder: usize, version: Version) {
        self.view.disks[holder].records.retain(|held| held.record.record.version != version);
    }
}

/// The one chunk of a version.
pub(crate) fn chunk_of(view: &FakeView, writer: usize, version: Version) -> BlobKey {
    let owner = view.keys(writer).owner_id();
    BlobKey { owner, chunk: ChunkId(*blake3::hash(&version.to_bytes()[..12]).as_bytes()) }
}

pub(crate) fn content(file: u32) -> Content {
    Content { salt: u64::from(file), len: 200, changed: None }
}

pub(crate) fn put_of(file: u32) -> OpKind {
    OpKind::put(file, content(file))
}

pub(crate) fn get_of(file: u32) -> OpKind {
    OpKind::get(file)
}

pub(crate) fn info(file: u32, version: Version) -> FileInfo {
    FileInfo {
        name: names::of(file),
        version,
        size: 200,
        chunks: 1,
        mtime_ms: None,
        mode: None,
        content_type: None,
        etag: String::new(),
    }
}

pub(crate) fn report(version: Version, replicas: usize) -> WriteReport {
    WriteReport { version, replicas: u32::try_from(replicas).unwrap(), pending: 0 }
}

pub(crate) fn put_done(file: u32, version: Version, replicas: usize) -> OpResult {
    let write = report(version, replicas);
    OpResult::Put(PutReport { file: info(file, version), new_bytes: 0, sent_bytes: 0, write })
}

pub(crate) fn not_found() -> OpResult {
    OpResult::Failed(OpError::Failed(RequestError::NotFound))
}

pub(crate) fn unavailable() -> OpResult {
    OpResult::Failed(OpError::Failed(RequestError::Unavailable("nobody has it".into())))
}

pub(crate) fn gone() -> OpResult {
    OpResult::Failed(OpError::Gone)
}

/// Adds a fault to the plan that an oracle is to know of.
pub(crate) fn plan_fault(view: &mut FakeView, what: Fault) {
    let id = view.scenario.plan.faults.len();
    view.scenario.plan.faults.push(Spanned { id, from_us: 0, until_us: 1_000, what });
}

fn view() -> FakeView {
    let spec = |node: usize| NodeSpec {
        owner: OWNERS[node],
        bootstrap: (0..3).filter(|other| *other != node).collect(),
        anywhere: false,
    };
    let scenario = Scenario {
        seed: 1,
        tier: Tier::World,
        nodes: (0..3).map(spec).collect(),
        core: vec![0, 1, 2],
        config: Config { chunk_size: CHUNK_SIZE, ..Config::default() },
        latency_us: (1, 2),
        disk_us: (1, 2),
        engine: Default::default(),
        families: Vec::new(),
        plan: Plan { ops: Vec::new(), faults: Vec::new(), end_us: 1_000_000 },
        settle_us: 1_000_000,
        planted: None,
    };
    FakeView {
        scenario,
        keys: (0..2).map(|owner| OwnerKeys::derive(&OwnerSecret::new([owner; 32]))).collect(),
        disks: (0..3).map(|_| Contents { records: Vec::new(), blobs: BTreeMap::new(), rows: Vec::new() }).collect(),
        up: vec![true; 3],
        stored: Vec::new(),
        gauges: Vec::new(),
        left_over: Vec::new(),
        links: vec![Vec::new(); 3],
        sums: vec![None; 3],
    }
}
