//! The last line of `forever fsck`.

use forever_net_tokio::store::check::Totals;

use crate::cli::{Exit, human_bytes};

pub(super) fn exit(totals: &Totals) -> Exit {
    match (totals.beyond_repair, totals.in_order) {
        (true, _) => Exit::Integrity,
        (false, true) => Exit::Done,
        (false, false) => Exit::Failed,
    }
}

pub(super) fn text(totals: &Totals, deep: bool) -> String {
    let how = if deep {
        format!("all {} read and hashed", human_bytes(totals.summary.hashed_bytes))
    } else {
        "not read: --deep hashes every one".to_owned()
    };
    format!(
        "records   {} in order, {} of them deletions and {} checkpoints\n\
         versions  {} whole, {} evicted, {} not whole\n\
         pages     {}, {} that no record needs\n\
         blobs     {} ({}), {} damaged, {} that no record needs ({}); {how}\n\
         files     {} that the index does not know, {} unfinished, {} in quarantine\n\
         result    {}",
        totals.summary.records,
        totals.summary.tombstones,
        totals.summary.checkpoints,
        totals.summary.whole,
        totals.summary.evicted,
        totals.summary.incomplete,
        totals.summary.pages,
        totals.summary.unreferenced_pages,
        totals.summary.blobs,
        human_bytes(totals.summary.blob_bytes),
        totals.summary.damaged_blobs,
        totals.summary.unreferenced_blobs,
        human_bytes(totals.summary.unreferenced_bytes),
        totals.orphans,
        totals.temp_files,
        totals.quarantined,
        result(totals),
    )
}

fn result(totals: &Totals) -> String {
    let mut parts = Vec::new();
    if totals.beyond_repair {
        parts.push(format!("{} lost here: only other nodes can give it back, as said above", totals.lost));
    }
    if totals.wrong > 0 {
        parts.push(format!("{} not in order: see above", totals.wrong));
    }
    if totals.repaired > 0 {
        parts.push(format!("{} repaired", totals.repaired));
    }
    if totals.mended > 0 {
        parts.push(format!("{} given back by peers", totals.mended));
    }
    if totals.summary.unlisted > 0 {
        parts.push(format!("{} more that are not listed: repair, then check again", totals.summary.unlisted));
    }
    if totals.in_order {
        parts.push("in order".to_owned());
    }
    parts.join("; ")
}
