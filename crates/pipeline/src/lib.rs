//! The rooms of chainbell: ingest, finality, relay, matching, confirm, digest, deliver.
//!
//! Owns what happens between a log and a person. A room imports no other room: they hand over by rows in the store,
//! and ring each other's [`Bell`] so that nobody waits for a poll. A room must not know which broker, timer index,
//! node or medium serves it; those are traits of `domain`.
//!
//! Every room is a struct with `new(deps, config)` and a public `step`, one bounded unit of work that says what it
//! did. [`room::run`] is the loop around it, the same for all.

pub mod amend;
mod aside;
pub mod auditor;
pub mod bell;
pub mod confirm;
pub mod deliver;
pub mod digest;
pub mod explain;
pub mod factory;
pub mod finality;
pub mod health;
pub mod ingest;
mod items;
pub mod ledger;
pub mod matching;
pub mod notify;
mod planning;
pub mod relay;
pub mod room;
mod standby;
mod suspect;
pub mod tokens;
pub mod watches;

pub use bell::Bell;
pub use health::{Health, Pulse};
pub use items::apart;
pub use room::{Progress, Room, RoomError};
