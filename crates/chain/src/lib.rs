//! JSON-RPC to the nodes of one chain: over WebSocket, HTTP and IPC, heads, headers, logs, receipts and calls, and the
//! subscriptions that wake the reader up.
//!
//! Owns every word spoken with a node, and the judgement of what came back: an answer is checked against its question
//! before anyone sees it, and an error says what the caller should do. It must not know what the logs mean, who wants
//! them, or where they are kept.
//!
//! The parts: an `Endpoint` is a configured URL; a `Link` an open connection to it; an `Upstream` the URL with its
//! health, its pace and its link; a `Pool` the chain's URLs by score; a [`Node`] all of them behind one face. Requests go
//! through alloy's client. The WebSocket and HTTP transports below it are ours, on alloy's own extension points, for what
//! theirs lack: a limit on the size of an answer, the reason why a connection ended, frames that may be nonsense without
//! costing the connection, URLs that never reach a log, and questions that do not wait for announcements.
//!
//! # Invariants
//! - No URL, and no secret inside one, is in an error, a log or a `Debug` output.
//! - A URL changes only with an error returned to the caller, in `heads`, which begins a decision, or where a question that
//!   stands for itself was answered by another: the rest of the decision is that one's.
//! - A URL that leaves questions unanswered is asked nothing that somebody waits for, as long as there is another.
//! - A URL whose answer was proved wrong is kept out of use for a while, as long as there is another.
//! - No log passes that lies outside the question or contradicts itself.
//! - Nothing reconnects by itself below [`Node`]: a lost connection is always noticed here.

mod ahead;
mod batches;
mod choice;
mod classify;
mod coherence;
mod config;
mod desk;
mod endpoint;
mod error;
mod fault;
mod feed;
mod frame;
mod health;
mod history;
mod http;
mod latency;
mod learner;
mod limits;
mod link;
mod node;
mod pace;
mod pool;
mod probe;
mod proof;
mod questions;
mod ranges;
mod receipts;
mod score;
mod session;
mod socket;
mod standing;
mod suggestion;
mod tags;
mod turns;
mod upstream;
mod voids;
mod wire;

pub use config::{NodeConfig, PromptConfig, TagsConfig};
pub use error::ConnectError;
pub use health::{FeedState, UrlStatus};
pub use node::Node;
pub use probe::{Ability, History, Limit, Probe, Receipts, probe};
