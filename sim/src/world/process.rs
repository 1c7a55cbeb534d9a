//! Processes: a node is started, told what happens, and its actions are carried out; or it is gone.

use std::collections::BTreeMap;

use forever_core::disk::DiskOp;
use forever_core::event::Event as NodeEvent;
use forever_core::frame::Frame;
use forever_core::ids::{LinkId, OpId};
use forever_core::input::Input;
use forever_core::node::Node;
use forever_core::output::Output;
use forever_core::work::WorkOp;

use super::host::Process;
use super::net::end_of;
use super::{Happening, World, record};
use crate::draw::Site;
use crate::store::oracles::copies::MOVED;
use crate::store::{Event, OpError, OpResult};

const LIFE: Site = Site::new("world.life");
const CRASH: Site = Site::new("world.crash");

/// How long a piece of work takes, in microseconds, and more for each KiB.
const WORK_US: u64 = 30;
const WORK_US_PER_KIB: u64 = 2;

/// How soon a caller reacts to what it is told, in microseconds.
const CALLER_US: u64 = 50;

impl World {
    /// Starts the node of a host, if nothing is in the way.
    pub(super) fn boot(&mut self, number: usize) {
        let host = &mut self.hosts[number];
        if host.process.is_some() || !host.held_down_by.is_empty() {
            return;
        }
        host.is_dark = false;
        if host.is_paused() {
            // It starts when it goes on.
            return host.backlog.push(Happening::Boot { host: number });
        }
        host.life += 1;
        let life = host.life;
        let seed = self.draw(LIFE, number as u64, life.into()).bytes32();
        let host = &mut self.hosts[number];
        host.last_commit_us = self.now_us;
        let now = host.clock.at(self.now_us);
        let node = Node::new(host.config.clone(), host.id, host.secrets.keys.clone(), seed, now);
        host.process = Some(Process { node, callers: BTreeMap::new(), wake_us: u64::MAX });
        record::other(&self.trace, self.now_us, &host.name, "start", &(life, seed));
        self.tell_oracles(Event::Up { node: number });
        self.carry_out(number);
        self.resume_arrivals(number);
    }

    /// The process of a host is gone. `powerless`: so is the machine.
    pub(super) fn kill(&mut self, number: usize, powerless: bool) {
        self.hosts[number].is_dark |= powerless;
        let life = self.hosts[number].life;
        let Some(process) = self.hosts[number].process.take() else { return };
        record::other(&self.trace, self.now_us, &self.hosts[number].name, "down", &powerless);
        let mut ops: Vec<usize> = process.callers.values().map(|caller| caller.op).collect();
        ops.append(&mut self.waiting_ops(number));
        ops.sort_unstable();
        for op in ops {
            self.end_op(op, OpResult::Failed(OpError::Gone));
        }
        let mut draw = self.draw(CRASH, number as u64, life.into());
        self.hosts[number].disk.crash(&mut draw);
        self.drop_conns(number, powerless);
        self.tell_oracles(Event::Down { node: number });
    }

    /// What a host could not take while it was dark or paused comes now.
    pub(super) fn resume_arrivals(&mut self, number: usize) {
        for conn in self.net.conns_of(number) {
            for side in 0..2 {
                if self.net.get(conn).is_some_and(|conn| conn.ends[1 - side].host == number) {
                    self.arm(conn, side, 0);
                }
            }
        }
    }

    /// Tells a node something later, if it still lives then.
    pub(super) fn input_later(&mut self, after_us: u64, host: usize, input: Input) {
        let life = self.hosts[host].life;
        self.queue.push(self.now_us + after_us, Happening::Input { host, life, input: Box::new(input) });
    }

    /// Tells a node something now.
    pub(super) fn input(&mut self, number: usize, input: Input) {
        let host = &self.hosts[number];
        record::input(&self.trace, self.now_us, &host.name, self.drawn, &input);
        self.handle(number, input);
    }

    /// A frame arrives at a node.
    pub(super) fn frame(&mut self, number: usize, link: LinkId, nth: u64, frame: Frame) {
        let (conn, side) = end_of(link);
        let from = self.net.get(conn).map_or(number, |conn| conn.ends[1 - side].host);
        let host = &self.hosts[number];
        let arrival = record::Arrival { from, link, number: nth, drawn: self.drawn, frame: &frame };
        arrival.add_to(&self.trace, self.now_us, &host.name);
        self.handle(number, Input::Frame { link, frame });
    }

    fn handle(&mut self, number: usize, input: Input) {
        let host = &mut self.hosts[number];
        let now = host.clock.at(self.now_us);
        let Some(process) = &mut host.process else { return };
        process.node.handle_input(now, input);
        self.blame_clock(number);
        self.carry_out(number);
    }

