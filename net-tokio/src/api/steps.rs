//! Requests that take long and tell how they go on: one line of JSON for each step.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use forever_core::event::What;
use serde::Serialize;

use super::ApiError;
use super::query::expect;
use super::view::StepLine;
use crate::handle::Request;

/// A step of a request.
pub(super) trait Step: Serialize + Send + 'static {
    /// The step that an event tells of.
    fn of(what: What) -> Option<Self>
    where
        Self: Sized;

    /// Whether none follows.
    fn is_last(&self) -> bool;
}

/// Streams the steps of a request. What fails before the first one is an ordinary error; later, the last line is the error.
pub(super) async fn stream<T: Step>(mut request: Request) -> Result<Response, ApiError> {
    let first = expect(request.next().await, T::of)?;
    let lines = async_stream::stream! {
        let mut step = first;
        loop {
            let is_last = step.is_last();
            yield line(&StepLine::Step(step));
            if is_last {
                break;
            }
            step = match expect(request.next().await, T::of) {
                Ok(step) => step,
                Err(error) => {
                    yield line(&StepLine::<T>::Error(error.body().clone()));
                    break;
                }
            };
        }
    };
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

pub(super) fn line<T: Serialize>(line: &StepLine<T>) -> Result<Bytes, Infallible> {
    let mut json = serde_json::to_vec(line).expect("numbers and texts are always JSON");
    json.push(b'\n');
    Ok(json.into())
}
