//! Owns one open connection to a node, whatever its transport: single requests, batches, subscriptions. It knows no
//! method's meaning and no health; it turns alloy's errors into faults.

use std::{sync::Arc, time::Duration};

use alloy_json_rpc::{ErrorPayload, RpcError};
use alloy_primitives::B256;
use alloy_pubsub::{PubSubConnect, RawSubscription};
use alloy_rpc_client::{RpcClient, RpcClientInner};
use alloy_transport::{TransportError, TransportErrorKind};
use alloy_transport_ipc::IpcConnect;
use domain::Clock;
use serde_json::{Value as Json, value::RawValue};

use crate::{
    NodeConfig,
    classify::{HttpRefusal, Refusal, classify, classify_http},
    endpoint::{Endpoint, Transport},
    fault::Fault,
    http::{HttpTransport, WireError},
    limits::{ANNOUNCEMENTS_MAX, CONNECT_MAX},
    socket::{Ending, Once, SocketConnect},
};

/// alloy ends a subscription under the request id 1; ours begin above it.
const FIRST_ID: u64 = 16;

const ENDED: &str = "the connection ended";

/// A connection.
pub(crate) struct Link {
    client: RpcClient,
    ending: Ending,
}

impl Link {
    /// Connects. Over HTTP nothing is sent yet.
    pub(crate) async fn open(
        endpoint: &Endpoint,
        config: &NodeConfig,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Fault> {
        // The TLS libraries want to be told their cryptography; an error means that the process has chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ending = Ending::default();
        let opening = async {
            let (timeout, limit) = (config.request_timeout, config.max_response_bytes);
            match &endpoint.transport {
                Transport::Http(url) => {
                    let transport = HttpTransport::new(url.clone(), timeout, limit, Arc::clone(clock))
                        .map_err(WireError::into_transport)?;
                    Ok(RpcClientInner::new(transport, false))
                }
                Transport::WebSocket(url) => {
                    let connect = SocketConnect {
                        url: url.clone(),
                        max_response_bytes: limit,
                        send_timeout: timeout,
                        ending: ending.clone(),
                    };
                    subscribing(Once(connect)).await
                }
                Transport::Ipc(path) => subscribing(Once(IpcConnect::from(path.clone()))).await,
            }
        };
        let limit = config.request_timeout.min(CONNECT_MAX);
        let opened = tokio::time::timeout(limit, opening).await;
        let client = opened.map_err(|_elapsed| too_slow(limit))?;
        let client = client.map_err(|error| fault("", error, &ending))?;
        Ok(Self { client: RpcClient::from_inner(client.with_id(FIRST_ID)), ending })
    }

    /// One request.
    pub(crate) async fn request(&self, method: &'static str, params: Json) -> Result<Box<RawValue>, Fault> {
        let answer = self.client.request::<_, Box<RawValue>>(method, params).await;
        answer.map_err(|error| fault(method, error, &self.ending))
    }

    /// Several requests of one method: one message over HTTP, one after the other without waiting elsewhere. The answers
    /// are in the order of the questions; a question that got none fails the whole.
    pub(crate) async fn batch(
        &self,
        method: &'static str,
        params: &[Json],
    ) -> Result<Vec<Result<Box<RawValue>, Fault>>, Fault> {
        let failed = |error| fault(method, error, &self.ending);
        let mut batch = self.client.new_batch();
        let waiting: Result<Vec<_>, _> =
            params.iter().map(|params| batch.add_call::<_, Box<RawValue>>(method, params)).collect();
        let waiting = waiting.map_err(failed)?;
        batch.await.map_err(failed)?;
        let mut answers = Vec::with_capacity(waiting.len());
        for answer in waiting {
            answers.push(match answer.await {
                Ok(answer) => Ok(answer),
                Err(RpcError::Transport(error)) => return Err(failed(RpcError::Transport(error))),
                Err(error) => Err(failed(error)),
            });
        }
        Ok(answers)
    }

    /// The announcements of a subscription that `eth_subscribe` made, by the id that it answered.
    pub(crate) async fn announcements(&self, id: B256) -> Result<RawSubscription, Fault> {
        let frontend = self
            .client
            .pubsub_frontend()
            .ok_or_else(|| Fault::Unsupported("HTTP carries no subscriptions".to_owned()))?;
        let failed = |error| fault("eth_subscribe", error, &self.ending);
        frontend.get_subscription(id).await.map_err(failed)
    }

    /// Ends a subscription. It is a courtesy: nothing is lost when the node does not hear it.
    pub(crate) fn unsubscribe(&self, id: B256) {
        if let Some(frontend) = self.client.pubsub_frontend() {
            let _ = frontend.unsubscribe(id);
        }
    }

    /// Why the connection ended, in words.
    pub(crate) fn ending(&self) -> String {
        self.ending.cause().map_or_else(|| ENDED.to_owned(), |cause| cause.to_string())
    }

    /// Whether the connection is known to have ended. Over HTTP there is none.
    pub(crate) fn is_over(&self) -> bool {
        self.ending.cause().is_some()
    }
}

async fn subscribing(connect: impl PubSubConnect) -> Result<RpcClientInner, TransportError> {
    let local = connect.is_local();
    let frontend = connect.into_service().await?;
    frontend.set_channel_size(ANNOUNCEMENTS_MAX);
    Ok(RpcClientInner::new(frontend, local))
}

pub(crate) fn too_slow(timeout: Duration) -> Fault {
    Fault::Unavailable(format!("no answer within {} s", timeout.as_secs_f64()))
}

fn fault(method: &str, error: TransportError, ending: &Ending) -> Fault {
    match error {
        RpcError::ErrorResp(payload) => classify(method, &refusal(&payload)),
        RpcError::Transport(TransportErrorKind::MissingBatchResponse(_)) => {
            Fault::Unavailable("a batch was answered in part".to_owned())
        }
        RpcError::Transport(TransportErrorKind::Custom(error)) => match error.downcast_ref::<WireError>() {
            Some(error) => wire_fault(method, error),
            None => Fault::Unavailable(error.to_string()),
        },
        RpcError::Transport(TransportErrorKind::BackendGone) => {
            // alloy's IPC does not say why; that it has ended is known from here on.
            wire_fault(method, &ending.cause_or(WireError::Broken(ENDED.to_owned())))
        }
        RpcError::DeserError { err, .. } => Fault::Incoherent(format!("an answer of another shape: {err}")),
        error => Fault::Unavailable(error.to_string()),
    }
}

fn wire_fault(method: &str, error: &WireError) -> Fault {
    match error {
        WireError::Broken(detail) => Fault::Unavailable(detail.clone()),
        WireError::Http(http) => classify_http(method, http),
        WireError::NotJsonRpc(detail) => Fault::NotJsonRpc(detail.clone()),
        // The same size at another status says the same thing.
        WireError::TooLarge(_) => match classify_http(method, &TOO_LARGE) {
            Fault::RangeTooLarge { suggested_blocks, .. } => {
                Fault::RangeTooLarge { detail: error.to_string(), suggested_blocks }
            }
            _ => Fault::Unavailable(error.to_string()),
        },
    }
}

const TOO_LARGE: HttpRefusal = HttpRefusal { status: 413, retry_after: None, refusal: None };

fn refusal(payload: &ErrorPayload) -> Refusal {
    Refusal {
        code: payload.code,
        message: payload.message.clone().into_owned(),
        data: payload.data.as_ref().and_then(|data| serde_json::from_str(data.get()).ok()),
    }
}
