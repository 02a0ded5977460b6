#![doc = include_str!("../README.md")]

pub mod amend;
mod aside;
pub mod auditor;
pub mod bell;
pub mod confirm;
pub mod deliver;
pub mod digest;
pub mod explain;
pub mod finality;
pub mod health;
pub mod hit_audit;
pub mod ingest;
mod items;
pub mod matching;
pub mod notify;
mod planning;
pub mod relay;
pub mod room;
mod standby;
mod suspect;
pub mod texts;
pub mod tokens;
pub mod watches;

pub use bell::Bell;
pub use health::{Health, Pulse};
pub use items::apart;
pub use room::{Progress, Room, RoomError};
