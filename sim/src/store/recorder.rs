//! Sees a run as an oracle does, finds fault with nothing, and writes down what a timeline shows and a story tells.

mod disks;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use super::{DiskLoss, Event, Fault, Op, OpKind, OpResult, Scenario, View, messages};
use disks::Disks;

use crate::simulation::{Remark, Scenario as _};
use crate::story::count;
use crate::system::{Oracle, Step as _, System, Violation};
use crate::timeline::{Bar, Ending, Mark, MarkKind, Outage, Span, Timeline};

/// A run's record while it grows: keep a clone, and take what was written when the run is over.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    record: Rc<RefCell<Record>>,
}

#[derive(Debug, Default)]
struct Record {
    timeline: Timeline,
    remarks: Vec<Remark>,
    /// Bars by the operation's number.
    bars: BTreeMap<usize, usize>,
    /// Nodes that were started at least once.
    started: BTreeSet<usize>,
    disks: Disks,
    /// Faults and probes that have a mark: of each, the first time says enough.
    marked: BTreeSet<String>,
}

impl Recorder {
    /// What a timeline shows of the run of `scenario`, which ended at `end`.
    #[must_use]
    pub fn timeline(&self, scenario: &Scenario, violation: Option<&Violation>, end: Duration) -> Timeline {
        let end_us = micros(end);
        let faults = scenario.plan.faults.iter().filter(|fault| fault.from_us < scenario.plan.end_us.min(end_us));
        let spans = faults.map(|fault| Span {
            lanes: fault.what.nodes(),
            from_us: fault.from_us,
            until_us: fault.until_us.clamp(fault.from_us + 1, scenario.plan.end_us.max(fault.from_us + 1)).min(end_us),
            label: fault.what.name().into(),
            detail: fault.what.tell(),
        });
        let rule = violation.map_or_else(
            || "No rule was broken.".into(),
            |violation| format!("Then the rule '{}' was found broken.", violation.oracle),
        );
        Timeline {
            title: format!("Seed {} in the {:?} tier", scenario.seed, scenario.tier),
            about: format!("{} {} {rule}", scenario.tell(), about(scenario)),
            lanes: (0..scenario.nodes.len()).map(|node| format!("node {node}")).collect(),
            spans: spans.collect(),
            end_us,
            violation: violation.cloned(),
            ..self.record.borrow().timeline.clone()
        }
    }

    /// What a story tells besides the plan.
    #[must_use]
    pub fn remarks(&self) -> Vec<Remark> {
        self.record.borrow().remarks.clone()
    }
}

impl<S: System<Op = Op, Fault = Fault, Event = Event, View = dyn View>> Oracle<S> for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut (dyn View + 'static)) -> Result<(), String> {
        let mut record = self.record.borrow_mut();
        record.add(micros(at), event, view.scenario());
        let stocks = record.disks.observe(micros(at), event, view);
        record.timeline.stocks.extend(stocks);
        Ok(())
    }

    fn judge(&mut self, _view: &mut (dyn View + 'static)) -> Result<(), String> {
        Ok(())
    }
}

impl Record {
    fn add(&mut self, at_us: u64, event: &Event, scenario: &Scenario) {
        match event {
            Event::Started { op, what, .. } => self.op_started(at_us, *op, what),
            Event::Ended { op, result } => self.op_ended(at_us, *op, result),
            Event::Up { node } => self.up(at_us, *node),
            Event::Down { node } => {
                self.timeline.outages.push(Outage { lane: *node, from_us: at_us, until_us: None });
            }
            Event::Bit { fault } => {
                let found = scenario.plan.faults.iter().find(|planned| planned.id == *fault);
                if let Some(fault) = found
                    && self.marked.insert(format!("fault {}", fault.id))
                {
                    let lane = fault.what.nodes().first().copied();
                    self.mark(at_us, lane, MarkKind::Bite, fault.what.tell());
                }
            }
            Event::Lost { node, what } => {
                let what = loss(what);
                self.remark(at_us, format!("lost from the disk of node {node}: {what}"));
                self.mark(at_us, Some(*node), MarkKind::Loss, format!("{what} of the disk"));
            }
            Event::Frame { from, to, bytes, .. } => {
                self.timeline.messages.extend(messages::message(at_us, *from, *to, bytes));
            }
            Event::Probe { name } => {
                if self.marked.insert(format!("probe {name}")) {
                    self.mark(at_us, None, MarkKind::Probe, (*name).into());
                }
            }
            // The bar of the operation says enough, and so does the arrow of the frame.
            Event::Delivered { .. } | Event::Heard { .. } | Event::Told { .. } => {}
            Event::Healed => self.timeline.healed_us = Some(at_us),
        }
    }

    fn op_started(&mut self, at_us: u64, op: usize, what: &Op) {
        self.bars.insert(op, self.timeline.bars.len());
        let (label, detail) = (label(&what.what), what.tell());
        let (lane, ending) = (what.node, Ending::Open);
        self.timeline.bars.push(Bar { lane, from_us: at_us, until_us: None, label, detail, ending });
    }

