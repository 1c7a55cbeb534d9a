//! Which of the records found is the one asked for, and what to say if there is none.

use alloc::string::ToString;

use crate::command::VersionSelector;
use crate::event::RequestError;
use crate::ids::RecordId;
use crate::node::age;
use crate::node::context::Context;
use crate::node::locate::Located;
use crate::planted;
use crate::record::{RecordBody, SignedRecord};

/// The record of a file asked for: the version named, or the winner.
///
/// # Errors
/// `NotFound` if there is none or the newest is a tombstone, `NoSuchVersion` if there are others, `Unavailable` if nobody
/// who might know could be asked, `Disk` if this disk could not be read, which may have had a newer one.
pub(crate) fn choose(
    cx: &Context,
    located: &Located,
    version: Option<VersionSelector>,
) -> Result<SignedRecord, RequestError> {
    if located.records.is_empty() {
        return Err(nothing_found(cx, located));
    }
    let found = match version {
        None if planted!(cx.simulation, TiesGoToTheOlder) => {
            located.records.iter().rev().max_by_key(|record| record.record.version.wall_ms)
        }
        None => located.records.winner(),
        Some(wanted) => located.records.iter().find(|record| wanted.matches(&record.record.version)),
    };
    if located.disk_failed && (version.is_none() || found.is_none()) {
        // What this disk holds may be newer than what peers have, or be the version asked for.
        return Err(disk_failed());
    }
    match found {
        Some(record) if record.record.body.is_file() => Ok(record.clone()),
        Some(_) => Err(RequestError::NotFound),
        None => Err(RequestError::NoSuchVersion),
    }
}

fn disk_failed() -> RequestError {
    RequestError::Disk("the index could not be read".to_string())
}

/// The version of a deleted file that was before its deletion, if the name keeps it still.
///
/// # Errors
/// `NotFound` if nothing is known of the name, `NotDeleted` if its newest version is a file, `NotKept` if what was deleted has
/// gone, `Unavailable` if it may be with someone who could not be asked, `Disk` if this disk could not be read.
pub(crate) fn before_deletion(cx: &mut Context, located: &Located) -> Result<SignedRecord, RequestError> {
    let Some(newest) = located.records.winner() else { return Err(nothing_found(cx, located)) };
    if located.disk_failed {
        return Err(disk_failed());
    }
    if newest.record.body.is_file() {
        return Err(RequestError::NotDeleted);
    }
    let kept = located.records.kept(age::of_versions(cx));
    let mut files = kept.iter().filter(|record| record.record.body.is_file());
    let before = if planted!(cx.simulation, UndeleteBringsOldest) { files.next() } else { files.next_back() };
    if let Some(before) = before {
        return Ok(before.clone());
    }
    let error = nothing_found(cx, located);
    Err(if error == RequestError::NotFound { RequestError::NotKept } else { error })
}

/// The record that a ticket names, and no other of its name.
///
/// # Errors
/// `NoSuchVersion` if it is not among those found, `TicketGone` if its owner has deleted the file since, `Unavailable` if it
/// may be with someone who could not be asked.
pub(crate) fn shared(cx: &Context, located: &Located, wanted: RecordId) -> Result<SignedRecord, RequestError> {
    if located.disk_failed {
        // This disk may have the deletion that makes the ticket void.
        return Err(disk_failed());
    }
    let Some(found) = located.records.iter().find(|record| record.id == wanted) else {
        let error = nothing_found(cx, located);
        if error != RequestError::NotFound {
            return Err(error);
        }
        // Everybody has been asked already if there is nothing here.
        let nobody_has_any = located.records.is_empty();
        return Err(if nobody_has_any { RequestError::TicketGone } else { RequestError::NoSuchVersion });
    };
    let mut tombstones = located.records.iter().filter(|record| record.record.body == RecordBody::Tombstone);
    let deleted = tombstones.any(|deleted| deleted.rank() >= found.rank());
    if deleted && !planted!(cx.simulation, TicketOutlivesDelete) {
        return Err(RequestError::TicketGone);
    }
    Ok(found.clone())
}

fn nothing_found(cx: &Context, located: &Located) -> RequestError {
    if located.disk_failed {
        return disk_failed();
    }
    let others = cx.members.count() + cx.strangers();
    if located.alone && others > 0 {
        let troubles = cx.dials.troubles();
        return RequestError::Unavailable(alloc::format!("no peer is connected that could be asked. {troubles}"));
    }
    if let Some(silent) = located.silent.first() {
        return RequestError::Unavailable(alloc::format!("node {silent} gave no answer, and nobody else has it"));
    }
    if located.holders_away {
        let troubles = cx.dials.troubles();
        return RequestError::Unavailable(alloc::format!("no node that is to hold it can be asked. {troubles}"));
    }
    RequestError::NotFound
}
