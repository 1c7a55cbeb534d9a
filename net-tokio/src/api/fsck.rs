//! Checks of the store beside the node's work, and what they have it repair.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use forever_core::command::Command;
use forever_core::event::What;
use forever_core::path::PathTransform;
use forever_core::secrets::OwnerKeys;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

use super::query::query_of;
use super::steps::line;
use super::view::StepLine;
use super::{ApiError, Shared};
use crate::handle::Handle;
use crate::store::check::{self, Check, FindingView, Progress, Report, Step, Totals};
use crate::store::{NotNow, OpenError, OpenStore, Store};

/// How often a check says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Steps that may wait for whoever reads them.
const STEPS_MAX: usize = 64;

/// What checks of a running node's store need.
#[derive(Clone)]
pub struct Checker {
    /// The store.
    pub store: OpenStore,
    /// Its folder.
    pub root: PathBuf,
    /// Where blobs lie.
    pub path: PathTransform,
    /// The owner's keys, which open names.
    pub keys: Arc<OwnerKeys>,
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checker").field("root", &self.root).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FsckQuery {
    #[serde(default)]
    deep: bool,
    #[serde(default)]
    repair: bool,
}

/// A step of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum CheckStep {
    /// It looks at something.
    Progress {
        /// `blobs`, `blob_bytes`, `pages`, `records`, `files`, or `mending`.
        at: String,
        /// How many of them, or of their bytes, have been looked at.
        done: u64,
        /// How many there are, if known.
        total: Option<u64>,
    },
    /// It found something.
    Finding(FindingView),
    /// It is over.
    Done(Totals),
}

impl CheckStep {
    fn of(progress: Progress) -> Self {
        Self::Progress { at: progress.step.name().to_owned(), done: progress.done, total: progress.total }
    }
}

type Steps = mpsc::Sender<StepLine<CheckStep>>;

/// Checks the store. A caller that goes away ends it.
pub(super) async fn fsck(
    State(shared): State<Shared>,
    query: Result<Query<FsckQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let query = query_of(query)?;
    let checker = shared.context.checker.clone().ok_or_else(ApiError::no_endpoint)?;
    let handle = shared.context.handle.clone();
    let (steps, mut told) = mpsc::channel(STEPS_MAX);
    tokio::spawn(async move {
        if let Err(error) = run(&checker, &handle, query, &steps).await {
            let _ = steps.send(StepLine::Error(error.body().clone())).await;
        }
    });
    let lines = async_stream::stream! {
        while let Some(step) = told.recv().await {
            yield line(&step);
        }
    };
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

async fn run(checker: &Checker, handle: &Handle, query: FsckQuery, steps: &Steps) -> Result<(), ApiError> {
    let mut report = check(checker, query.deep, steps).await?;
    if query.repair && !report.findings.is_empty() {
        repair(checker, &report).await?;
        if !report.is_in_order() {
            mend(handle, steps).await?;
        }
        // The scrub has read every blob.
        let after = check(checker, false, steps).await?;
        report = check::after_mending(report, after);
    }
    let own = checker.keys.owner_id();
    for finding in &report.findings {
        send(steps, CheckStep::Finding(FindingView::of(finding, Some(own), true))).await;
    }
    send(steps, CheckStep::Done(Totals::of(&report))).await;
    Ok(())
}

async fn send(steps: &Steps, step: CheckStep) {
    // Whoever has gone away needs no answer.
    let _ = steps.send(StepLine::Step(step)).await;
}

async fn check(checker: &Checker, deep: bool, steps: &Steps) -> Result<Report, ApiError> {
    let steps = steps.clone();
    on_store(checker, move |checker, store, stops| {
        let what = Check { root: &checker.root, path: checker.path, deep, keys: Some(&checker.keys) };
        let mut told: Option<(Step, Instant)> = None;
        let mut watch = |progress: Progress| {
            if told.is_none_or(|(step, at)| step != progress.step || at.elapsed() >= PROGRESS_EVERY) {
                told = Some((progress.step, Instant::now()));
                // Whoever reads too slowly misses some.
                let _ = steps.try_send(StepLine::Step(CheckStep::of(progress)));
            }
        };
        check::check_open(store, &what, &|| stops() || steps.is_closed(), &mut watch)
    })
    .await?
    .map_err(|error| of_store(&error))
}

async fn repair(checker: &Checker, report: &Report) -> Result<(), ApiError> {
    let report = report.clone();
    on_store(checker, move |_, store, _| check::repair_open(store, &report)).await
}

/// Runs something on the store, on a thread that may block.
async fn on_store<T: Send + 'static>(
    checker: &Checker,
    run: impl FnOnce(&Checker, &Store, &dyn Fn() -> bool) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let checker = checker.clone();
    let done =
        tokio::task::spawn_blocking(move || checker.store.clone().check(|store, stops| run(&checker, store, stops)));
    match done.await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(NotNow::Busy)) => {
            Err(ApiError::new(StatusCode::CONFLICT, "busy", "another check is under way: wait for its end"))
        }
        Ok(Err(NotNow::Closing)) => Err(ApiError::stopped()),
        Err(_) => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the check failed; please report this with what the log says",
        )),
    }
}

fn of_store(error: &OpenError) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "store", error.to_string())
}

/// Has the node read all it holds, put aside what is damaged, and bring it back from its peers.
async fn mend(handle: &Handle, steps: &Steps) -> Result<(), ApiError> {
    let mut request = handle.request(Command::Scrub { from_start: true }).await?;
    loop {
        match request.next().await {
            Some(What::ScrubProgress(report)) => {
                let (done, total) = (report.bytes, Some(report.bytes_total));
                send(steps, CheckStep::Progress { at: "mending".to_owned(), done, total }).await;
            }
            Some(What::Scrubbed(_)) => return Ok(()),
            Some(What::Failed(error)) => return Err(error.into()),
            Some(_) => return Err(ApiError::unexpected()),
            None => return Err(ApiError::stopped()),
        }
        if steps.is_closed() {
            return Err(ApiError::stopped());
        }
    }
}
