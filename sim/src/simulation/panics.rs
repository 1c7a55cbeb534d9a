//! Panics as values: silent, with message and place.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// Ends the place in a message.
const AFTER_PLACE: &str = ": ";

thread_local! {
    /// The messages of this thread's panics while they are being caught.
    static CAUGHT: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs something. A panic that a runtime caught on the way is one all the same: simulated tasks must not die unnoticed.
pub(crate) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !keep(info) {
                before(info);
            }
        }));
    });
    let outer = CAUGHT.replace(Some(Vec::new()));
    // What it leaves half-done is never looked at again: only the trace is, which is whole between two events.
    let result = catch_unwind(AssertUnwindSafe(run));
    let first = CAUGHT.replace(outer).and_then(|messages| messages.into_iter().next());
    match (result, first) {
        (Ok(value), None) => Ok(value),
        (Ok(_) | Err(_), Some(message)) => Err(message),
        (Err(_), None) => Err("unwound without a panic".into()),
    }
}

/// Runs something that, if `tolerated`, catches panics of its own on purpose: those are none.
pub(crate) fn tolerating<T>(tolerated: bool, run: impl FnOnce() -> T) -> T {
    if !tolerated {
        return run();
    }
    let outer = CAUGHT.replace(Some(Vec::new()));
    let result = catch_unwind(AssertUnwindSafe(run));
    let inner = CAUGHT.replace(outer);
    result.unwrap_or_else(|payload| {
        // It did not catch this one.
        CAUGHT.with_borrow_mut(|caught| caught.get_or_insert_default().extend(inner.into_iter().flatten()));
        std::panic::resume_unwind(payload)
    })
}

/// Where a caught panic happened.
pub(crate) fn place(message: &str) -> &str {
    message.split_once(AFTER_PLACE).map_or(message, |(place, _)| place)
}

fn keep(info: &PanicHookInfo<'_>) -> bool {
    CAUGHT.with_borrow_mut(|caught| {
        let Some(messages) = caught else { return false };
        let payload = info.payload();
        let text = (payload.downcast_ref::<&str>().copied())
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let place = info.location().map_or_else(|| "nowhere".into(), |at| format!("{}:{}", at.file(), at.line()));
        messages.push(format!("panicked at {place}{AFTER_PLACE}{}", text.replace('\n', " ")));
        true
    })
}
