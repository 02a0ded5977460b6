//! A webhook endpoint: keeps what it received, checks each signature, and fails when it is told to.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use serde_json::Value as Json;
use standardwebhooks::Webhook;
use tokio::{net::TcpListener, task::JoinHandle};

/// The secret that every test's target is signed with.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One request.
#[derive(Debug, Clone)]
pub struct Received {
    /// `webhook-id`
    pub id: String,
    /// The body.
    pub body: Json,
    /// Whether a Standard Webhooks library accepts the signature.
    pub verified: bool,
    /// What was answered.
    pub answered: u16,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The body as it came, which is what was signed.
    pub raw: Bytes,
}

impl Received {
    /// Whether a Standard Webhooks library accepts the signature under `secret`.
    pub fn verified_by(&self, secret: &str) -> bool {
        Webhook::new(secret).is_ok_and(|webhook| webhook.verify(&self.raw, &self.headers).is_ok())
    }
}

#[derive(Debug, Default)]
struct Inner {
    received: Vec<Received>,
    // Answers to give before the good ones.
    failures: VecDeque<Answer>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    header: Option<(&'static str, String)>,
    body: String,
}

/// The endpoint. It ends when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    inner: Arc<Mutex<Inner>>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// Listens on a free port.
    ///
    /// # Errors
    /// The system's.
    pub async fn start() -> anyhow::Result<Self> {
        let inner = Arc::<Mutex<Inner>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/hook", post(receive)).with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move {
            // Ends with the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { inner, address, task })
    }

    /// The URL of the endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Answers the next request with this status, and `Retry-After` if given.
    pub fn fail_next(&self, status: u16, retry_after: Option<&str>) {
        let header = retry_after.map(|value| ("retry-after", value.to_owned()));
        lock(&self.inner).failures.push_back(Answer { status, header, body: String::new() });
    }

    /// Answers the next request with this status and body, and sends the caller elsewhere if `location` is given.
    pub fn answer_next(&self, status: u16, location: Option<&str>, body: &str) {
        let header = location.map(|value| ("location", value.to_owned()));
        lock(&self.inner).failures.push_back(Answer { status, header, body: body.to_owned() });
    }

    /// Everything that came, in order.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.inner).received.clone()
    }

    /// What a recipient who deduplicates by `webhook-id` believes: the accepted bodies by id.
    pub fn inbox(&self) -> BTreeMap<String, Json> {
        let accepted = self.received().into_iter().filter(|received| received.answered < 300);
        accepted.map(|received| (received.id, received.body)).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(
    State(inner): State<Arc<Mutex<Inner>>>,
    headers: HeaderMap,
    raw: Bytes,
) -> (StatusCode, HeaderMap, String) {
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let mut inner = lock(&inner);
    let good = Answer { status: 204, header: None, body: String::new() };
    let answer = inner.failures.pop_front().unwrap_or(good);
    let body = serde_json::from_slice(&raw).unwrap_or(Json::Null);
    let mut received = Received { id, body, verified: false, answered: answer.status, headers, raw };
    received.verified = received.verified_by(SECRET);
    inner.received.push(received);
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = answer.header
        && let Ok(value) = value.parse()
    {
        headers.insert(name, value);
    }
    (StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK), headers, answer.body)
}
