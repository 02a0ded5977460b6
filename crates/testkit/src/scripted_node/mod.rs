//! A node that lies on demand: a real WebSocket and HTTP server on loopback that answers JSON-RPC from a small coherent
//! chain of its own, except where a test scripts another reply.
//!
//! Owns what no real node can be made to do: null fields, duplicate indexes, half a batch, silence, garbage. It must not
//! know who asks. What a real node does is tested on Anvil.

mod chain;
mod script;
mod serve;

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value as Json, json};
use tokio::sync::{mpsc, watch};

pub use chain::{LogSpec, ScriptedBlock, ScriptedChain};
pub use script::{Batches, Call, Ids, Reply};

use crate::loopback::Loopback;

/// The longest that a test waits for something of the node.
const WAIT_MAX: Duration = Duration::from_secs(20);

type Answer = Box<dyn FnMut(&Json) -> Reply + Send>;

type Interference = Box<dyn FnMut(&[Call]) -> Option<Reply> + Send>;

/// A running scripted node. It ends, and closes its connections, when it is dropped.
pub struct ScriptedNode {
    state: Arc<State>,
    sockets: Loopback,
}

/// What the server and the test share.
pub(crate) struct State {
    inner: Mutex<Inner>,
    // Counts every change, for those who wait for one.
    changes: watch::Sender<u64>,
}

struct Inner {
    chain: ScriptedChain,
    always: HashMap<String, Answer>,
    next: HashMap<String, VecDeque<Reply>>,
    interference: Option<Interference>,
    batches: Batches,
    ids: Ids,
    refuse_websockets: Option<u16>,
    calls: Vec<Call>,
    connections: HashMap<u64, mpsc::UnboundedSender<Outgoing>>,
    subscriptions: Vec<Subscription>,
    last_id: u64,
}

/// What goes out on a WebSocket.
pub(crate) enum Outgoing {
    Text(String),
    /// The connection goes without a word.
    Drop,
}

struct Subscription {
    id: String,
    connection: u64,
    params: Json,
}

impl ScriptedNode {
    /// Starts on a free port of 127.0.0.1, with a chain of 11 blocks (0 to 10) and the chain id 31337.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> io::Result<Self> {
        let state = Arc::new(State {
            inner: Mutex::new(Inner {
                chain: ScriptedChain::new(31_337, 10),
                always: HashMap::new(),
                next: HashMap::new(),
                interference: None,
                batches: Batches::InOrder,
                ids: Ids::AsAsked,
                refuse_websockets: None,
                calls: Vec::new(),
                connections: HashMap::new(),
                subscriptions: Vec::new(),
                last_id: 0,
            }),
            changes: watch::Sender::new(0),
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

    /// Works on the chain that the node answers from.
    pub fn chain<T>(&self, work: impl FnOnce(&mut ScriptedChain) -> T) -> T {
        work(&mut self.state.lock().chain)
    }

    // --------------------------------------------------------------------------------------- the script

    /// Answers the next call of `method` with `reply`; calls queue up their replies.
    pub fn next(&self, method: &str, reply: Reply) {
        self.state.lock().next.entry(method.to_owned()).or_default().push_back(reply);
    }

    /// Answers every call of `method` with `reply`.
    pub fn always(&self, method: &str, reply: Reply) {
        self.answer(method, move |_| reply.clone());
    }

    /// Answers every call of `method` by its parameters.
    pub fn answer(&self, method: &str, answer: impl FnMut(&Json) -> Reply + Send + 'static) {
        self.state.lock().always.insert(method.to_owned(), Box::new(answer));
    }

    /// Answers `method` from the chain again.
    pub fn restore(&self, method: &str) {
        let mut inner = self.state.lock();
        inner.always.remove(method);
        inner.next.remove(method);
    }

    /// Looks at each request over HTTP, a batch being one, before it is answered: what this gives is said in place of the
    /// answer.
    pub fn interfere(&self, with: impl FnMut(&[Call]) -> Option<Reply> + Send + 'static) {
        self.state.lock().interference = Some(Box::new(with));
    }

    /// Answers every request again.
    pub fn interfere_no_more(&self) {
        self.state.lock().interference = None;
    }

    /// Answers batches over HTTP so from now on.
    pub fn batches(&self, batches: Batches) {
        self.state.lock().batches = batches;
    }

    /// Writes the ids of answers so from now on.
    pub fn ids(&self, ids: Ids) {
        self.state.lock().ids = ids;
    }

    /// Answers WebSocket handshakes with an HTTP status; `None` opens them again.
    pub fn refuse_websockets(&self, status: Option<u16>) {
        self.state.lock().refuse_websockets = status;
    }

    // ----------------------------------------------------------------------------------- announcements

    /// Adds a block with these logs, and announces its logs and its head to whoever has subscribed. A subscription to
    /// logs gets all of them, whatever its filter is.
    pub fn mine(&self, logs: Vec<LogSpec>) -> ScriptedBlock {
        let block = self.chain(|chain| chain.mine(logs));
        for log in block.logs_json() {
            self.announce("logs", &log);
        }
        self.announce("newHeads", &block.header_json());
        block
    }

    /// Sends `result` to every subscription of a kind: `newHeads` or `logs`.
    pub fn announce(&self, kind: &str, result: &Json) {
        let inner = self.state.lock();
        for subscription in inner.subscriptions.iter().filter(|subscription| subscription.params[0] == kind) {
            let frame = json!({
                "jsonrpc": "2.0", "method": "eth_subscription",
                "params": { "subscription": subscription.id, "result": result },
            });
            inner.send(subscription.connection, &frame.to_string());
        }
    }

    /// Sends a text, whatever it is, on every WebSocket.
    pub fn push(&self, text: &str) {
        let inner = self.state.lock();
        inner.connections.keys().for_each(|connection| inner.send(*connection, text));
    }

    /// Ends every WebSocket connection without a word.
    pub fn drop_connections(&self) {
        let inner = self.state.lock();
        for connection in inner.connections.values() {
            let _ = connection.send(Outgoing::Drop);
        }
    }

    // ------------------------------------------------------------------------------------- what was asked

    /// Every call so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.clone()
    }

    /// How many WebSocket connections are open.
    pub fn connections(&self) -> usize {
        self.state.lock().connections.len()
    }

    /// How often `method` was called.
    pub fn count(&self, method: &str) -> usize {
        self.state.lock().calls.iter().filter(|call| call.method == method).count()
    }

    /// The parameters of the live subscriptions.
    pub fn subscriptions(&self) -> Vec<Json> {
        self.state.lock().subscriptions.iter().map(|subscription| subscription.params.clone()).collect()
    }

    /// Waits until `holds`, which is looked at after every change.
    ///
    /// # Errors
    /// When it has not come true within 20 s.
    pub async fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let mut changes = self.state.changes.subscribe();
        let wait = async {
            while !holds(self) {
                // The sender lives as long as `self`.
                let _ = changes.changed().await;
            }
        };
        let waited = tokio::time::timeout(WAIT_MAX, wait).await;
        waited.map_err(|_elapsed| anyhow::anyhow!("waited {} s in vain until {what}", WAIT_MAX.as_secs()))
    }
}

