//! What all parts of a node share: its configuration and keys, the time, and the ways to act.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use core::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::config::Config;
use crate::disk::DiskOp;
use crate::event::{Event, RequestError, What};
use crate::frame::Frame;
use crate::ids::{LinkId, NodeId, OpId, OwnerId, RecordId, RequestId};
use crate::node::age::AgeClock;
use crate::node::asks::Asks;
use crate::node::boot::Failed;
use crate::node::cache::{self, Cache};
use crate::node::checkpoints::Checkpoints;
use crate::node::cluster::Cluster;
use crate::node::collect::{Activities, Collector, Removals};
use crate::node::debts::Debts;
use crate::node::dials::Dials;
use crate::node::evicted::Evicted;
use crate::node::exchange::Exchange;
use crate::node::fetch::Fetches;
use crate::node::fill::Fill;
use crate::node::fresh::Fresh;
use crate::node::hot::HotBlobs;
use crate::node::in_use::InUse;
use crate::node::links::{self, Links};
use crate::node::locate::Locates;
use crate::node::members::Members;
use crate::node::mend::Mends;
use crate::node::names::Names;
use crate::node::neighbours::Neighbours;
use crate::node::outbox::Outbox;
use crate::node::page_loader::PageLoads;
use crate::node::pending::Pending;
use crate::node::presence::Presence;
use crate::node::publish::Publishes;
use crate::node::pull::Pulls;
use crate::node::rebalance::Rebalance;
use crate::node::records::Records;
use crate::node::repair::Repairs;
use crate::node::scrub::Scrub;
use crate::node::service::Service;
use crate::node::signal::Signal;
use crate::node::space::Space;
use crate::node::swim::Swim;
use crate::node::sync::Sync;
use crate::node::timers::{Timer, Timers};
use crate::node::upload::Uploads;
use crate::output::Output;
use crate::planted;
use crate::secrets::OwnerKeys;
use crate::simulation::SimulationState;
use crate::time::Time;
use crate::version::HybridClock;
use crate::work::WorkOp;

/// Counters that a person may want to see.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) protocol_errors: u64,
    pub(crate) damaged_blobs: u64,
    /// Chunks and records that were damaged or lacked something here, and are in order again.
    pub(crate) mended: u64,
}

/// What all parts of a node share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) me: NodeId,
    pub(crate) owner: OwnerId,
    pub(crate) keys: OwnerKeys,
    pub(crate) now: Time,
    pub(crate) clock: HybridClock,
    pub(crate) timers: Timers,
    pub(crate) links: Links,
    pub(crate) neighbours: Neighbours,
    pub(crate) asks: Asks,
    pub(crate) dials: Dials,
    pub(crate) members: Members,
    pub(crate) exchange: Exchange,
    pub(crate) swim: Swim,
    pub(crate) service: Service,
    /// Whether the clock and the members have been read from the disk, and this start has been stamped.
    pub(crate) has_booted: bool,
    /// Whether the node has left the cluster, and is about to stop.
    pub(crate) has_left: bool,
    pub(crate) cluster: Cluster,
    pub(crate) fetches: Fetches,
    pub(crate) uploads: Uploads,
    pub(crate) hot: HotBlobs,
    pub(crate) records: Records,
    pub(crate) sync: Sync,
    pub(crate) repairs: Repairs,
    pub(crate) rebalance: Rebalance,
    pub(crate) evicted: Evicted,
    pub(crate) names: Names,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) fill: Fill,
    pub(crate) locates: Locates,
    pub(crate) pages: PageLoads,
    pub(crate) pulls: Pulls,
    pub(crate) publishes: Publishes,
    pub(crate) outbox: Outbox,
    pub(crate) debts: Debts,
    pub(crate) mends: Mends,
    pub(crate) presence: Presence,
    pub(crate) scrub: Scrub,
    pub(crate) space: Space,
    pub(crate) cache: Cache,
    /// Which put an upload to a peer belongs to.
    pub(crate) upload_owners: BTreeMap<(LinkId, u64), RequestId>,
    /// Puts under way: they share the window.
    pub(crate) puts: u32,
    /// Gets under way: they share the window, too.
    pub(crate) gets: u32,
    /// Records being evicted or removed: no promise is given on them.
    pub(crate) evicting: BTreeSet<RecordId>,
    pub(crate) fresh: Fresh,
    pub(crate) in_use: InUse,
    pub(crate) age: AgeClock,
    pub(crate) activities: Activities,
    pub(crate) collector: Collector,
    pub(crate) removals: Removals,
    /// What could not be read at the start.
    pub(crate) failed_read: Option<Failed>,
    pub(crate) restoring: bool,
    pub(crate) counters: Counters,
    /// Why the disk no longer acknowledges anything, if so.
    pub(crate) disk_error: Option<String>,
    pub(crate) simulation: SimulationState,
    rng: ChaCha12Rng,
    next_number: u64,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) signals: VecDeque<Signal>,
    pub(crate) pending: BTreeMap<OpId, Pending>,
}

