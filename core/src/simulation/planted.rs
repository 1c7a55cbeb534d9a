//! Bugs put into the code on purpose, one at a time: the proof that the simulator finds bugs. Each is a mistake that an
//! engineer could make where it stands, and none has a test of its own.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Defines the bugs. `needs` names what a run must have for the bug to show: families of faults, or kinds of operations.
macro_rules! bugs {
    ($($bug:ident $name:literal in $part:literal needs [$($needs:literal),*], $about:literal;)+) => {
        /// A bug put into the code on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum PlantedBug {
            $(
                #[doc = $about]
                #[serde(rename = $name)]
                $bug,
            )+
        }

        impl PlantedBug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug),+];

            /// Its name on a command line and in a case file.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$bug => $name),+ }
            }

            /// The file that has it.
            #[must_use]
            pub const fn part(self) -> &'static str {
                match self { $(Self::$bug => $part),+ }
            }

            /// What a run must have for it to show: families of faults (`network`, `process`, `clock`, `disk`, `liar`,
            /// `buggify`), each as often as it must strike.
            #[must_use]
            pub const fn needs(self) -> &'static [&'static str] {
                match self { $(Self::$bug => &[$($needs),*]),+ }
            }

            /// What is wrong, in one sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$bug => $about),+ }
            }
        }
    };
}

