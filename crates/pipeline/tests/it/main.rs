//! The rooms, and what they make.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests say what they expect by unwrapping it")]

mod amending;
mod belief;
mod factory;
mod factory_abis;
mod factory_approvals;
mod factory_counts;
mod factory_events;
mod factory_hostile;
mod factory_kind_laws;
mod factory_kinds;
mod factory_law;
mod factory_multi;
mod factory_overrides;
mod factory_pools;
mod factory_world;
mod finality;
mod fork_histories;
mod full_window;
mod ingest;
mod ingest_audit;
mod ingest_children;
mod ingest_doubt;
mod ingest_halt;
mod ingest_late;
mod ingest_lease;
mod ingest_reorg;
mod ledger;
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
mod token_corrections;
mod tokens;
mod traps;
mod windows;
mod world;
