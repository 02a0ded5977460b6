//! Owns the JSON-RPC client: single calls, batches, and waits with a cap. It knows no method by name.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Error;

/// The most calls in one HTTP request. Anvil takes bodies up to 2 MB.
const BATCH_MAX: usize = 500;

/// The longest that the node may take over one HTTP request.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// The longest that something is waited for.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How often it is looked for.
const WAIT_STEP: Duration = Duration::from_millis(10);

/// A client for one node.
#[derive(Debug)]
pub(crate) struct Rpc {
    http: reqwest::Client,
    url: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    id: usize,
    #[serde(default)]
    result: Value,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
}

impl Answer {
    fn into_result<T: DeserializeOwned>(self, method: &str) -> Result<T, Error> {
        if let Some(Refusal { code, message }) = self.error {
            return Err(Error::Refused { method: method.to_owned(), code, message });
        }
        serde_json::from_value(self.result)
            .map_err(|error| Error::Unexpected { method: method.to_owned(), why: error.to_string() })
    }
}

impl Rpc {
    pub(crate) fn new(url: String) -> Result<Self, Error> {
        // The HTTP client wants a TLS provider even where no TLS is spoken. An error means that the
        // process has chosen one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(ANSWER_MAX)
            .build()
            .map_err(|source| Error::Unanswered { method: "HTTP".to_owned(), source })?;
        Ok(Self { http, url })
    }

    pub(crate) async fn call<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, Error> {
        let request = json!({ "jsonrpc": "2.0", "id": 0, "method": method, "params": params });
        self.post::<Answer>(method, &request).await?.into_result(method)
    }

    /// The answers in the order of the calls. The node works on a batch in no order.
    pub(crate) async fn batch<T: DeserializeOwned>(
        &self,
        method: &str,
        calls: Vec<Value>,
    ) -> Result<Vec<T>, Error> {
        let mut results = Vec::with_capacity(calls.len());
        for chunk in calls.chunks(BATCH_MAX) {
            let requests: Vec<Value> = chunk
                .iter()
                .enumerate()
                .map(|(id, params)| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
                .collect();
            let mut answers: Vec<Answer> = self.post(method, &Value::Array(requests)).await?;
            answers.sort_by_key(|answer| answer.id);
            if answers.len() != chunk.len() {
                let why = format!("{} answers to {} calls", answers.len(), chunk.len());
                return Err(Error::Unexpected { method: method.to_owned(), why });
            }
            for answer in answers {
                results.push(answer.into_result(method)?);
            }
        }
        Ok(results)
    }

    async fn post<T: DeserializeOwned>(&self, method: &str, body: &Value) -> Result<T, Error> {
        let unanswered = |source| Error::Unanswered { method: method.to_owned(), source };
        let response = self.http.post(&self.url).json(body).send().await.map_err(unanswered)?;
        response.error_for_status().map_err(unanswered)?.json().await.map_err(unanswered)
    }
}

/// Looks again and again until `look` finds something.
///
/// # Errors
///
/// [`Error::TimedOut`] with `what` when it has found nothing within a minute, and whatever `look` fails with.
pub(crate) async fn wait_for<T, F>(what: &str, mut look: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<Option<T>, Error>>,
{
    let search = async {
        let mut step = tokio::time::interval(WAIT_STEP);
        loop {
            step.tick().await;
            if let Some(found) = look().await? {
                return Ok(found);
            }
        }
    };
    tokio::time::timeout(WAIT_MAX, search).await.unwrap_or_else(|_elapsed| {
        Err(Error::TimedOut { what: what.to_owned(), seconds: WAIT_MAX.as_secs() })
    })
}
