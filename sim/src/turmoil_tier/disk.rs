//! The storage engine, on one task of the host, taking simulated time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use forever_core::disk::{DiskDone, DiskError, DiskOp, DiskResult};
use forever_net_tokio::disk::{Completion, Disk};
use forever_net_tokio::simulation::Simulated;
use forever_net_tokio::store::fs::Fs;
use forever_net_tokio::store::memory_fs::MemoryFs;
use forever_net_tokio::store::{OpenError, Store, StoreConfig};
use tokio::sync::mpsc;

use super::board::Board;
use super::gate::Gate;
use crate::draw::Site;
use crate::store::{Engine, Fault, Lie};

/// Where the store lives.
pub(crate) const ROOT: &str = "/store";

/// The file of the index.
pub(crate) fn index_path() -> PathBuf {
    Path::new(ROOT).join("index.redb")
}

/// Space that blobs leave free, in bytes: as much for a small store here as the default is for a real one.
pub(crate) const RESERVE_BYTES: u64 = 256 << 10;

/// How often a disk that has stalled looks whether it may go on.
const STALL_POLL: Duration = Duration::from_millis(5);

const DURATION: Site = Site::new("turmoil.disk.duration");

/// How a simulated store is opened.
pub(crate) fn store_config(simulation: Simulated, engine: Engine) -> StoreConfig {
    StoreConfig {
        root: PathBuf::from(ROOT),
        reserve_bytes: RESERVE_BYTES,
        cache_bytes: engine.cache_bytes as usize,
        inline_len_max: engine.inline_len_max as usize,
        simulation,
        ..StoreConfig::new("")
    }
}

/// Opens the store of a file system, or makes it, and cleans up what a crash left.
pub(crate) fn open(fs: Arc<dyn Fs>, config: &StoreConfig) -> Result<Store, OpenError> {
    let store = Store::open(fs, config)?;
    while store.sweep_step() {}
    Ok(store)
}

/// An operation on its way to the disk.
type Job = (DiskOp, Completion<DiskResult>);

/// Gives operations to a `DiskTask`.
#[derive(Debug)]
pub struct SimDisk {
    jobs: mpsc::UnboundedSender<Job>,
}

impl Disk for SimDisk {
    fn submit(&self, what: DiskOp, done: Completion<DiskResult>) {
        // A disk whose power is gone takes nothing any more, and nobody is left to be told.
        let _ = self.jobs.send((what, done));
    }
}

/// The store that is open on a node, for those who look at it.
pub(crate) type OpenStore = Arc<Mutex<Weak<Store>>>;

/// What a disk needs to know besides its store.
#[derive(Clone, Debug)]
pub(crate) struct DiskSetup {
    pub(crate) node: usize,
    pub(crate) board: Board,
    pub(crate) gate: Gate,
    pub(crate) fs: MemoryFs,
    /// Shortest and longest time of an operation, in microseconds.
    pub(crate) op_us: (u32, u32),
}

/// Performs each operation when its time has come: those of one moment together, as the real executor batches. What has not
/// come yet when the process ends has not been done.
pub(crate) struct DiskTask {
    store: Arc<Store>,
    setup: DiskSetup,
    jobs: mpsc::UnboundedReceiver<Job>,
    /// By when they are due and their numbers.
    waiting: BTreeMap<(Duration, u64), Job>,
    next: u64,
    /// When the last commit is due: they keep their order.
    commit_due: Duration,
}

