//! A node that costs next to nothing: a real WebSocket and HTTP server on loopback over a long chain of ERC-20 transfers
//! whose answers were written beforehand. Owns what a benchmark must not spend its time on; must not know who asks. It
//! never lies: that is the scripted node's business.

mod asking;
mod render;
mod serve;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use alloy_primitives::{Address, B256};
use tokio::sync::broadcast;

pub use asking::{Http, Socket};
pub use render::{TRANSFER, token};

use render::Chain;

use crate::loopback::Loopback;

/// The chain id that it serves.
pub const CHAIN_ID: u64 = 31_337;

/// How many announcements wait for a subscriber that is slow.
const ANNOUNCEMENTS_MAX: usize = 4_096;

/// What the chain is like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many blocks there are, number 0 included.
    pub blocks: u64,
    /// How many transfers each of them has, number 0 excepted.
    pub logs: u64,
    /// The contract that emits them.
    pub token: Address,
    /// How far `finalized` lies below the head; `safe` lies half as far.
    pub finalized_depth: u64,
    /// An `eth_getLogs` that would bring more than this is refused.
    pub results_max: Option<u64>,
}

impl Shape {
    /// A chain of this many blocks with this many transfers of [`token`] each.
    pub fn new(blocks: u64, logs: u64) -> Self {
        Self { blocks, logs, token: token(), finalized_depth: 64, results_max: None }
    }
}

/// A running fixture node. It ends when it is dropped.
#[derive(Debug)]
pub struct FixtureNode {
    state: Arc<State>,
    sockets: Loopback,
}

/// What the server and its owner share.
#[derive(Debug)]
struct State {
    chain: RwLock<Chain>,
    results_max: Option<u64>,
    calls: Mutex<BTreeMap<String, u64>>,
    announcements: broadcast::Sender<Announcement>,
}

/// What goes to every subscription of a kind.
#[derive(Debug, Clone)]
struct Announcement {
    kind: &'static str,
    result: Arc<str>,
}

impl FixtureNode {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(shape: Shape) -> io::Result<Self> {
        let state = Arc::new(State {
            chain: RwLock::new(Chain::new(shape)),
            results_max: shape.results_max,
            calls: Mutex::default(),
            announcements: broadcast::Sender::new(ANNOUNCEMENTS_MAX),
        });
        let sockets = Loopback::start(Arc::clone(&state)).await?;
        Ok(Self { state, sockets })
    }

    /// The URL for HTTP.
    pub fn http_url(&self) -> String {
        self.sockets.http_url()
    }

    /// The URL for WebSocket.
    pub fn ws_url(&self) -> String {
        self.sockets.ws_url()
    }

    /// Number and hash of the newest block.
    pub fn head(&self) -> (u64, B256) {
        self.state.chain().head()
    }

    /// Adds a block with this many transfers; nobody is told.
    pub fn add(&self, logs: u64) -> u64 {
        self.state.chain.write().unwrap_or_else(PoisonError::into_inner).mine(logs)
    }

    /// Announces a block as geth does: its head, then its logs one by one.
    pub fn announce(&self, number: u64) {
        let (logs, head) = {
            let chain = self.state.chain();
            (chain.logs_of(number), chain.header(number))
        };
        let announce = |kind, result: String| {
            // Nobody may have subscribed.
            let _ = self.state.announcements.send(Announcement { kind, result: result.into() });
        };
        announce("newHeads", head);
        for log in logs {
            announce("logs", log);
        }
    }

    /// Adds a block with this many transfers, and announces it.
    pub fn mine(&self, logs: u64) -> u64 {
        let number = self.add(logs);
        self.announce(number);
        number
    }

    /// How many subscribers there are.
    pub fn listeners(&self) -> usize {
        self.state.announcements.receiver_count()
    }

    /// How often each method was called, the parts of a batch one by one.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.state.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl State {
    fn chain(&self) -> RwLockReadGuard<'_, Chain> {
        self.chain.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn called(&self, method: &str) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        match calls.get_mut(method) {
            Some(count) => *count += 1,
            None => drop(calls.insert(method.to_owned(), 1)),
        }
    }
}
