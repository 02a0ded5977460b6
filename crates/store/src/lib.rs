//! The store: every SQL statement of chainbell, in two dialects, and the transactions around them.
//!
//! Owns the truth. A function here is one transaction or one read; rooms never see a connection. It must know no
//! chain, broker or channel, and it calls nobody while a transaction is open.
//!
//! A statement is written once wherever PostgreSQL and SQLite agree, which they do on `$1` parameters, upserts and
//! `RETURNING`. Where they differ (lists, bulk rows, row locks) the difference is in the modules `dialect` and `bulk`.

mod ahead;
mod aside;
mod attention;
mod audit;
mod backlog;
mod block_news;
mod bulk;
mod bulk_sql;
mod catalog;
mod chain;
mod child;
mod clock;
mod commit;
mod commit_at_once;
mod connection;
mod correction;
mod db;
mod delivery;
mod delivery_leased;
mod dialect;
mod digest;
mod effects;
mod error;
mod event;
mod explain;
mod fault;
mod finality;
mod hit;
mod hit_audit;
mod hit_ends;
mod lease;
mod ledger;
mod limits;
mod migrate;
mod notification;
mod outbox;
mod packed;
mod plan;
mod postgres;
mod provider;
mod query;
mod recipient;
mod repair;
mod replay;
mod replays;
mod rewind;
#[cfg(test)]
mod rolled_back;
mod rows;
mod settle;
mod spam;
mod sqlite;
mod standstill;
mod status;
#[doc(hidden)]
pub mod testing;
mod token;
mod trial;
mod tx;
mod watch;
mod window;

pub use ahead::OwnLengths;
pub use aside::SetAside;
pub use attention::{Hold, WindowSpend};
pub use audit::{AuditMethod, AuditRow, Verified, verified};
pub use catalog::ContractCursor;
pub use chain::ChainRow;
pub use child::Child;
pub use clock::StoreClock;
pub use commit::{BackfillCommit, ChainCommit, Committed, Publish};
pub use correction::{Correct, Doubtful, ToldHit};
pub use db::Store;
pub use delivery::{Attempt, DeadLetter, LeasedDelivery, Outcome};
pub use digest::{Bundle, Closed};
pub use error::StoreError;
pub use event::{EventKey, EventQuery, StoredEvent};
pub use finality::Told;
pub use hit::{HitOutcome, HitRow, NewHit, PendingHit};
pub use hit_audit::{AuditedHit, AuditedNotification, Holding};
pub use lease::{Fence, LeaseHolder};
pub use notification::{NotificationQuery, NotificationRow};
pub use outbox::{LaneDepth, OutboxRow};
pub use plan::{HitPlan, Lead, Spend};
pub use postgres::{Connections, create_database, drop_database};
pub use provider::ProviderRow;
pub use repair::Repair;
pub use replay::ReplayCommit;
pub use replays::{ReplayPlan, ReplayRow, ReplayState};
pub use rewind::Rewind;
pub use rows::EventRows;
pub use standstill::{Part, Standstill, UNPROVED_MAX, Unproved};
pub use status::{Apart, ChainCounts, Counts};
pub use token::{KnownToken, TokenRow};
pub use watch::WatchChange;
