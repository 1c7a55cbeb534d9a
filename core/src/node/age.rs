//! How long things have been: time that a wall clock which jumps cannot hurry.
//!
//! Two ages are counted. *Lived* time is what the monotonic clock measures while the node runs: leases are counted in it, so
//! a node that was off, or whose wall clock was set, ends none early. *Believed* time is wall time for the ages of
//! versions, whose stamps are wall time: it is never ahead of the wall clock, and follows it only so much faster than
//! time passes, so a clock that is set ahead by mistake takes days of this node's life to be believed by days.

use core::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::disk::Write;
use crate::merge::Age;
use crate::node::context::Context;
use crate::node::timers::Timer;
use crate::node::{answers, schema};
use crate::planted;
use crate::time::{Monotonic, Time};

/// How many times faster than time passes the believed time catches up with the wall clock. A node that runs for a quarter
/// of each day keeps pace.
const CATCH_UP: u64 = 4;

/// How often lived time is made durable: so much of it a crash may take away.
const NOTE_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// Both ages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AgeClock {
    lived_ms: u64,
    believed_ms: u64,
    at: Monotonic,
}

/// What is kept of it on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Noted {
    lived_ms: u64,
    believed_ms: u64,
}

impl AgeClock {
    /// The clock of a node that starts: a new one believes its wall clock.
    pub(crate) fn start(noted: Option<Noted>, now: Time) -> Self {
        let noted = noted.unwrap_or(Noted { lived_ms: 0, believed_ms: now.wall_ms });
        Self { lived_ms: noted.lived_ms, believed_ms: noted.believed_ms, at: now.mono }
    }

    /// Time has passed.
    pub(crate) fn advance(&mut self, now: Time) {
        let passed_ms = u64::try_from((now.mono - self.at).as_millis()).unwrap_or(u64::MAX);
        self.at = self.at + Duration::from_millis(passed_ms);
        self.lived_ms = self.lived_ms.saturating_add(passed_ms);
        let most_ms = self.believed_ms.saturating_add(passed_ms.saturating_mul(CATCH_UP));
        // A clock that is behind for a while, as after a start without a battery, makes nothing unbelieved.
        self.believed_ms = most_ms.min(now.wall_ms).max(self.believed_ms);
    }

    /// How long the node has run in its life, in milliseconds.
    pub(crate) fn lived_ms(&self) -> u64 {
        self.lived_ms
    }

    fn noted(&self) -> Noted {
        Noted { lived_ms: self.lived_ms, believed_ms: self.believed_ms }
    }
}

/// What the disk has of the clock is read.
pub(crate) fn start(cx: &mut Context, noted: Option<Bytes>) {
    cx.age = AgeClock::start(noted.and_then(|bytes| schema::decode(&bytes)), cx.now);
    note_later(cx);
}

/// How long the node has run in its life, in milliseconds.
pub(crate) fn lived_ms(cx: &mut Context) -> u64 {
    if planted!(cx.simulation, LeaseByWallClock) {
        return cx.now.wall_ms;
    }
    cx.age.advance(cx.now);
    cx.age.lived_ms()
}

/// By what time versions are judged.
pub(crate) fn of_versions(cx: &mut Context) -> Age {
    cx.age.advance(cx.now);
    let day_ms = u64::try_from(cx.config.day.as_millis()).unwrap_or(u64::MAX);
    Age { now_ms: cx.age.believed_ms.min(cx.now.wall_ms), day_ms }
}

fn note_later(cx: &mut Context) {
    let (least, most) = NOTE_EVERY;
    let pause = (cx.config.lease / 64).clamp(least, most);
    let deadline = cx.now.mono + cx.jitter(pause);
    cx.timers.set(Timer::Age, deadline);
}

/// Time to make the clock durable.
pub(crate) fn on_timer(cx: &mut Context) {
    cx.age.advance(cx.now);
    let note = Write::Put { key: Bytes::from_static(schema::AGE), value: schema::encode(&cx.age.noted()) };
    answers::commit_quietly(cx, alloc::vec![note]);
    note_later(cx);
}

#[cfg(test)]
mod tests;
