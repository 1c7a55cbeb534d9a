//! What all parts of a simulation share: the faults that are at work, what has happened since oracles looked last, and the
//! draws.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forever_core::ids::NodeId;

use crate::draw::{Draw, Draws, Site, fold};
use crate::store::oracles::copies::MOVED;
use crate::store::{DiskLoss, Event, Fault, OpResult, Piece};

/// Clones are the same board.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    state: Arc<Mutex<State>>,
    draws: Draws,
}

#[derive(Debug, Default)]
struct State {
    active: BTreeMap<usize, Fault>,
    bitten: BTreeSet<usize>,
    /// How often was drawn, by site and actor.
    drawn: BTreeMap<(Site, u64), u64>,
    /// All values drawn so far, folded: for the trace.
    folded: u64,
    events: Vec<Event>,
    probes: BTreeSet<&'static str>,
    /// Operations under way, and at which node.
    open: BTreeMap<usize, usize>,
    nodes: Vec<NodeId>,
    /// When something happened last that a cluster at rest would not do.
    busy_at: Duration,
    /// Whether nodes take rare paths no more.
    is_calm: bool,
}

impl Board {
    pub(crate) fn new(draws: Draws, nodes: Vec<NodeId>) -> Self {
        Self { state: Arc::new(Mutex::new(State { nodes, ..State::default() })), draws }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic fails the seed; nothing here can be left half done by one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next draw of an actor at a site.
    pub(crate) fn draw(&self, site: Site, actor: u64) -> Draw {
        self.state().draw(self.draws, site, actor)
    }

    /// The draw that stands for a fault, whenever it is asked for.
    pub(crate) fn draw_of(&self, site: Site, fault: usize, nth: u64) -> Draw {
        let draw = self.draws.at(site, fault as u64, nth);
        self.state().fold(&draw);
        draw
    }

    /// All that was drawn so far, folded.
    pub(crate) fn drawn(&self) -> u64 {
        self.state().folded
    }

    pub(crate) fn begin(&self, id: usize, fault: Fault) {
        self.state().active.insert(id, fault);
    }

    pub(crate) fn end(&self, id: usize) {
        self.state().active.remove(&id);
    }

    /// The faults at work, by their numbers.
    pub(crate) fn active(&self) -> Vec<(usize, Fault)> {
        self.state().active.iter().map(|(id, fault)| (*id, fault.clone())).collect()
    }

    /// What is wanted of the faults at work.
    pub(crate) fn pick<T>(&self, wanted: impl Fn(&Fault) -> Option<T>) -> Vec<(usize, T)> {
        let state = self.state();
        state.active.iter().filter_map(|(id, fault)| Some((*id, wanted(fault)?))).collect()
    }

    /// Whether one of the faults strikes that have a chance, in a thousand, to do so. It has bitten then.
    pub(crate) fn strikes(&self, site: Site, chance: impl Fn(&Fault) -> Option<u32>) -> bool {
        let rates = self.pick(chance);
        let mut state = self.state();
        rates.into_iter().any(|(id, per_mille)| {
            let strikes = state.draw(self.draws, site, id as u64).per_mille(u64::from(per_mille));
            if strikes {
                state.bite(id);
            }
            strikes
        })
    }

    /// A fault took effect.
    pub(crate) fn bite(&self, fault: usize) {
        self.state().bite(fault);
    }

    pub(crate) fn emit(&self, event: Event) {
        self.state().events.push(event);
    }

    pub(crate) fn lost(&self, node: usize, what: DiskLoss) {
        self.emit(Event::Lost { node, what });
    }

    /// Tells of a probe, once; but of what a rule looks at each time.
    pub(crate) fn reach(&self, name: &'static str) {
        let mut state = self.state();
        if state.probes.insert(name) || name == MOVED {
            state.events.push(Event::Probe { name });
        }
    }

    pub(crate) fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.state().events)
    }

    /// A caller has begun at a node.
    pub(crate) fn opened(&self, op: usize, node: usize) {
        self.state().open.insert(op, node);
    }

    /// A get delivered bytes, unless its caller was told before that its node has gone.
    pub(crate) fn delivered(&self, op: usize, piece: Piece) {
        let mut state = self.state();
        if state.open.contains_key(&op) {
            state.events.push(Event::Delivered { op, piece });
        }
    }

    /// A caller has its answer, unless it was told before that its node has gone.
    pub(crate) fn ended(&self, op: usize, result: OpResult) {
        let mut state = self.state();
        if state.open.remove(&op).is_some() {
            state.events.push(Event::Ended { op, result });
        }
    }

    /// Operations under way at a node.
    pub(crate) fn open_at(&self, node: usize) -> Vec<usize> {
        self.state().open.iter().filter(|(_, at)| **at == node).map(|(op, _)| *op).collect()
    }

    /// Which node has this id.
    pub(crate) fn index_of(&self, id: NodeId) -> Option<usize> {
        self.state().nodes.iter().position(|node| *node == id)
    }

    /// Something happened that a cluster at rest would not do.
    pub(crate) fn stir(&self) {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        let mut state = self.state();
        state.busy_at = state.busy_at.max(now);
    }

    pub(crate) fn busy_at(&self) -> Duration {
        self.state().busy_at
    }

    /// From now on nodes take no rare paths on purpose.
    pub(crate) fn calm(&self) {
        self.state().is_calm = true;
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.state().is_calm
    }
}

impl State {
    fn draw(&mut self, draws: Draws, site: Site, actor: u64) -> Draw {
        let nth = self.drawn.entry((site, actor)).or_default();
        *nth += 1;
        let draw = draws.at(site, actor, *nth);
        self.fold(&draw);
        draw
    }

    fn fold(&mut self, draw: &Draw) {
        self.folded = fold(self.folded ^ draw.clone().next());
    }

    fn bite(&mut self, fault: usize) {
        if self.bitten.insert(fault) {
            self.events.push(Event::Bit { fault });
        }
    }
}
