//! Crash points: named places between two effects at which a test can have the process die. Owns the one list of their
//! names; must not know what happens before or after them.
//!
//! They are compiled in by `cfg(debug_assertions)`, not by a feature: the tests build and start the very binary that
//! `cargo build` makes, a feature would be one build more of everything and could be switched on by mistake, and a
//! release build never has them. The macro expands to nothing there, so that not even their names are in the binary.
//!
//! In a build that has them, `CHAINBELL_CRASH=matching.committed` aborts the process the first time that it comes by the
//! point, `CHAINBELL_CRASH=matching.committed:3` the third time. An abort runs no destructor and flushes nothing, as
//! `kill -9` would.

/// A place between two effects. `crash_point!("relay.published")` dies there when the environment says so; with a
/// condition as the second argument, it is a place between two effects only where that holds.
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::crash::pass($name);
    };
    ($name:literal, $worth_it:expr) => {
        #[cfg(debug_assertions)]
        if $worth_it {
            $crate::crash::pass($name);
        }
    };
}

/// Whether this build has crash points.
pub const COMPILED_IN: bool = cfg!(debug_assertions);

/// The variable that names the point.
pub const VARIABLE: &str = "CHAINBELL_CRASH";

/// What is written to standard error, before the point's name, when a process dies at one.
pub const LAST_WORDS: &str = "crash point";

/// Every point, with what is done and what is not when the process dies there. Empty in a release build.
#[cfg(not(debug_assertions))]
pub const POINTS: &[(&str, &str)] = &[];

/// Every point, with what is done and what is not when the process dies there. Empty in a release build.
#[cfg(debug_assertions)]
pub const POINTS: &[(&str, &str)] = &[
    ("sync.recipients", "the file's recipients and targets are in the store, its watches are not"),
    ("sync.watches", "its watches are, what left the file is not removed"),
    ("ingest.leased", "the chain's lease is taken, nothing is read under it"),
    ("ingest.begun", "the first checkpoint is there, no contract is registered"),
    ("ingest.contracts_settled", "contracts are registered, their children are not known in memory"),
    ("ingest.before_commit", "blocks are read, nothing of them is stored"),
    ("ingest.committed", "blocks, events, outbox and checkpoint are stored, no bell has rung"),
    ("ingest.recover.before_commit", "the new branch is read, the old one still stands in the store"),
    ("ingest.recover.committed", "the orphan marks are stored, nobody has followed them"),
    ("ingest.backfill.before_commit", "a piece of the past is read, not stored"),
    ("ingest.backfill.committed", "it is stored with its cursors, the reader does not know"),
    ("ingest.noted", "the node's heads are noted, the step is not over"),
    ("replay.before_commit", "a piece is read again, not stored"),
    ("replay.committed", "it is stored with the replay's cursor, the command does not know"),
    ("audit.compared", "a difference is found, not mended"),
    ("audit.repaired", "it is mended, the audit is not noted"),
    ("audit.noted", "the audit is noted, the auditor does not know"),
    ("finality.told", "messages of final events are in the outbox, no bell has rung"),
    ("relay.leased", "the lane's lease is taken, nothing is published under it"),
    ("relay.published", "messages are acknowledged by the broker, their rows are still there"),
    ("relay.deleted", "the rows are gone, the next page is not read"),
    ("matching.fetched", "messages are taken from the broker, nothing is done about them"),
    ("matching.orphaned", "open hits of orphaned events have vanished, new ones are not stored"),
    ("matching.before_commit", "hits are found, not stored"),
    ("matching.committed", "hits are stored, they are in no window"),
    ("matching.joined", "they are in their windows, the messages are not acknowledged"),
    ("matching.acked", "the messages are acknowledged"),
    ("matching.sweep", "events whose message did not come are found, not matched"),
    ("confirm.before_release", "hits are due, they still wait"),
    ("confirm.released", "they are pending or told, they are in no window"),
    ("confirm.joined", "they are in their windows"),
    ("digest.claimed", "windows are claimed, nothing is read of them"),
    ("digest.before_close", "the text is made, the hits are still pending"),
    ("digest.closed", "the notification is stored, the claim is not given back"),
    ("digest.acked", "the window is forgotten"),
    ("digest.sweep.marked", "overdue hits are put off, they are in no window"),
    ("digest.sweep.put_back", "they are in their windows again"),
    ("amend.before_commit", "the correction is made, not stored"),
    ("amend.committed", "it is stored, no bell has rung"),
    ("deliver.leased", "a delivery is leased, its message is not acknowledged"),
    ("deliver.acked", "the message is acknowledged, the delivery is under way"),
    ("deliver.swept", "due deliveries are leased, none has begun"),
    ("deliver.before_send", "the delivery is leased, nothing was sent"),
    ("deliver.sent", "the endpoint has answered, nothing is recorded"),
    ("deliver.recorded", "the attempt and what follows from it are stored"),
];

#[cfg(debug_assertions)]
mod pass {
    use std::{
        io::Write as _,
        sync::{
            OnceLock,
            atomic::{AtomicU64, Ordering},
        },
    };

    /// Where to die, and at which passing of that point.
    struct Wanted {
        name: String,
        time: u64,
        passed: AtomicU64,
    }

    static WANTED: OnceLock<Option<Wanted>> = OnceLock::new();

    fn wanted() -> Option<Wanted> {
        let text = std::env::var(super::VARIABLE).ok()?;
        let (name, time) = text.split_once(':').unwrap_or((&text, "1"));
        let time = time.parse().ok()?;
        Some(Wanted { name: name.to_owned(), time, passed: AtomicU64::new(0) })
    }

    /// Comes by a point. Use [`crash_point!`](crate::crash_point), which is nothing in a release build.
    pub fn pass(name: &str) {
        let Some(wanted) = WANTED.get_or_init(wanted) else { return };
        if wanted.name == name && wanted.passed.fetch_add(1, Ordering::Relaxed) + 1 == wanted.time {
            // In one write: the threads that write to the same file must not come between the words.
            let words = format!("{} {name}\n", super::LAST_WORDS);
            let _ = std::io::stderr().write_all(words.as_bytes());
            std::process::abort();
        }
    }
}

#[cfg(debug_assertions)]
pub use pass::pass;
