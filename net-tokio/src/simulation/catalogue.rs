//! The buggify points and probes of the engine, the channel, links and the driver; those of the core are in
//! [`forever_core::simulation`].

/// The buggify points, with what happens when one fires.
pub const SITES: &[(&str, &str)] = &[
    ("channel.rekey-often", "channels change their keys every 4,096 bytes (for a run, on all nodes)"),
    ("channel.short-write", "a write takes a third of what it is given"),
    ("drive.batch-of-none", "the driver takes one input a turn"),
    ("link.batch-of-one", "a frame goes out in a write of its own"),
    ("store.read-under-lock", "a blob is read under its lock, as after a failed read"),
];

/// The probes, with the state that reaches each.
pub const PROBES: &[(&str, &str)] = &[
    ("channel.damaged-frame-refused", "a frame that did not authenticate was refused"),
    ("drive.caller-gone", "a caller had gone before its answer came"),
    ("link.broken-in-mid-frame", "a connection broke"),
    ("link.closed-in-order", "a link was closed after all that was sent had left"),
    ("store.damaged-blob-put-aside", "a damaged blob was moved to the quarantine"),
    ("store.damaged-blob-rewritten", "a blob that was found damaged when it was to be written is written anew"),
    ("store.index-frozen", "the index could only be read after a failure"),
    ("store.index-opened-again", "the index was opened again after a failure"),
    ("store.orphan-removed", "a file that no row points to was removed"),
    ("store.sync-failed", "a failed sync degraded a disk"),
    ("store.torn-write-swept", "a file that a crash left half written was removed"),
];
