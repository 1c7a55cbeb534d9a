//! What a get reads: a version of a name of this node's own owner, or the one version that a ticket opens.

use crate::command::VersionSelector;
use crate::event::RequestError;
use crate::ids::RequestId;
use crate::manifest::PageContext;
use crate::name::Name;
use crate::node::choose;
use crate::node::context::Context;
use crate::node::get::GetStep;
use crate::node::locate::{self, Located, Scope};
use crate::node::page_loader::Opening;
use crate::node::pending::Pending;
use crate::node::task::TaskStep;
use crate::planted;
use crate::record::SignedRecord;
use crate::ticket::{SignedTicket, Ticket};
use crate::work::{WorkOp, WorkResult};

/// What a get reads.
#[derive(Debug)]
pub(crate) enum Source {
    /// A name of this node's owner: the version named, or the newest.
    Own { name: Name, version: Option<VersionSelector> },
    /// What a ticket opens, once its signature is verified.
    Unverified(SignedTicket),
    /// What a valid ticket opens.
    Shared(Ticket),
}

impl Source {
    pub(crate) fn of_name(name: Name, version: Option<VersionSelector>) -> Self {
        Self::Own { name, version }
    }

    pub(crate) fn of_ticket(ticket: SignedTicket) -> Self {
        Self::Unverified(ticket)
    }

    pub(crate) fn is_ticket(&self) -> bool {
        match self {
            Self::Own { .. } => false,
            Self::Unverified(_) | Self::Shared(_) => true,
        }
    }

    /// Looks for the records, or verifies the ticket first.
    pub(crate) fn start(&self, cx: &mut Context, request: RequestId) {
        match self {
            Self::Own { .. } | Self::Shared(_) => self.locate(cx, request, Scope::LocalFirst),
            Self::Unverified(ticket) => {
                let pending = Pending::Task(request, TaskStep::Get(GetStep::Ticket));
                cx.work(WorkOp::VerifyTicket { ticket: ticket.clone() }, pending);
            }
        }
    }

    /// The ticket is verified: if it is valid now, the records are looked for.
    pub(crate) fn on_verified(
        &mut self,
        cx: &mut Context,
        request: RequestId,
        result: WorkResult,
    ) -> Result<(), RequestError> {
        let WorkResult::TicketVerified(verified) = result else {
            panic!("the verification of a ticket was completed by {result:?}")
        };
        let ticket = verified?;
        let expired = ticket.expired_for_ms(cx.now.wall_ms).filter(|_| !planted!(cx.simulation, TicketNeverExpires));
        if let Some(ago_ms) = expired {
            return Err(RequestError::TicketExpired { ago_s: ago_ms / 1_000 });
        }
        *self = Self::Shared(ticket);
        self.locate(cx, request, Scope::LocalFirst);
        Ok(())
    }

    /// Looks for the records of the name. Answered by a call of `on_located`.
    pub(crate) fn locate(&self, cx: &mut Context, request: RequestId, scope: Scope) {
        match self {
            Self::Own { name, .. } => locate::start(cx, request, cx.keys.name_id(name), scope),
            Self::Shared(ticket) => locate::start_of(cx, request, ticket.owner, ticket.name_id, scope),
            Self::Unverified(_) => {}
        }
    }

    /// Which of the records found is meant.
    ///
    /// # Errors
    /// Those of [`choose::choose`] and [`choose::shared`].
    pub(crate) fn choose(&self, cx: &Context, located: &Located) -> Result<SignedRecord, RequestError> {
        match self {
            Self::Own { version, .. } => choose::choose(cx, located, *version),
            Self::Shared(ticket) => choose::shared(cx, located, ticket.record),
            Self::Unverified(_) => Err(RequestError::NotFound),
        }
    }

    /// How the root page is opened.
    pub(crate) fn opening(&self, context: PageContext) -> Opening {
        match self {
            Self::Own { .. } | Self::Unverified(_) => Opening::Root(context),
            Self::Shared(ticket) => Opening::Keyed(context, ticket.root_key.clone()),
        }
    }
}