impl Context {
    pub(crate) fn new(config: Config, me: NodeId, keys: OwnerKeys, seed: [u8; 32], now: Time) -> Self {
        let dials = Dials::new(&config.bootstrap);
        let [a, b, c, d, e, f, g, h, ..] = me.0;
        let simulation = SimulationState::new(config.simulation, u64::from_le_bytes([a, b, c, d, e, f, g, h]));
        let hot_bytes = if planted!(simulation, HotCacheUnbounded) { u64::MAX } else { config.hot_bytes };
        let owner = keys.owner_id();
        Self {
            records: Records::new(owner),
            sync: Sync::default(),
            repairs: Repairs::default(),
            rebalance: Rebalance::default(),
            evicted: Evicted::default(),
            owner,
            me,
            keys,
            now,
            clock: HybridClock::default(),
            timers: Timers::default(),
            links: Links::default(),
            neighbours: Neighbours::default(),
            asks: Asks::default(),
            dials,
            members: Members::new(&config, owner),
            exchange: Exchange::default(),
            swim: Swim::new(),
            service: Service::default(),
            has_booted: false,
            has_left: false,
            cluster: Cluster::default(),
            fetches: Fetches::default(),
            uploads: Uploads::default(),
            hot: HotBlobs::new(hot_bytes),
            names: Names::default(),
            checkpoints: Checkpoints::default(),
            fill: Fill::default(),
            locates: Locates::default(),
            pages: PageLoads::default(),
            pulls: Pulls::default(),
            publishes: Publishes::default(),
            outbox: Outbox::default(),
            debts: Debts::default(),
            mends: Mends::default(),
            presence: Presence::default(),
            scrub: Scrub::default(),
            space: Space::default(),
            cache: Cache::default(),
            upload_owners: BTreeMap::new(),
            puts: 0,
            gets: 0,
            evicting: BTreeSet::new(),
            fresh: Fresh::default(),
            in_use: InUse::default(),
            age: AgeClock::default(),
            activities: Activities::default(),
            collector: Collector::default(),
            removals: Removals::default(),
            failed_read: None,
            restoring: false,
            counters: Counters::default(),
            disk_error: None,
            simulation,
            rng: ChaCha12Rng::from_seed(seed),
            next_number: 1,
            outputs: VecDeque::new(),
            signals: VecDeque::new(),
            pending: BTreeMap::new(),
            config,
        }
    }

    /// Randomness for a part that draws by itself.
    pub(crate) fn fork_rng(&mut self) -> ChaCha12Rng {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        ChaCha12Rng::from_seed(seed)
    }

    /// A number not given before in this node's life.
    pub(crate) fn number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    fn op_number(&mut self) -> OpId {
        let number = self.number();
        OpId(if planted!(self.simulation, ReuseOpId) { number % 128 } else { number })
    }

    /// Starts a disk operation.
    pub(crate) fn disk(&mut self, what: DiskOp, pending: Pending) {
        let op = self.op_number();
        self.pending.insert(op, pending);
        cache::let_out(self, op, what);
    }

    /// Starts a piece of work.
    pub(crate) fn work(&mut self, what: WorkOp, pending: Pending) {
        let op = self.op_number();
        self.pending.insert(op, pending);
        self.outputs.push_back(Output::Work { op, what });
    }

    /// Sends a frame, if the link still stands.
    pub(crate) fn send(&mut self, link: LinkId, frame: Frame) {
        if self.links.get(link).is_some() {
            links::note_sent(self, link, &frame);
            self.outputs.push_back(Output::Send { link, frame });
        }
    }

    /// Tells a caller something.
    pub(crate) fn event(&mut self, request: RequestId, what: What) {
        self.outputs.push_back(Output::Event(Event { request, what }));
    }

    /// Tells a caller that its request failed.
    pub(crate) fn fail(&mut self, request: RequestId, error: RequestError) {
        self.event(request, What::Failed(error));
    }

    /// Tells another part of the node something.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.signals.push_back(signal);
    }

    /// Wakes a request unless it makes progress within the configured time.
    pub(crate) fn expect_progress(&mut self, request: RequestId) {
        self.timers.set(Timer::Request(request), self.now.mono + self.config.request_timeout);
    }

    /// A duration drawn between half of it and all of it, so that nodes do not act in step.
    pub(crate) fn jitter(&mut self, duration: Duration) -> Duration {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(2);
        let half = micros / 2;
        Duration::from_micros(half + self.rng.next_u64() % half)
    }

    /// A number that nothing else has, whatever the node did in other lives.
    pub(crate) fn draw(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Members that are configured and have never been met.
    pub(crate) fn strangers(&self) -> u32 {
        self.dials.strangers(&self.members)
    }

    /// How many nodes must hold a write before it is acknowledged: two, if there are two.
    pub(crate) fn write_quorum(&self) -> u32 {
        let is_alone = self.members.nodes().next().is_none() && self.strangers() == 0;
        if is_alone { 1 } else { 2 }
    }
}
