//! Everything but the bytes of files.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use forever_core::command::{Command, VersionSelector};
use forever_core::event::{StatusInfo, What};
use forever_core::ids::{NodeId, RequestId};
use forever_core::placement::{ParseReplicasError, Replicas};
use serde::Deserialize;

use super::steps::{self, Step};
use super::view::{
    DeleteView, ErrorBody, EvictView, ForgetView, HealthView, LeaveView, ListView, PeersView, PutView, RestoreStep,
    RestoreView, StatView, StatusView, UndeleteView, VersionsView, problems, version_text,
};
use super::{ApiError, Context, Shared, name_of};

/// Files on a page when the caller does not say.
const LIST_LIMIT: u32 = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatQuery {
    version: Option<String>,
    #[serde(default)]
    holders: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreQuery {
    #[serde(default)]
    dry_run: bool,
}

/// The query of a get: `?version=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionQuery {
    version: Option<String>,
}

/// The query of a put: `?replicas=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PutQuery {
    replicas: Option<String>,
}

impl PutQuery {
    pub(super) fn replicas(&self) -> Result<Option<Replicas>, ApiError> {
        let wrong = |text: &str, error: ParseReplicasError| ApiError::request(format!("replicas={text}: {error}"));
        let parse = |text: &String| text.parse().map_err(|error| wrong(text, error));
        self.replicas.as_ref().map(parse).transpose()
    }
}

impl VersionQuery {
    pub(super) fn selector(&self) -> Result<Option<VersionSelector>, ApiError> {
        selector(self.version.as_deref())
    }
}

pub(super) fn selector(text: Option<&str>) -> Result<Option<VersionSelector>, ApiError> {
    text.map(str::parse).transpose().map_err(|error| {
        let error: forever_core::command::ParseVersionError = error;
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_version", error.to_string())
    })
}

/// The query, with an error that is JSON like all others.
pub(super) fn query_of<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, ApiError> {
    query.map(|Query(query)| query).map_err(|error| ApiError::request(error.body_text()))
}

/// What the next event of a request holds, or how the request failed.
pub(super) fn expect<T>(event: Option<What>, pick: impl FnOnce(What) -> Option<T>) -> Result<T, ApiError> {
    let Some(what) = event else {
        return Err(ApiError::stopped());
    };
    if let What::Failed(error) = what {
        return Err(error.into());
    }
    pick(what).ok_or_else(ApiError::unexpected)
}

/// Asks for something that is answered by one event.
pub(super) async fn ask<T>(
    context: &Context,
    command: Command,
    pick: impl FnOnce(What) -> Option<T>,
) -> Result<T, ApiError> {
    let mut request = context.handle.request(command).await?;
    expect(request.next().await, pick)
}

