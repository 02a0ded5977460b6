#![doc = include_str!("../README.md")]

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::{limit::RequestBodyLimitLayer, timeout::TimeoutLayer};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Says which parts leave their work to another process, and to whom.
pub type StandingBy = Faults;

/// Says which parts are not well, and why; empty when all are.
pub type Faults = Arc<dyn Fn() -> Vec<(String, String)> + Send + Sync>;

/// What the routes answer from.
#[derive(Clone)]
pub struct Api {
    /// The store, which must answer for the process to be ready.
    pub store: Store,
    /// The metrics.
    pub metrics: PrometheusHandle,
    /// The pulses.
    pub faults: Faults,
    /// Who stands by.
    pub standing_by: StandingBy,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("store", &self.store).finish_non_exhaustive()
    }
}

/// The server cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("api.listen {listen}: {detail}")]
pub struct ListenError {
    listen: String,
    detail: String,
}

/// A bound server that does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    router: Router,
    address: SocketAddr,
}

/// Binds `listen` (address and port; port 0 takes a free one).
///
/// # Errors
/// [`ListenError`], one sentence that names the address and the mend.
pub async fn bind(listen: &str, api: Api) -> Result<Server, ListenError> {
    let failed = |detail: String| ListenError { listen: listen.to_owned(), detail };
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        failed(format!("{error}; write an address and a free port such as 127.0.0.1:8650"))
    })?;
    let address = listener.local_addr().map_err(|error| failed(error.to_string()))?;
    Ok(Server { listener, router: router(api), address })
}

impl Server {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`, and finishes the requests that are under way.
    ///
    /// # Errors
    /// The listener's.
    pub async fn serve(self, stop: CancellationToken) -> std::io::Result<()> {
        let stopped = async move { stop.cancelled().await };
        axum::serve(self.listener, self.router).with_graceful_shutdown(stopped).await
    }
}

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .layer(RequestBodyLimitLayer::new(BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .with_state(api)
}

/// The process runs. Says nothing about what it depends on.
async fn healthz() -> &'static str {
    "ok\n"
}

/// 200 when every room is well and the store answers, else 503 with what is wrong.
async fn readyz(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    let mut faults = (api.faults)();
    if let Err(error) = api.store.ping().await {
        faults.push(("store".to_owned(), error.to_string()));
    }
    let ready = faults.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let faults: Vec<_> =
        faults.into_iter().map(|(part, fault)| json!({ "part": part, "fault": fault })).collect();
    let waits = (api.standing_by)().into_iter();
    let standing_by: Vec<_> = waits.map(|(part, why)| json!({ "part": part, "why": why })).collect();
    (status, Json(json!({ "ready": ready, "faults": faults, "standing_by": standing_by })))
}

/// The metrics in Prometheus' text format (0.0.4).
async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], api.metrics.render())
}
