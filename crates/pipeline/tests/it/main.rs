//! The rooms, and what they make.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests say what they expect by unwrapping it")]

mod amending;
mod belief;
mod finality;
mod fork_histories;
mod full_window;
mod hit_audit;
mod ingest;
mod ingest_audit;
mod ingest_children;
mod ingest_doubt;
mod ingest_halt;
mod ingest_late;
mod ingest_lease;
mod ingest_reorg;
mod losses;
mod metered;
mod one_window;
mod poison;
mod relay_lease;
mod rooms;
mod sending;
mod slow_target;
mod spam;
mod telling;
mod texts_abis;
mod texts_approvals;
mod texts_counts;
mod texts_events;
mod texts_hostile;
mod texts_kind_laws;
mod texts_kinds;
mod texts_law;
mod texts_multi;
mod texts_overrides;
mod texts_pools;
mod texts_world;
mod token_corrections;
mod tokens;
mod traps;
mod windows;
mod world;