pub(super) async fn list(
    State(shared): State<Shared>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<ListView>, ApiError> {
    let query = query_of(query)?;
    let command = Command::List { prefix: query.prefix, after: query.after, limit: query.limit.unwrap_or(LIST_LIMIT) };
    ask(&shared.context, command, |what| {
        let What::Listed { files, more } = what else {
            return None;
        };
        let files = files.into_iter().map(Into::into).collect();
        Some(Json(ListView { files, more }))
    })
    .await
}

pub(super) async fn stat(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<StatQuery>, QueryRejection>,
) -> Result<Json<StatView>, ApiError> {
    let query = query_of(query)?;
    let command =
        Command::Stat { name: name_of(path)?, version: selector(query.version.as_deref())?, holders: query.holders };
    ask(&shared.context, command, |what| {
        let What::Stat(stat) = what else { return None };
        Some(Json(stat.into()))
    })
    .await
}

pub(super) async fn versions(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<VersionsView>, ApiError> {
    let name = name_of(path)?;
    let text = String::from(name.clone());
    ask(&shared.context, Command::Versions { name }, |what| {
        let What::Versions(versions) = what else { return None };
        let versions = versions.into_iter().map(Into::into).collect();
        Some(Json(VersionsView { name: text, versions }))
    })
    .await
}

pub(super) async fn delete(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<DeleteView>, ApiError> {
    let name = name_of(path)?;
    let text = String::from(name.clone());
    ask(&shared.context, Command::Delete { name }, |what| {
        let What::Deleted(report) = what else { return None };
        Some(Json(DeleteView::new(text, &report)))
    })
    .await
}

pub(super) async fn undelete(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<UndeleteView>, ApiError> {
    let name = name_of(path)?;
    ask(&shared.context, Command::Undelete { name }, |what| {
        let What::Undeleted { file, write } = what else { return None };
        Some(Json(UndeleteView {
            name: file.name.into(),
            size: file.size,
            version: version_text(&write.version),
            replicas: write.replicas,
            pending: write.pending,
        }))
    })
    .await
}

pub(super) async fn evict(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<EvictView>, ApiError> {
    let name = name_of(path)?;
    let text = String::from(name.clone());
    ask(&shared.context, Command::Evict { name }, |what| {
        let What::Evicted { freed_bytes, promised_by } = what else {
            return None;
        };
        Some(Json(EvictView { name: text, freed_bytes, promised_by }))
    })
    .await
}

/// The answer to a put.
pub(super) fn put_view(what: What) -> Option<Json<PutView>> {
    let What::PutDone(report) = what else { return None };
    Some(Json(report.into()))
}

async fn ask_status(context: &Context) -> Result<StatusInfo, ApiError> {
    ask(context, Command::Status, |what| {
        let What::Status(status) = what else { return None };
        Some(status)
    })
    .await
}

pub(super) async fn status(State(shared): State<Shared>) -> Result<Json<StatusView>, ApiError> {
    let status = ask_status(&shared.context).await?;
    Ok(Json(StatusView::new(status, &shared.context)))
}

pub(super) async fn peers(State(shared): State<Shared>) -> Result<Json<PeersView>, ApiError> {
    ask(&shared.context, Command::Peers, |what| {
        let What::Peers(peers) = what else { return None };
        let peers = peers.into_iter().map(Into::into).collect();
        Some(Json(PeersView { peers }))
    })
    .await
}

pub(super) async fn leave(State(shared): State<Shared>) -> Result<Json<LeaveView>, ApiError> {
    ask(&shared.context, Command::Leave, |what| {
        let What::Left = what else { return None };
        Some(Json(LeaveView { left: true }))
    })
    .await
}

pub(super) async fn forget(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<ForgetView>, ApiError> {
    let Path(text) = path.map_err(|error| ApiError::request(error.body_text()))?;
    let node: NodeId = text.parse().map_err(|_| ApiError::request("a node ID has 64 hex digits"))?;
    ask(&shared.context, Command::Forget { node }, |what| {
        let What::Forgotten = what else { return None };
        Some(Json(ForgetView { node }))
    })
    .await
}

pub(super) async fn health(State(shared): State<Shared>) -> Response {
    let problems = match ask_status(&shared.context).await {
        Ok(status) => problems(&status),
        Err(error) => vec![error.body().message.clone()],
    };
    let (code, status) =
        if problems.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "degraded") };
    let status = status.to_owned();
    (code, Json(HealthView { status, problems })).into_response()
}

/// Why the body of a get ended early.
pub(super) async fn failure(
    State(shared): State<Shared>,
    path: Result<Path<u64>, PathRejection>,
) -> Result<Json<ErrorBody>, ApiError> {
    let Path(number) = path.map_err(|error| ApiError::request(error.body_text()))?;
    let failure = shared.failures.get(RequestId(number)).map(Json);
    failure.ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, "no_failure", "no such get has failed lately"))
}

/// Brings the owner's namespace back, or lists what would be brought back, and streams its steps.
pub(super) async fn restore(
    State(shared): State<Shared>,
    query: Result<Query<RestoreQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let RestoreQuery { dry_run } = query_of(query)?;
    steps::stream::<RestoreStep>(shared.context.handle.request(Command::Restore { dry_run }).await?).await
}

impl Step for RestoreStep {
    fn of(what: What) -> Option<Self> {
        if let What::RestoreProgress(report) = what {
            Some(Self::Report(RestoreView::new(false, &report)))
        } else if let What::Restored(report) = what {
            Some(Self::Report(RestoreView::new(true, &report)))
        } else if let What::RestoreFound(file) = what {
            Some(Self::Found { found: file.into() })
        } else {
            None
        }
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::Report(view) if view.done)
    }
}
