//! Owns one open connection to a node, whatever its transport: single requests, batches, subscriptions. It knows no
//! method's meaning and no health; it turns alloy's errors into faults.

use std::{sync::Arc, time::Duration};

use alloy_json_rpc::{ErrorPayload, ResponsePayload, RpcError, SubId};
use alloy_primitives::B256;
use alloy_pubsub::{ConnectionHandle, PubSubConnect, PubSubFrontend};
use alloy_rpc_client::{RpcClient, RpcClientInner};
use alloy_transport::{TransportError, TransportErrorKind, TransportResult};
use alloy_transport_ipc::IpcConnect;
use domain::Clock;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use serde_json::{Value as Json, json, value::RawValue};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use crate::{
    NodeConfig,
    classify::{HttpRefusal, Refusal, classify, classify_http},
    desk::Heard,
    endpoint::{Endpoint, Transport},
    fault::Fault,
    http::{HttpTransport, WireError},
    limits::{ANNOUNCEMENTS_MAX, CONNECT_MAX},
    socket::{Ending, SocketOptions, SocketTransport},
};

/// alloy ends a subscription under the request id 1; ours begin above it.
const FIRST_ID: u64 = 16;

const ENDED: &str = "the connection ended";

pub(crate) const SUBSCRIBE: &str = "eth_subscribe";

/// A connection.
pub(crate) struct Link {
    client: RpcClient,
    // The way past the client, for subscriptions.
    socket: Option<SocketTransport>,
    ending: Ending,
}

/// A subscription, by the name that its transport has for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subscription {
    Socket(SubId),
    Ipc(B256),
}

/// What a subscription brings, up to the end of the connection.
pub(crate) type Hearing = BoxStream<'static, Heard>;

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
                    Ok((RpcClientInner::new(transport, false), None))
                }
                Transport::WebSocket(url) => {
                    let options = SocketOptions { max_response_bytes: limit, send_timeout: timeout };
                    let socket = SocketTransport::connect(url, options, ending.clone()).await;
                    let socket = socket.map_err(WireError::into_transport)?;
                    Ok((RpcClientInner::new(socket.clone(), false), Some(socket)))
                }
                Transport::Ipc(path) => Ok((over_ipc(path).await?, None)),
            }
        };
        let limit = config.request_timeout.min(CONNECT_MAX);
        let opened = tokio::time::timeout(limit, opening).await;
        let opened = opened.map_err(|_elapsed| too_slow(limit))?;
        let (client, socket) = opened.map_err(|error| fault("", error, &ending))?;
        Ok(Self { client: RpcClient::from_inner(client.with_id(FIRST_ID)), socket, ending })
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

    /// Subscribes; HTTP carries no subscriptions.
    pub(crate) async fn subscribe(&self, params: Json) -> Result<(Subscription, Hearing), Fault> {
        let failed = |error| fault(SUBSCRIBE, error, &self.ending);
        let Some(socket) = &self.socket else { return self.subscribe_over_ipc(params).await };
        let request = self.client.make_request(SUBSCRIBE, params).serialize();
        let request = request.map_err(|error| failed(RpcError::ser_err(error)))?;
        let answer = socket.ask(request).await.map_err(|error| failed(error.into_transport()))?;
        match (answer.response.payload, answer.listener) {
            (ResponsePayload::Failure(error), _) => Err(failed(RpcError::ErrorResp(error))),
            (ResponsePayload::Success(_), Some(listener)) => {
                let id = Subscription::Socket(listener.id.clone());
                let next = |mut listener: crate::desk::Listener| async move {
                    let heard = listener.next().await?;
                    Some((heard, listener))
                };
                Ok((id, stream::unfold(listener, next).boxed()))
            }
            (ResponsePayload::Success(raw), None) => {
                Err(Fault::Incoherent(format!("{SUBSCRIBE} answered no id, but {}", raw.get())))
            }
        }
    }

    async fn subscribe_over_ipc(&self, params: Json) -> Result<(Subscription, Hearing), Fault> {
        let failed = |error| fault(SUBSCRIBE, error, &self.ending);
        let frontend = self.frontend();
        let frontend =
            frontend.ok_or_else(|| Fault::Unsupported("HTTP carries no subscriptions".to_owned()))?;
        let id = self.client.request::<_, B256>(SUBSCRIBE, params).await.map_err(failed)?;
        let announcements = frontend.get_subscription(id).await.map_err(failed)?;
        let heard = |item| match item {
            Ok(raw) => Heard::News(raw),
            Err(BroadcastStreamRecvError::Lagged(_)) => Heard::Lost,
        };
        Ok((Subscription::Ipc(id), BroadcastStream::new(announcements.rx).map(heard).boxed()))
    }

    /// Ends a subscription. It is a courtesy: nothing is lost when the node does not hear it.
    pub(crate) fn unsubscribe(&self, subscription: &Subscription) {
        match subscription {
            Subscription::Socket(id) => {
                let request = self.client.make_request("eth_unsubscribe", json!([id])).serialize();
                if let (Some(socket), Ok(request)) = (&self.socket, request) {
                    socket.tell(request);
                }
            }
            Subscription::Ipc(id) => {
                if let Some(frontend) = self.frontend() {
                    let _ = frontend.unsubscribe(*id);
                }
            }
        }
    }

    fn frontend(&self) -> Option<&PubSubFrontend> {
        self.client.pubsub_frontend()
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

async fn over_ipc(path: &std::path::Path) -> Result<RpcClientInner, TransportError> {
    let frontend = Once(IpcConnect::from(path.to_owned())).into_service().await?;
    frontend.set_channel_size(ANNOUNCEMENTS_MAX);
    Ok(RpcClientInner::new(frontend, true))
}

/// A connector that connects once. alloy's pubsub service would reconnect silently, and lose what came in between.
struct Once<C>(C);

impl<C: PubSubConnect> PubSubConnect for Once<C> {
    fn is_local(&self) -> bool {
        self.0.is_local()
    }

    async fn connect(&self) -> TransportResult<ConnectionHandle> {
        self.0.connect().await
    }

    async fn try_reconnect(&self) -> TransportResult<ConnectionHandle> {
        Err(TransportErrorKind::non_retryable_str(ENDED))
    }
}

pub(crate) fn too_slow(timeout: Duration) -> Fault {
    Fault::Silent(format!("no answer within {} s", timeout.as_secs_f64()))
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
        WireError::Absent(detail) => Fault::Silent(detail.clone()),
        WireError::Http(http) => classify_http(method, http),
        WireError::NotJsonRpc(detail) => Fault::NotJsonRpc(detail.clone()),
        // The same size at another status says the same thing.
        WireError::TooLarge(_) => match classify_http(method, &TOO_LARGE) {
            Fault::RangeTooLarge { suggested_blocks, .. } => {
                Fault::RangeTooLarge { detail: error.to_string(), suggested_blocks, lasting: false }
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
