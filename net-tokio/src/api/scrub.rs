//! Scrubs that are asked for.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use forever_core::command::Command;
use forever_core::event::What;
use serde::Deserialize;

use super::query::query_of;
use super::steps::{self, Step};
use super::view::ScrubView;
use super::{ApiError, Shared};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScrubQuery {
    #[serde(default)]
    restart: bool,
}

impl Step for ScrubView {
    fn of(what: What) -> Option<Self> {
        if let What::ScrubProgress(report) = what {
            Some(Self::new(false, &report))
        } else if let What::Scrubbed(report) = what {
            Some(Self::new(true, &report))
        } else {
            None
        }
    }

    fn is_last(&self) -> bool {
        self.done
    }
}

/// Reads and checks everything on this disk. A caller that goes away ends it, and the next goes on there.
pub(super) async fn scrub(
    State(shared): State<Shared>,
    query: Result<Query<ScrubQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let command = Command::Scrub { from_start: query_of(query)?.restart };
    steps::stream::<ScrubView>(shared.context.handle.request(command).await?).await
}