    fn op_ended(&mut self, at_us: u64, op: usize, result: &OpResult) {
        let Some(bar) = self.bars.get(&op).and_then(|index| self.timeline.bars.get_mut(*index)) else { return };
        let (ending, text) = ending(result);
        bar.until_us = Some(at_us);
        bar.ending = ending;
        bar.detail = format!("{}: {text}", bar.detail);
        let remark = format!("the caller of '{}' at node {} hears: {text}", bar.label, bar.lane);
        self.remark(at_us, remark);
    }

    fn up(&mut self, at_us: u64, node: usize) {
        let is_first = self.started.insert(node);
        let down = self.timeline.outages.iter_mut().rev().find(|outage| outage.lane == node);
        match down {
            Some(outage) if outage.until_us.is_none() => {
                outage.until_us = Some(at_us);
                self.remark(at_us, format!("node {node} runs again"));
            }
            Some(_) | None => {
                if is_first && at_us > 0 {
                    self.timeline.outages.push(Outage { lane: node, from_us: 0, until_us: Some(at_us) });
                    self.remark(at_us, format!("node {node} runs"));
                }
            }
        }
    }

    fn mark(&mut self, at_us: u64, lane: Option<usize>, kind: MarkKind, detail: String) {
        self.timeline.marks.push(Mark { lane, at_us, kind, detail });
    }

    fn remark(&mut self, at_us: u64, text: String) {
        self.remarks.push(Remark { at_us, text });
    }
}

/// What is done in a scenario, in a sentence.
fn about(scenario: &Scenario) -> String {
    let ops = count(scenario.plan.ops.len(), "operation");
    let faults = match scenario.plan.faults.len() {
        0 => "nothing was made to go wrong".to_string(),
        1 => "1 fault was put in on purpose".to_string(),
        number => format!("{number} faults were put in on purpose"),
    };
    format!("Callers used the nodes ({ops}) while {faults}, all in simulated time.")
}

fn label(what: &OpKind) -> String {
    match what {
        OpKind::Put { file, .. } => format!("put {file}"),
        OpKind::Get { file, .. } => format!("get {file}"),
        OpKind::Delete { file } => format!("delete {file}"),
        OpKind::Undelete { file } => format!("undelete {file}"),
        OpKind::List | OpKind::ListPart(_) => "list".into(),
        OpKind::Stat { file } => format!("stat {file}"),
        OpKind::Versions { file } => format!("versions {file}"),
        OpKind::Evict { file } => format!("evict {file}"),
        OpKind::Restore => "restore".into(),
        OpKind::Scrub { .. } => "scrub".into(),
        OpKind::Fsck => "fsck".into(),
        OpKind::Leave => "leave".into(),
        OpKind::Forget { member } => format!("forget node {member}"),
        OpKind::Share { ticket, .. } => format!("share as ticket {ticket}"),
        OpKind::Redeem { ticket, .. } => format!("redeem ticket {ticket}"),
    }
}

fn ending(result: &OpResult) -> (Ending, String) {
    let text = match result {
        OpResult::Put(report) => {
            format!("stored on {}, {} still to come", nodes(report.write.replicas), report.write.pending)
        }
        OpResult::Got(got) => count(got.bytes.len(), "byte"),
        OpResult::Deleted(report) => format!("deleted on {}, {} still to come", nodes(report.replicas), report.pending),
        OpResult::Listed { files, .. } => count(files.len(), "file"),
        OpResult::Stat(stat) => stat.holders.as_ref().map_or_else(
            || "nothing of its holders".into(),
            |holders| format!("held by {}", count(holders.len(), "peer")),
        ),
        OpResult::Versions(versions) => count(versions.len(), "version"),
        OpResult::Evicted { freed_bytes, promised_by } => {
            format!("{freed_bytes} bytes freed, promised by {}", count(promised_by.len(), "node"))
        }
        OpResult::Scrubbed(report) => {
            format!("{} blobs read, {} damaged, {} mended", report.blobs, report.damaged, report.mended)
        }
        OpResult::Checked(lost) => format!("{} lost", count(lost.len(), "chunk")),
        OpResult::Left => "it has left".into(),
        OpResult::Forgotten => "it is written off".into(),
        OpResult::Shared(_) => "a ticket".into(),
        OpResult::Restored(report) => format!("{} records restored, {} missing", report.records, report.missing),
        OpResult::Abandoned => "nothing, having gone away on purpose".into(),
        OpResult::Failed(error) => return (Ending::Badly, format!("failed: {error}")),
    };
    (Ending::Well, text)
}

fn nodes(number: u32) -> String {
    count(number as usize, "node")
}

fn loss(what: &DiskLoss) -> String {
    match what {
        DiskLoss::All => "all".into(),
        DiskLoss::Blobs(blobs) => count(blobs.len(), "blob"),
        DiskLoss::Unknown => "an unknown part".into(),
    }
}

fn micros(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
}