    /// A node reads clocks that are wrong.
    pub(super) fn blame_clock(&mut self, number: usize) {
        if !self.hosts[number].clock.is_right() {
            let culprits: Vec<usize> = self.hosts[number].clock.culprits().collect();
            culprits.into_iter().for_each(|fault| self.bite(fault));
        }
    }

    /// Wakes a node if it wanted to be woken now.
    pub(super) fn wake(&mut self, number: usize) {
        let host = &mut self.hosts[number];
        let now = host.clock.at(self.now_us);
        let Some(process) = &mut host.process else { return };
        if process.wake_us != self.now_us {
            return;
        }
        process.wake_us = u64::MAX;
        if let Some((deadline, timer)) = process.node.poll_timeout()
            && deadline <= now.mono
        {
            let due = record::Due { deadline, drawn: self.drawn, timer };
            record::other(&self.trace, self.now_us, &host.name, "timeout", &due);
            process.node.handle_timeout(now);
            self.blame_clock(number);
        }
        self.carry_out(number);
    }

    /// Carries out all that a node wants done, and sees to it that it is woken.
    pub(super) fn carry_out(&mut self, number: usize) {
        while let Some(output) = self.hosts[number].process.as_mut().and_then(|process| process.node.poll_output()) {
            match output {
                Output::Send { link, frame } => self.send(number, link, frame),
                Output::Connect { dial, address } => {
                    record::other(&self.trace, self.now_us, &self.hosts[number].name, "dial", &(dial, &address));
                    self.dial(number, dial, &address);
                }
                Output::Close { link } => {
                    record::other(&self.trace, self.now_us, &self.hosts[number].name, "close", &link);
                    self.close(link);
                }
                Output::Disk { op, what } => self.begin_disk(number, op, what),
                Output::Work { op, what } => self.begin_work(number, op, what),
                Output::Event(NodeEvent { request, what }) => {
                    let host = &self.hosts[number];
                    record::event(&self.trace, self.now_us, &host.name, request, &what);
                    let tell = Happening::Tell { host: number, life: host.life, request, what: Box::new(what) };
                    self.queue.push(self.now_us + CALLER_US, tell);
                }
            }
        }
        self.take_probes(number);
        self.arm_timer(number);
    }

    /// Shows the oracles what a node says it has reached, each once in a run; but what a rule looks at each time.
    fn take_probes(&mut self, number: usize) {
        let Some(process) = &mut self.hosts[number].process else { return };
        for name in process.node.take_probes() {
            if self.probes.insert(name) || name == MOVED {
                self.events.push(Event::Probe { name });
                // What the rule looks at must not have changed since.
                self.is_urgent |= name == MOVED;
            }
        }
    }

    /// Sees to it that a node is woken at its next deadline.
    pub(super) fn arm_timer(&mut self, number: usize) {
        let host = &mut self.hosts[number];
        let Some(process) = &mut host.process else { return };
        let Some((deadline, _)) = process.node.poll_timeout() else { return };
        let at_us = host.clock.when(deadline).max(self.now_us);
        if at_us < process.wake_us {
            process.wake_us = at_us;
            self.queue.push(at_us, Happening::Wake { host: number, life: host.life });
        }
    }

    fn begin_work(&mut self, number: usize, op: OpId, what: WorkOp) {
        let host = &self.hosts[number];
        record::work(&self.trace, self.now_us, &host.name, op, &what);
        let len = match &what {
            WorkOp::Seal { plain } => plain.len(),
            WorkOp::Open { data, .. } => data.len(),
            WorkOp::SealPage { .. }
            | WorkOp::CheckPage { .. }
            | WorkOp::OpenRoot { .. }
            | WorkOp::OpenPage { .. }
            | WorkOp::VerifyRecords { .. }
            | WorkOp::VerifyIntent { .. }
            | WorkOp::VerifyTicket { .. } => 0,
        };
        let takes_us = WORK_US + WORK_US_PER_KIB * (len as u64 >> 10);
        self.queue
            .push(self.now_us + takes_us, Happening::Work { host: number, life: host.life, op, what: Box::new(what) });
    }

    pub(super) fn finish_work(&mut self, number: usize, op: OpId, what: WorkOp) {
        let result = self.worker.perform(what, &self.hosts[number].secrets.keys, &mut self.inspector);
        self.input(number, Input::WorkDone { op, result });
    }

    fn begin_disk(&mut self, number: usize, op: OpId, what: DiskOp) {
        let host = &self.hosts[number];
        record::disk(&self.trace, self.now_us, &host.name, op, &what);
        self.submit(number, op, what);
    }
}