impl DiskTask {
    /// The disk of a store, and the task that serves it.
    pub(crate) fn new(store: Store, setup: DiskSetup, open: &OpenStore) -> (SimDisk, Self) {
        let (sender, jobs) = mpsc::unbounded_channel();
        let store = Arc::new(store);
        *open.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&store);
        let task = Self { store, setup, jobs, waiting: BTreeMap::new(), next: 0, commit_due: Duration::ZERO };
        (SimDisk { jobs: sender }, task)
    }

    /// Serves the disk until its driver has gone or its power is.
    pub(crate) async fn run(mut self) {
        while !self.setup.fs.is_dead() {
            let due = self.waiting.first_key_value().map(|((due, _), _)| *due);
            let left = due.map(|due| due.saturating_sub(now()));
            tokio::select! {
                biased;
                job = self.jobs.recv() => match job {
                    Some(job) => self.take(job),
                    None => return,
                },
                () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => {}
            }
            while let Ok(job) = self.jobs.try_recv() {
                self.take(job);
            }
            if self.is_stalled() {
                tokio::time::sleep(STALL_POLL).await;
            } else {
                self.perform_due();
            }
        }
        self.setup.gate.darken();
    }

    fn take(&mut self, job: Job) {
        let node = self.setup.node;
        let mut due = now() + self.duration();
        let slower = self.setup.board.pick(|fault| {
            if let Fault::SlowDisk { node: slow, extra_ms } = fault {
                (*slow == node).then_some(*extra_ms)
            } else {
                None
            }
        });
        for (id, extra_ms) in slower {
            self.setup.board.bite(id);
            due += Duration::from_millis(u64::from(extra_ms));
        }
        if matches!(job.0, DiskOp::Commit { .. }) {
            due = due.max(self.commit_due);
            self.commit_due = due;
        }
        self.waiting.insert((due, self.next), job);
        self.next += 1;
    }

    /// In whole milliseconds, as far as turmoil's time is fine: nothing for those that take less than half of one.
    fn duration(&self) -> Duration {
        let (first, last) = self.setup.op_us;
        let us = self
            .setup
            .board
            .draw(DURATION, self.setup.node as u64)
            .between(u64::from(first), u64::from(last.max(first)));
        Duration::from_millis((us + 500) / 1000)
    }

    /// Whether nothing may complete now although something should.
    fn is_stalled(&self) -> bool {
        let node = self.setup.node;
        let stalls = self.setup.board.pick(|fault| (*fault == Fault::StalledDisk { node }).then_some(()));
        let is_due = self.waiting.first_key_value().is_some_and(|((due, _), _)| *due <= now());
        for (id, ()) in stalls.iter().filter(|_| is_due) {
            self.setup.board.bite(*id);
        }
        is_due && !stalls.is_empty()
    }

    fn perform_due(&mut self) {
        let later = self.waiting.split_off(&(now() + Duration::from_nanos(1), 0));
        let due = std::mem::replace(&mut self.waiting, later);
        if due.is_empty() {
            return;
        }
        self.setup.board.stir();
        let (mut ops, mut dones) = (Vec::new(), Vec::new());
        for (what, done) in due.into_values() {
            match self.lie_about(&what) {
                Some(lie) => done.complete(Ok(lie)),
                None => {
                    ops.push(what);
                    dones.push(done);
                }
            }
        }
        let results = self.store.perform_all(ops);
        if results.contains(&Err(DiskError::Full)) {
            self.blame_full();
        }
        // Nobody hears of what was done in the moment that the power went.
        if !self.setup.fs.is_dead() {
            dones.into_iter().zip(results).for_each(|(done, result)| done.complete(result));
        }
    }

    /// The disk has refused something for want of room.
    fn blame_full(&self) {
        let node = self.setup.node;
        let is_full = |fault: &Fault| matches!(fault, Fault::Full { node: full, .. } if *full == node).then_some(());
        self.setup.board.pick(is_full).iter().for_each(|(id, ())| self.setup.board.bite(*id));
    }

    /// What a liar's disk says to have done, when it does nothing.
    fn lie_about(&self, what: &DiskOp) -> Option<DiskDone> {
        let done = match what {
            DiskOp::WriteBlob { .. } => DiskDone::Written { new: true },
            DiskOp::Commit { .. } => DiskDone::Committed,
            DiskOp::ReadBlob { .. }
            | DiskOp::HasBlobs { .. }
            | DiskOp::Lookup { .. }
            | DiskOp::Scan { .. }
            | DiskOp::Usage
            | DiskOp::ListBlobs { .. } => return None,
        };
        let lie = Fault::Liar { node: self.setup.node, lie: Lie::AcknowledgesOnly };
        let lies = self.setup.board.pick(|fault| (*fault == lie).then_some(()));
        lies.iter().for_each(|(id, ())| self.setup.board.bite(*id));
        (!lies.is_empty()).then_some(done)
    }
}

fn now() -> Duration {
    turmoil::sim_elapsed().expect("a disk is served on its host")
}
