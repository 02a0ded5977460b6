//! The webhook endpoints of a run: what each has accepted, and how each behaves. Owns the receiving server's view, which
//! is the one that counts; must not know what should have come.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::Clock;
use serde_json::Value as Json;
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

use super::plan::Dice;

/// The longest request that is read, in bytes.
const REQUEST_MAX: usize = 4 << 20;

/// One endpoint's messages by `webhook-id`, as it accepted them first.
pub(super) type Inbox = BTreeMap<String, Json>;

/// What the endpoints have seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// By endpoint.
    pub(super) inboxes: BTreeMap<String, Inbox>,
    /// How many requests came in all.
    pub(super) requests: u64,
    /// How many of them were refused, or left without an answer.
    pub(super) failed: u64,
    /// Ids under which something else came the second time.
    pub(super) changed: Vec<String>,
}

struct State {
    seen: Seen,
    dice: Dice,
    // Whether the moody ones behave.
    good: bool,
}

/// The server. It ends when it is dropped.
pub(super) struct Endpoints {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    listener: AbortHandle,
}

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Accepted, after a while.
    Accept(Duration),
    /// Refused with this status.
    Refuse(u16),
    /// Accepted, and the connection is dropped without an answer, after a while.
    Silent(Duration),
}

impl Manner {
    fn of(dice: &mut Dice) -> Self {
        let millis = |dice: &mut Dice, most| Duration::from_millis(dice.below(most));
        match dice.below(20) {
            0..=3 => Self::Refuse(500),
            4 => Self::Refuse(503),
            5..=7 => Self::Silent(Duration::ZERO),
            8 => Self::Silent(millis(dice, 3_000)),
            9..=13 => Self::Accept(millis(dice, 400)),
            _ => Self::Accept(Duration::ZERO),
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Endpoints {
    /// Listens on a free port. An endpoint whose name begins with `moody` behaves as the dice say.
    pub(super) async fn start(dice: Dice, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State { seen: Seen::default(), dice, good: false }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, clock) = (Arc::clone(&shared), Arc::clone(&clock));
                tokio::spawn(async move { answer(stream, &state, clock.as_ref()).await });
            }
        });
        Ok(Self { address, state, listener: task.abort_handle() })
    }

    /// The URL of an endpoint.
    pub(super) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// From now on every endpoint accepts at once.
    pub(super) fn behave(&self) {
        lock(&self.state).good = true;
    }

    /// Works on what was seen until now.
    pub(super) fn seen<T>(&self, work: impl FnOnce(&Seen) -> T) -> T {
        work(&lock(&self.state).seen)
    }
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

struct Request {
    endpoint: String,
    id: String,
    body: Json,
}

async fn answer(mut stream: TcpStream, state: &Mutex<State>, clock: &dyn Clock) -> io::Result<()> {
    let Some(request) = read(&mut stream).await? else { return Ok(()) };
    let manner = {
        let mut state = lock(state);
        let moody = !state.good && request.endpoint.starts_with("moody");
        let manner = if moody { Manner::of(&mut state.dice) } else { Manner::Accept(Duration::ZERO) };
        state.seen.note(request, manner);
        manner
    };
    let (status, pause) = match manner {
        Manner::Accept(pause) => (204, pause),
        Manner::Refuse(status) => (status, Duration::ZERO),
        Manner::Silent(pause) => {
            clock.sleep(pause).await;
            return Ok(());
        }
    };
    clock.sleep(pause).await;
    let text = format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await
}

impl Seen {
    fn note(&mut self, request: Request, manner: Manner) {
        self.requests += 1;
        self.failed += u64::from(!matches!(manner, Manner::Accept(_)));
        if matches!(manner, Manner::Refuse(_)) {
            return;
        }
        let Request { endpoint, id, body } = request;
        let inbox = self.inboxes.entry(endpoint).or_default();
        match inbox.get(&id) {
            Some(before) if before["data"] != body["data"] || before["type"] != body["type"] => {
                let part = |body: &Json| format!("{} {}", body["type"], body["data"]);
                self.changed.push(format!("{id}: {}\nafter {}", part(&body), part(before)));
            }
            Some(_) => {}
            None => {
                inbox.insert(id, body);
            }
        }
    }
}

// A request with its body; `None` where none came whole.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 16 << 10];
    loop {
        let read = stream.read(&mut chunk).await?;
        bytes.extend_from_slice(&chunk[..read]);
        if let Some(request) = parse(&bytes) {
            return Ok(Some(request));
        }
        if read == 0 || bytes.len() > REQUEST_MAX {
            return Ok(None);
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Request> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let header = |wanted: &str| {
        let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let length: usize = header("content-length")?.parse().ok()?;
    let body = bytes.get(end + 4..end + 4 + length)?;
    let endpoint = head.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let id = header("webhook-id")?.to_owned();
    Some(Request { endpoint, id, body: serde_json::from_slice(body).ok()? })
}