impl Drop for ScriptedNode {
    fn drop(&mut self) {
        self.drop_connections();
    }
}

impl std::fmt::Debug for ScriptedNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptedNode").field("sockets", &self.sockets).finish_non_exhaustive()
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Opens a WebSocket's books; what it is to send comes out of the receiver.
    pub(crate) fn connect(&self) -> (u64, mpsc::UnboundedReceiver<Outgoing>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut inner = self.lock();
        inner.last_id += 1;
        let id = inner.last_id;
        inner.connections.insert(id, sender);
        drop(inner);
        self.changed();
        (id, receiver)
    }

    pub(crate) fn disconnect(&self, connection: u64) {
        let mut inner = self.lock();
        inner.connections.remove(&connection);
        inner.subscriptions.retain(|subscription| subscription.connection != connection);
        drop(inner);
        self.changed();
    }

    pub(crate) fn refused_status(&self) -> Option<u16> {
        self.lock().refuse_websockets
    }

    pub(crate) fn batch_shape(&self) -> Batches {
        self.lock().batches.clone()
    }

    /// What the node says in place of an answer to a request; the calls count as made.
    pub(crate) fn interference(&self, calls: &[Call]) -> Option<Reply> {
        let mut inner = self.lock();
        let reply = inner.interference.as_mut()?(calls);
        if reply.is_some() {
            inner.calls.extend_from_slice(calls);
        }
        drop(inner);
        self.changed();
        reply
    }

    pub(crate) fn id_shape(&self) -> Ids {
        self.lock().ids
    }

    /// Takes note of a call that is not answered by its method.
    pub(crate) fn note(&self, call: &Call) {
        self.lock().calls.push(call.clone());
        self.changed();
    }

    /// What the node says to one call. `connection` is the WebSocket that it came on.
    pub(crate) fn reply(&self, call: &Call, connection: Option<u64>) -> Reply {
        let mut inner = self.lock();
        inner.calls.push(call.clone());
        let scripted = inner.next.get_mut(&call.method).and_then(VecDeque::pop_front);
        let reply = match scripted {
            Some(reply) => reply,
            None => match inner.always.get_mut(&call.method) {
                Some(answer) => answer(&call.params),
                None => inner.default_reply(call, connection),
            },
        };
        drop(inner);
        self.changed();
        reply
    }
}

impl Inner {
    fn send(&self, connection: u64, text: &str) {
        if let Some(connection) = self.connections.get(&connection) {
            // It may have just gone.
            let _ = connection.send(Outgoing::Text(text.to_owned()));
        }
    }

    fn default_reply(&mut self, call: &Call, connection: Option<u64>) -> Reply {
        match (call.method.as_str(), connection) {
            ("eth_subscribe", Some(connection)) => {
                self.last_id += 1;
                let id = format!("0x{:x}", self.last_id);
                let params = call.params.clone();
                self.subscriptions.push(Subscription { id: id.clone(), connection, params });
                Reply::Result(json!(id))
            }
            ("eth_unsubscribe", Some(_)) => {
                self.subscriptions.retain(|subscription| call.params[0] != subscription.id.as_str());
                Reply::Result(json!(true))
            }
            (method, _) => self.chain.answer(method, &call.params),
        }
    }
}