bugs! {
    SkipHashCheck "skip-hash-check" in "core/node/get.rs" needs ["liar"],
        "A fetched blob is checked against the hash of what came, not against the one that the manifest names.";
    RepairTrustsIndex "repair-trusts-index" in "core/node/get.rs" needs ["disk"],
        "A get that meets a damaged blob trusts that the index has it, and asks nobody else for it.";
    RangeOffByOne "range-off-by-one" in "core/node/get.rs" needs [],
        "The last byte of a range is taken for its end.";
    TrustFetchedBlob "trust-fetched-blob" in "core/node/pull/chunks.rs" needs ["liar", "network"],
        "A blob that a pull fetched is stored without a look at its hash; it shows when a replica that missed the upload pulls from a liar.";
    ManifestOffByOne "manifest-off-by-one" in "core/node/pull/pages.rs" needs ["network"],
        "A pull goes through a page of the manifest up to the last entry but one; it shows when a replica missed the upload.";
    CountRefusedReplica "count-refused-replica" in "core/node/publish.rs" needs ["disk"],
        "A replica that refused a record is counted as one that stored it.";
    AckBeforeReplicas "ack-before-replicas" in "core/node/publish.rs" needs [],
        "A write is acknowledged once its replicas have been told, not once they have it.";
    TombstoneOlderThanPut "tombstone-older-than-put" in "core/node/remove.rs" needs ["clock"],
        "A tombstone is stamped by the wall clock, so that it may be older than the put it deletes.";
    StampByWallClock "stamp-by-wall-clock" in "core/node/publish.rs" needs ["clock"],
        "Versions are stamped by the wall clock alone, whatever was stamped or seen before.";
    RankByReachable "rank-by-reachable" in "core/node/cluster.rs" needs ["network"],
        "Holders are chosen among the nodes that can be reached, so that two sides of a partition place a name differently.";
    StandInIsHolder "stand-in-is-holder" in "core/node/publish.rs" needs ["network"],
        "A holder in whose place another node has taken a write is no longer owed it.";
    FullIsSettled "full-is-settled" in "core/node/outbox.rs" needs ["disk"],
        "What a peer refused because its disk was full is no longer owed.";
    TombstoneAsConfigured "tombstone-as-configured" in "core/node/cluster.rs" needs ["network"],
        "A deletion is owed to as many nodes as is usual, not to everybody, although any member may have a version that it deletes.";
    OutboxSkipsAbsent "outbox-skips-absent" in "core/node/publish.rs" needs ["network"],
        "A record is owed only to the members that are connected when it is written.";
    LostIsDelivered "lost-is-delivered" in "core/node/outbox.rs" needs ["network"],
        "A delivery whose link went before the answer came is struck off.";
    StruckOffWhenRead "struck-off-when-read" in "core/node/outbox.rs" needs ["process", "network"],
        "A debt is struck off when it is read, not when it is paid; it shows when a peer was away, and its link breaks when it is back.";
    DeliveryForgotten "delivery-forgotten" in "core/node/outbox.rs" needs ["process", "disk"],
        "What is owed to a peer and could not be read is not read again until the link to it is made anew.";
    TimerNotRearmed "timer-not-rearmed" in "core/node/outbox.rs" needs ["disk"],
        "Deliveries that a peer refused are not tried again, because nobody sets the timer.";
    BusyIsStored "busy-is-stored" in "core/node/outbox.rs" needs ["buggify"],
        "A peer that is too busy for a record is taken to have it.";
    OutboxFirstBatch "outbox-first-batch" in "core/node/outbox.rs" needs ["process", "buggify"],
        "Of the deliveries owed to a peer that was away, only the first batch is made.";
    CreditLeak "credit-leak" in "core/node/serve.rs" needs [],
        "Credit of a want that is served to its end is not given back.";
    FetchAsksOnce "fetch-asks-once" in "core/node/fetch.rs" needs ["process", "disk"],
        "A fetch that one holder cannot serve is given up; it shows when the data is not here, and one of its holders lacks it.";
    ReuseOpId "reuse-op-id" in "core/node/context.rs" needs ["disk"],
        "Numbers of operations start over while an old one is still under way.";
    HotCacheUnbounded "hot-cache-unbounded" in "core/node/context.rs" needs [],
        "The cache of sealed blobs is given no bound.";
    EvictCountsRefusals "evict-counts-refusals" in "core/node/evict.rs" needs ["network"],
        "An evict counts peers that refused a promise.";
    EvictIgnoresReferences "evict-ignores-references" in "core/node/evict.rs" needs [],
        "An evict drops chunks that other files share.";
    CollectIgnoresReferences "collect-ignores-references" in "core/node/collect/pages.rs" needs [],
        "The collector drops the chunks of a page that is gone whatever other pages need.";
    CollectForgetsReferences "collect-forgets-references" in "core/node/collect/pages.rs" needs [],
        "The collector leaves the references of a page that is gone, so that its chunks stay for ever.";
    CollectIgnoresDays "collect-ignores-days" in "core/node/collect/names.rs" needs [],
        "The collector removes versions beyond those that are kept by number, however young they are.";
    TombstoneForgotten "tombstone-forgotten" in "core/node/collect/names.rs" needs ["network"],
        "The collector removes a deletion once it is the only record of its name, so that who was away brings the file back.";
    OwedDeletionForgotten "owed-deletion-forgotten" in "core/node/collect/removal.rs" needs ["network"],
        "A deletion that is no longer kept goes although a member was never told of it.";
    LeaseEndsInMidPut "lease-ends-in-mid-put" in "core/node/collect/leases.rs" needs [],
        "A lease ends whatever put or pull is under way that relies on it.";
    LeaseByWallClock "lease-by-wall-clock" in "core/node/age.rs" needs ["clock"],
        "Leases are counted by the wall clock, so that a clock set ahead ends all of them.";
    PromiseWhileEvicting "promise-while-evicting" in "core/node/announce.rs" needs ["network"],
        "A promise is given on a file that is being evicted here, so that two devices may rely on each other.";
    PromiseNotDurable "promise-not-durable" in "core/node/announce.rs" needs ["process"],
        "A promise is given before it is on the disk, so that it is forgotten.";
    RejectFutureRecords "reject-future-records" in "core/node/announce.rs" needs ["clock"],
        "A replica refuses records whose versions lie ahead of its own clock.";
    RestoreFirstPage "restore-first-page" in "core/node/restore.rs" needs ["process", "buggify"],
        "A restore stops at the first page of each peer's answer; it shows when a disk is lost, and answers are short.";
    RestoreUnsigned "restore-unsigned" in "core/node/restore.rs" needs ["liar"],
        "A restore does not verify the records it is given.";
    RestoreTrustsCount "restore-trusts-count" in "core/node/restore.rs" needs ["process"],
        "A restore takes a checkpoint to be covered by as many names as it counts, whichever versions these are of.";
    RestoreForgetsFailed "restore-forgets-failed" in "core/node/restore.rs" needs ["process", "disk"],
        "A restore forgets what no peer could give it.";
    LightUnmarked "light-unmarked" in "core/node/pull/pages.rs" needs [],
        "A device that takes a record without its chunks does not mark it, and passes for one that holds the file.";
    LightIsReplica "light-is-replica" in "core/node/publish.rs" needs [],
        "A device of the owner that has but the record and the pages is counted as a node that holds the file.";
    LateManifestListed "late-manifest-listed" in "core/node/names.rs" needs ["disk"],
        "A manifest that opens after its file was deleted puts the name back on the list.";
    ClockForgotten "clock-forgotten" in "core/node/boot.rs" needs ["process", "clock"],
        "The clock is neither read at a start nor moved by the records there; it shows when the wall clock has gone back meanwhile.";
    FailedReadIsEmpty "failed-read-is-empty" in "core/node/boot.rs" needs ["process", "disk"],
        "At a restart, names that the disk fails to read are taken not to be there.";
    TiesGoToTheOlder "ties-go-to-the-older" in "core/node/choose.rs" needs ["clock"],
        "Of two versions of one wall time the older wins: their counters are not compared.";
    TicketNeverExpires "ticket-never-expires" in "core/node/source.rs" needs [],
        "Nobody looks when a ticket's time is up.";
    TicketOutlivesDelete "ticket-outlives-delete" in "core/node/choose.rs" needs [],
        "A ticket opens its version although the owner has deleted the file since.";
    UndeleteBringsOldest "undelete-brings-oldest" in "core/node/choose.rs" needs [],
        "An undelete puts back the oldest version that is kept, not the one before the deletion.";
    FirstAnswerWins "first-answer-wins" in "core/node/locate.rs" needs ["process", "network"],
        "A search ends with the first peer's answer, even if that has nothing; it shows when the own disk is lost, and a peer is behind.";
    BanNeverEnds "ban-never-ends" in "core/node/links.rs" needs ["network"],
        "A peer that was banned once is never let in again; it shows when damaged bytes on the way pass for a broken protocol.";
    RedialGivesUp "redial-gives-up" in "core/node/dials.rs" needs ["network"],
        "An address that cannot be reached four times is never dialled again.";
    StampForgotten "stamp-forgotten" in "core/node/members.rs" needs ["moved"],
        "A start is not stamped on the disk, so that the next has the same stamp; it shows when a node comes back at another address.";
    OldAddressKept "old-address-kept" in "core/node/members.rs" needs ["moved"],
        "A member that has moved is still dialled at its old address only.";
    NewsKept "news-kept" in "core/node/exchange.rs" needs [],
        "What a node learns of others it keeps to itself; it shows when nobody knows all addresses.";
    DownUnreported "down-unreported" in "core/node/swim.rs" needs ["process"],
        "That a member is down is found out and not noted.";
    PullSlotLeak "pull-slot-leak" in "core/node/pull.rs" needs ["disk"],
        "A pull that is refused keeps its place among the few that may be under way.";
    ScrubStartsOver "scrub-starts-over" in "core/node/scrub.rs" needs ["process", "disk"],
        "A scrub starts with the first blob after every restart, so that the last ones are never read on a node that is restarted often.";
    LackingIsWhole "lacking-is-whole" in "core/node/presence.rs" needs ["disk", "process"],
        "The check of presence trusts that a page that is here has all its chunks; it shows when what was found damaged could not be had before a restart.";
    QuotaCountsDropped "quota-counts-dropped" in "core/node/space.rs" needs [],
        "What an owner once had on a disk counts against its quota for ever, dropped or not.";
    QuotaIgnoresComing "quota-ignores-coming" in "core/node/space.rs" needs [],
        "Chunks that have been let in and are still on their way do not count against a quota.";
    RoomStaysTaken "room-stays-taken" in "core/node/upload.rs" needs [],
        "Room that was kept for an upload is not given back when the upload ends before its chunks came.";
    CacheUnbounded "cache-unbounded" in "core/node/cache.rs" needs [],
        "The cache grows beyond what it may take.";
    CacheOutlivesDelete "cache-outlives-delete" in "core/node/cache.rs" needs [],
        "What was read of a file stays in the cache when the file is deleted.";
    NameInJournal "name-in-journal" in "core/node/put.rs" needs [],
        "A journal of the puts under way keeps their names as they are.";
    SyncSkipsBuckets "sync-skips-buckets" in "core/node/sync.rs" needs ["process"],
        "A comparison of what two nodes have takes the number of a bucket for signed, and ends at the middle.";
    SumForgetsCommit "sum-forgets-commit" in "core/node/records.rs" needs [],
        "The sums that nodes compare do not follow the commits of records.";
    LastHolderNotCompared "last-holder-not-compared" in "core/node/sync/scope.rs" needs ["process"],
        "The last of a name's holders is taken for none when it is decided what to compare with it.";
    AstrayForgotten "astray-forgotten" in "core/node/sync.rs" needs [],
        "What lies with a node that is not to hold it is never told to the holders.";
    RepairNotRearmed "repair-not-rearmed" in "core/node/repair.rs" needs ["process"],
        "A record that could not be had when it was to be repaired is never asked for again.";
    IdleLinksKept "idle-links-kept" in "core/node/idle.rs" needs [],
        "Links that were made on demand are never closed again.";
    VisitsForgotten "visits-forgotten" in "core/node/outbox.rs" needs [],
        "What is owed to a member without a link is brought to it only when somebody connects to it for another reason.";
    RepairStops "repair-stops" in "core/node/repair.rs" needs [],
        "After a record that could not be had, those that wait for their repair are forgotten.";
    MoveCountsRefusals "move-counts-refusals" in "core/node/rebalance.rs" needs ["process"],
        "What lies out of place goes although a holder did not confirm that it has it.";
    MoveCountsItself "move-counts-itself" in "core/node/rebalance.rs" needs ["network"],
        "A node that has what is out of place counts its own copy among those that are to be.";
    MoveUnasked "move-unasked" in "core/node/rebalance.rs" needs ["network"],
        "What lies out of place goes once its holders have been told of it, before any of them has confirmed that it has it.";
    LeaveCountsTheUnreached "leave-counts-the-unreached" in "core/node/sync/hand_over.rs" needs ["network"],
        "A node leaves although those who are to have what it holds cannot be reached.";
    MovesOnce "moves-once" in "core/node/rebalance.rs" needs ["network"],
        "What lies out of place is looked for in the first seconds after a start only.";
    EvictedAndForgotten "evicted-and-forgotten" in "core/node/evicted.rs" needs [],
        "What was evicted is not looked at again when a node that has promised to keep it goes.";
    CancelForgotten "cancel-forgotten" in "core/node.rs" needs [],
        "A request whose caller goes away is left to its deadline, which a put that waits for its caller never reaches.";
    AckBeforeFsync "ack-before-fsync" in "net-tokio/store/batch.rs" needs ["process"],
        "A commit is acknowledged before it is synced.";
    SkipBlobSync "skip-blob-sync" in "net-tokio/store/files.rs" needs ["process"],
        "A blob's file is renamed without having been synced.";
    ForgetDirSync "forget-dir-sync" in "net-tokio/store/files.rs" needs ["process"],
        "The folder of a new blob is not synced.";
    SyncTriedAgain "sync-tried-again" in "net-tokio/store/files.rs" needs ["disk", "process"],
        "A sync that failed is tried again, and its success believed; it shows when the power goes after it.";
    DoubtfulIndexTrusted "doubtful-index-trusted" in "net-tokio/store/open.rs" needs ["disk", "process"],
        "The start after a failed sync takes what the file system shows of the index for what is on the disk; it shows when the power goes later.";
    FailedCommitAcked "failed-commit-acked" in "net-tokio/store/perform.rs" needs ["disk"],
        "A commit that failed is acknowledged.";
    SweepTakesErrorForAbsence "sweep-takes-error-for-absence" in "net-tokio/store/perform.rs" needs ["process", "disk"],
        "The sweep after a crash removes a file whose row cannot be read.";
    NonceReuse "nonce-reuse" in "net-tokio/drive.rs" needs ["network"],
        "All handshakes of a run draw from one seed, so that a reconnected channel seals with the keys and nonces of the last.";
    ClusterKeyUnset "cluster-key-unset" in "net-tokio/drive.rs" needs ["network"],
        "The cluster key is never set, so that all nodes share one of zeros with whoever else has none; it shows when a stranger dials.";
    ShortWriteLost "short-write-lost" in "net-tokio/channel/writer.rs" needs ["buggify"],
        "What a short write leaves over is thrown away.";
    FrameBoundary "frame-boundary" in "net-tokio/channel/reader.rs" needs [],
        "A frame is opened only when a byte of the next has come.";
    LostFrameTolerated "lost-frame-tolerated" in "net-tokio/channel/reader.rs" needs ["network"],
        "A frame that does not open is tried with the nonces after the next one, so that frames that got lost on the way are not missed.";
    SentOverwritten "sent-overwritten" in "net-tokio/link/writer.rs" needs [],
        "Of several data frames in one write only the last is reported as sent, so that credit leaks.";
}

impl fmt::Display for PlantedBug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No planted bug has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no planted bug has this name; `forever-sim mutants` lists them")]
pub struct UnknownBug;

impl FromStr for PlantedBug {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Self, UnknownBug> {
        Self::ALL.iter().copied().find(|bug| bug.name() == name).ok_or(UnknownBug)
    }
}
