//! Why gets ended early. A body that has begun cannot turn into an error answer: it is cut off, and whoever wants to know
//! the reason asks for it by the request's number.

use std::collections::VecDeque;
use std::sync::Mutex;

use forever_core::ids::RequestId;

use super::view::ErrorBody;

/// The latest failures kept. Whoever asks does so at once.
const KEPT_MAX: usize = 256;

/// The latest failures of gets whose body had begun.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    latest: Mutex<VecDeque<(RequestId, ErrorBody)>>,
}

impl Failures {
    pub(super) fn add(&self, request: RequestId, error: ErrorBody) {
        let mut latest = self.latest.lock().expect("no holder of this lock panics");
        if latest.len() == KEPT_MAX {
            latest.pop_front();
        }
        latest.push_back((request, error));
    }

    pub(super) fn get(&self, request: RequestId) -> Option<ErrorBody> {
        let latest = self.latest.lock().expect("no holder of this lock panics");
        let found = latest.iter().rev().find(|(failed, _)| *failed == request);
        found.map(|(_, error)| error.clone())
    }
}
