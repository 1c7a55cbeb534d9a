//! Deleting a name: a signed tombstone, published like any other record.

use alloc::collections::BTreeSet;

use crate::event::{RequestError, What, WriteReport};
use crate::ids::RequestId;
use crate::name::Name;
use crate::node::choose;
use crate::node::context::Context;
use crate::node::locate::{self, Located, Scope};
use crate::node::page_store::RecordPages;
use crate::node::publish::{self, stamp};
use crate::node::task::{Flow, Task};
use crate::placement::Replicas;
use crate::planted;
use crate::record::{RecordBody, SignedRecord};
use crate::version::Version;

/// A delete.
#[derive(Debug)]
pub(crate) struct Delete {
    id: RequestId,
    name: Name,
    /// The most of any version known, so that it reaches all who hold one.
    replicas: Replicas,
    stamps: u32,
}

impl Delete {
    pub(crate) fn new(id: RequestId, name: Name, replicas: Replicas) -> Self {
        Self { id, name, replicas, stamps: 0 }
    }

    fn publish(&mut self, cx: &mut Context) -> Flow {
        self.stamps += 1;
        let asked = Version { wall_ms: cx.now.wall_ms, counter: 0, node: cx.me };
        let stamped = if planted!(cx.simulation, TombstoneOlderThanPut) { Ok(asked) } else { stamp(cx, self.stamps) };
        let version = match stamped {
            Ok(version) => version,
            Err(error) => {
                cx.fail(self.id, error);
                return Flow::Done;
            }
        };
        let record = publish::sign(cx, &self.name, version, self.replicas, RecordBody::Tombstone);
        publish::start(cx, self.id, record, &RecordPages::default(), BTreeSet::new());
        Flow::Continue
    }
}

impl Task for Delete {
    fn start(&mut self, cx: &mut Context) -> Flow {
        locate::start(cx, self.id, cx.keys.name_id(&self.name), Scope::LocalFirst);
        cx.expect_progress(self.id);
        Flow::Continue
    }

    fn on_located(&mut self, cx: &mut Context, located: Located) -> Flow {
        if let Err(error) = choose::choose(cx, &located, None) {
            cx.fail(self.id, error);
            return Flow::Done;
        }
        if !planted!(cx.simulation, TombstoneAsConfigured) {
            self.replicas = located.records.replicas(self.replicas);
        }
        self.publish(cx)
    }

    fn on_superseded(&mut self, cx: &mut Context, by: &SignedRecord) -> Flow {
        self.replicas = self.replicas.max(by.record.retention.replicas);
        self.publish(cx)
    }

    fn on_published(&mut self, cx: &mut Context, result: Result<WriteReport, RequestError>) -> Flow {
        let what = match result {
            Ok(report) => What::Deleted(report),
            Err(error) => What::Failed(error),
        };
        cx.event(self.id, what);
        Flow::Done
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        let silence = RequestError::Deadline(cx.config.request_timeout.as_secs());
        let error = publish::on_timeout(cx, self.id).unwrap_or(silence);
        cx.fail(self.id, error);
        Flow::Done
    }

    fn on_end_of_task(&mut self, cx: &mut Context) {
        locate::cancel(cx, self.id);
        publish::cancel(cx, self.id);
    }
}
