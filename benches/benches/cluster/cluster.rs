//! A cluster that is filled by puts at all its nodes, and looked at on its disks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forever_benches::simulated;
use forever_core::config::Config;
use forever_core::ids::{NodeId, RecordId};
use forever_core::placement::{self, Candidate, Group};
use forever_core::record::SignedRecord;
use forever_sim::store::{Content, Contents, Event, Fault, Op, OpKind, OpResult, View};
use forever_sim::system::System as _;
use forever_sim::trace::Trace;
use forever_sim::world::World;

/// Addresses that each node knows from the start: those of so many nodes before it.
const DIALS: usize = 3;

/// Records by their addresses.
pub(crate) type Records = BTreeMap<RecordId, SignedRecord>;

/// A cluster of nodes that each have an owner of their own.
pub(crate) struct Cluster {
    pub(crate) world: World,
    nodes: usize,
    puts: usize,
    refused: usize,
    events: Vec<Event>,
}

impl Cluster {
    pub(crate) fn new(nodes: usize, config: Config) -> Self {
        let scenario = simulated::scenario(nodes, DIALS, config);
        let mut world = World::new(&scenario, Trace::default());
        world.watch_frames(false);
        Self { world, nodes, puts: 0, refused: 0, events: Vec::new() }
    }

    /// Simulated time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.world.now()
    }

    /// Lets time pass; what happened meanwhile.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<Event> {
        let until = self.world.now() + time;
        let mut all = Vec::new();
        while self.world.now() < until {
            self.world.advance(until, &mut self.events);
            self.refused += self.events.iter().filter(|event| is_failed(event)).count();
            all.append(&mut self.events);
        }
        all
    }

    /// Puts so many files of `len` random bytes by turns at the first `at` nodes, `every` apart. All must be acknowledged.
    pub(crate) fn fill(&mut self, files: usize, len: u32, at: usize, every: Duration) {
        for _ in 0..files {
            let number = self.puts;
            self.puts += 1;
            let content = Content { salt: number as u64, len, changed: None };
            let file = u32::try_from(number / at).expect("fewer files than that");
            let op = Op { node: number % at, what: OpKind::put(file, content) };
            self.world.start(number, &op, &mut self.events);
            self.pass(every);
        }
        self.pass(Duration::from_secs(30));
        assert_eq!(self.refused, 0, "puts that failed");
    }

    pub(crate) fn begin(&mut self, number: usize, fault: &Fault) {
        self.world.begin(number, fault, &mut self.events);
        self.events.clear();
    }

    pub(crate) fn end(&mut self, number: usize, fault: &Fault) {
        self.world.end(number, fault, &mut self.events);
        self.events.clear();
    }

    /// What a node's disk holds whole of files: records with all their pages and chunks.
    pub(crate) fn whole(&mut self, node: usize) -> Records {
        let contents = self.world.contents(node);
        let light: BTreeSet<&[u8]> =
            contents.rows.iter().map(|(key, _)| key.as_ref()).filter(|key| key.first() == Some(&b'E')).collect();
        let is_light = |record: &SignedRecord| {
            light.contains([&b"E"[..], &record.record.owner.0, &record.id.0].concat().as_slice())
        };
        let is_whole = |chunks: &Option<Vec<_>>, contents: &Contents| {
            chunks.as_ref().is_some_and(|chunks| chunks.iter().all(|chunk| contents.blobs.get(chunk) == Some(&true)))
        };
        let files = contents.records.iter().filter(|held| held.record.record.body.is_file());
        let whole = files.filter(|held| is_whole(&held.chunks, &contents) && !is_light(&held.record));
        whole.map(|held| (held.record.id, held.record.clone())).collect()
    }

    /// The files that somebody has whole.
    pub(crate) fn all(&mut self) -> Records {
        let mut all = BTreeMap::new();
        for node in 0..self.nodes {
            all.extend(self.whole(node));
        }
        all
    }

    /// What each node is to hold if those of `nodes` are the members.
    pub(crate) fn placed(&self, records: &Records, nodes: &[usize]) -> BTreeMap<usize, BTreeSet<RecordId>> {
        let view: &dyn View = &self.world;
        let numbers: BTreeMap<NodeId, usize> = nodes.iter().map(|node| (view.node_id(*node), *node)).collect();
        let candidate = |node: &NodeId| Candidate { node: *node, weight: 100, zone: String::new() };
        let candidates: Vec<Candidate> = numbers.keys().map(candidate).collect();
        let mut ranks: BTreeMap<Group, Vec<NodeId>> = BTreeMap::new();
        let mut placed: BTreeMap<usize, BTreeSet<RecordId>> = BTreeMap::new();
        for record in records.values() {
            let group = Group::of(record.record.name_id);
            let ranked = ranks.entry(group).or_insert_with(|| placement::rank(group, &candidates));
            for holder in ranked.iter().take(record.record.retention.replicas.limit()) {
                placed.entry(numbers[holder]).or_default().insert(record.id);
            }
        }
        placed
    }
}

fn is_failed(event: &Event) -> bool {
    matches!(event, Event::Ended { result: OpResult::Failed(_), .. })
}
