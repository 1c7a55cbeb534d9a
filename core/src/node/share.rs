//! Sharing: a ticket for one version of a file, made of its record and the key that opens its root page.

use alloc::string::ToString;
use core::ops::RangeInclusive;

use crate::command::VersionSelector;
use crate::event::{self, RequestError, What};
use crate::ids::RequestId;
use crate::name::Name;
use crate::node::choose;
use crate::node::context::Context;
use crate::node::locate::{self, Located, Scope};
use crate::node::page_loader::{LoadedPage, PageFailure};
use crate::node::query::{self, info_of, load_root};
use crate::node::task::{Flow, Task};
use crate::record::SignedRecord;
use crate::ticket::{SignedTicket, Ticket, VALID_MS_MAX};

/// For how long a ticket may be valid, in milliseconds.
pub(crate) const VALID_MS: RangeInclusive<u64> = 1_000..=VALID_MS_MAX;

/// A share.
#[derive(Debug)]
pub(crate) struct Share {
    id: RequestId,
    name: Name,
    version: Option<VersionSelector>,
    valid_ms: u64,
    asked_everywhere: bool,
    record: Option<SignedRecord>,
}

impl Share {
    pub(crate) fn new(id: RequestId, name: Name, version: Option<VersionSelector>, valid_ms: u64) -> Self {
        Self { id, name, version, valid_ms, asked_everywhere: false, record: None }
    }

    fn fail(&self, cx: &mut Context, error: RequestError) -> Flow {
        cx.fail(self.id, error);
        Flow::Done
    }

    /// Signs the ticket of a root page that is open.
    fn ticket(&self, cx: &Context, page: &LoadedPage) -> Option<event::Share> {
        let record = self.record.as_ref()?;
        let file = info_of(record, page)?;
        let ticket = Ticket {
            owner: cx.owner,
            name_id: record.record.name_id,
            record: record.id,
            root_key: page.key.clone()?,
            expires_ms: cx.now.wall_ms.saturating_add(self.valid_ms),
        };
        Some(event::Share { file, expires_ms: ticket.expires_ms, ticket: SignedTicket::sign(&cx.keys, &ticket) })
    }
}

impl Task for Share {
    fn start(&mut self, cx: &mut Context) -> Flow {
        locate::start(cx, self.id, cx.keys.name_id(&self.name), Scope::LocalFirst);
        cx.expect_progress(self.id);
        Flow::Continue
    }

    fn on_located(&mut self, cx: &mut Context, located: Located) -> Flow {
        match choose::choose(cx, &located, self.version) {
            Ok(record) => {
                load_root(cx, self.id, 0, &record);
                self.record = Some(record);
                Flow::Continue
            }
            Err(RequestError::NoSuchVersion) if !self.asked_everywhere => {
                self.asked_everywhere = true;
                locate::start(cx, self.id, cx.keys.name_id(&self.name), Scope::Everybody);
                Flow::Continue
            }
            Err(error) => self.fail(cx, error),
        }
    }

    fn on_page(&mut self, cx: &mut Context, _number: u64, result: Result<LoadedPage, PageFailure>) -> Flow {
        let error = match result {
            Ok(page) => match self.ticket(cx, &page) {
                Some(share) => {
                    cx.event(self.id, What::Shared(share));
                    return Flow::Done;
                }
                None => RequestError::Integrity("the manifest's root is not a root".to_string()),
            },
            Err(failure) => failure.into(),
        };
        self.fail(cx, error)
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        query::timed_out(cx, self.id)
    }

    fn on_end_of_task(&mut self, cx: &mut Context) {
        query::end(cx, self.id);
    }
}
