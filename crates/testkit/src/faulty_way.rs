//! A way to a node on which requests fail by chance, as on a bad day of a provider: a proxy for HTTP. Owns the faults, which
//! are the same in each run; must not know what is asked.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;

use crate::{
    fixture_node::Http,
    loopback::{Loopback, Speaker, read_body, respond},
};

/// Which requests fail, a batch being one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Faults {
    /// None.
    Never,
    /// One of so many, in a fixed order.
    Every(u64),
    /// So many of a hundred, at random.
    Percent(u32),
}

/// In what way a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ServerError,
    TooManyRequests,
    BrokenJson,
    LimitExceeded,
    Cut,
}

const KINDS: [Kind; 5] =
    [Kind::ServerError, Kind::TooManyRequests, Kind::BrokenJson, Kind::LimitExceeded, Kind::Cut];

/// The way. It ends when it is dropped.
#[derive(Debug)]
pub struct FaultyWay {
    sockets: Loopback,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    nodes: Vec<String>,
    faults: Faults,
    chance: Mutex<StdRng>,
    asked: AtomicU64,
    failed: AtomicU64,
}

impl FaultyWay {
    /// A way to these nodes, which are asked in turn as by a balancer.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn to(nodes: Vec<String>, faults: Faults) -> io::Result<Self> {
        let state = Arc::new(State {
            nodes,
            faults,
            chance: Mutex::new(StdRng::seed_from_u64(50)),
            asked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        Ok(Self { sockets: Loopback::start(Arc::clone(&state)).await?, state })
    }

    /// The URL of its near end.
    pub fn url(&self) -> String {
        self.sockets.http_url()
    }

    /// How many requests there were, and how many of them failed.
    pub fn counts(&self) -> (u64, u64) {
        (self.state.asked.load(Ordering::Relaxed), self.state.failed.load(Ordering::Relaxed))
    }
}

impl State {
    fn fault(&self, request: u64) -> Option<Kind> {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        let fails = match self.faults {
            Faults::Never => false,
            Faults::Every(one_of) => request % one_of.max(1) == one_of.saturating_sub(1),
            Faults::Percent(of_hundred) => chance.random_range(0..100) < of_hundred,
        };
        fails.then(|| {
            let kind = self.failed.fetch_add(1, Ordering::Relaxed);
            KINDS[usize::try_from(kind).unwrap_or_default() % KINDS.len()]
        })
    }
}

impl Speaker for State {
    async fn http(&self, mut stream: TcpStream) -> io::Result<()> {
        // By place in the list of nodes.
        let mut far: Vec<Option<Http>> = self.nodes.iter().map(|_| None).collect();
        while let Some(body) = read_body(&mut stream).await? {
            let request = self.asked.fetch_add(1, Ordering::Relaxed);
            match self.fault(request) {
                Some(Kind::Cut) => return Ok(()),
                Some(kind) => fail(&mut stream, kind, &body).await?,
                None => {
                    let place = usize::try_from(request).unwrap_or_default() % self.nodes.len();
                    let answer = forward(&self.nodes[place], &mut far[place], &body).await?;
                    respond(&mut stream, 200, &[], &answer).await?;
                }
            }
        }
        Ok(())
    }

    async fn websocket(&self, _stream: TcpStream) -> io::Result<()> {
        Ok(())
    }
}

async fn forward(node: &str, connection: &mut Option<Http>, body: &[u8]) -> io::Result<Vec<u8>> {
    if connection.is_none() {
        *connection = Some(Http::connect(node).await.map_err(io::Error::other)?);
    }
    match connection {
        Some(http) => http.post(&String::from_utf8_lossy(body)).await.map_err(io::Error::other),
        None => Err(io::ErrorKind::NotConnected.into()),
    }
}

async fn fail(stream: &mut TcpStream, kind: Kind, body: &[u8]) -> io::Result<()> {
    match kind {
        Kind::ServerError => respond(stream, 500, &[], b"").await,
        Kind::TooManyRequests => respond(stream, 429, &[], b"").await,
        Kind::BrokenJson => respond(stream, 200, &[], b"{\"jsonrpc\":\"2.0\",\"id\":1,\"resu").await,
        Kind::LimitExceeded | Kind::Cut => {
            let refused = |request: &Json| json!({ "jsonrpc": "2.0", "id": request["id"], "error": { "code": -32005, "message": "limit exceeded" } });
            let answer = match serde_json::from_slice(body).unwrap_or_default() {
                Json::Array(requests) => requests.iter().map(refused).collect(),
                request => refused(&request),
            };
            respond(stream, 200, &[], answer.to_string().as_bytes()).await
        }
    }
}
