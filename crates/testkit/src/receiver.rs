//! A webhook endpoint: keeps what it received, checks each signature, and fails when it is told to.

use std::{
    collections::BTreeMap,
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
}

#[derive(Debug, Default)]
struct Inner {
    received: Vec<Received>,
    // Answers to give before the good ones.
    failures: Vec<(u16, Option<String>)>,
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
        lock(&self.inner).failures.push((status, retry_after.map(str::to_owned)));
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
    body: Bytes,
) -> (StatusCode, HeaderMap, &'static str) {
    let verified = Webhook::new(SECRET).is_ok_and(|webhook| webhook.verify(&body, &headers).is_ok());
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let mut inner = lock(&inner);
    let (status, retry_after) = if inner.failures.is_empty() { (204, None) } else { inner.failures.remove(0) };
    let body = serde_json::from_slice(&body).unwrap_or(Json::Null);
    inner.received.push(Received { id, body, verified, answered: status });
    let mut answer = HeaderMap::new();
    if let Some(value) = retry_after.and_then(|value| value.parse().ok()) {
        answer.insert("retry-after", value);
    }
    (StatusCode::from_u16(status).unwrap_or(StatusCode::OK), answer, "")
}
