//! Owns the WebSocket below alloy's pubsub service: connecting, keeping alive, and noticing the end.
//!
//! It stands in for alloy's own backend, for which one frame that it cannot read is the end of the connection, and which
//! tells nobody why a connection ended. Reconnecting is not its business, nor the pubsub service's: [`Once`] sees to it
//! that a connection that ended stays ended, and that whoever used it hears of it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use alloy_pubsub::{ConnectionHandle, ConnectionInterface, PubSubConnect};
use alloy_transport::{Authorization, TransportErrorKind, TransportResult};
use futures::{SinkExt, StreamExt};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        error::ProtocolError,
        handshake::client::Request,
        http::{HeaderValue, header},
        protocol::WebSocketConfig,
    },
};
use url::Url;

use crate::{
    classify::HttpRefusal,
    frame::Packet,
    http::WireError,
    limits::{GARBAGE_MAX, KEEPALIVE},
};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// Why a connection ended, told by the task that saw it to all who had used it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending(Arc<OnceLock<WireError>>);

impl Ending {
    pub(crate) fn cause(&self) -> Option<WireError> {
        self.0.get().cloned()
    }

    /// The cause; `other` becomes it where nobody has told one.
    pub(crate) fn cause_or(&self, other: WireError) -> WireError {
        self.0.get_or_init(|| other).clone()
    }

    fn tell(&self, cause: WireError) {
        // The first cause is the cause.
        let _ = self.0.set(cause);
    }
}

/// A connector that connects once. alloy's pubsub service would reconnect silently, and lose what came in between.
pub(crate) struct Once<C>(pub(crate) C);

impl<C: PubSubConnect> PubSubConnect for Once<C> {
    fn is_local(&self) -> bool {
        self.0.is_local()
    }

    async fn connect(&self) -> TransportResult<ConnectionHandle> {
        self.0.connect().await
    }

    async fn try_reconnect(&self) -> TransportResult<ConnectionHandle> {
        Err(TransportErrorKind::non_retryable_str("the connection ended"))
    }
}

/// Connects to a URL.
pub(crate) struct SocketConnect {
    pub(crate) url: Url,
    pub(crate) max_response_bytes: usize,
    pub(crate) send_timeout: Duration,
    pub(crate) ending: Ending,
}

impl PubSubConnect for SocketConnect {
    fn is_local(&self) -> bool {
        false
    }

    async fn connect(&self) -> TransportResult<ConnectionHandle> {
        let request = handshake(&self.url).map_err(|error| refused(error).into_transport())?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(self.max_response_bytes))
            .max_frame_size(Some(self.max_response_bytes));
        let (socket, _) = connect_async_with_config(request, Some(config), true)
            .await
            .map_err(|error| refused(error).into_transport())?;
        let (handle, interface) = ConnectionHandle::new();
        let backend = Backend {
            socket,
            interface,
            max_response_bytes: self.max_response_bytes,
            send_timeout: self.send_timeout,
            garbage: 0,
            unanswered_ping: false,
        };
        let ending = self.ending.clone();
        tokio::spawn(async move {
            let (interface, cause) = backend.run().await;
            if let Some(cause) = cause {
                ending.tell(cause);
                interface.close_with_transport_error(TransportErrorKind::non_retryable_str(
                    "the connection ended",
                ));
            }
        });
        Ok(handle)
    }
}

impl fmt::Debug for SocketConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketConnect").finish_non_exhaustive()
    }
}

fn handshake(url: &Url) -> Result<Request, tungstenite::Error> {
    let mut request = url.as_str().into_client_request()?;
    if let Some(authorization) = Authorization::extract_from_url(url) {
        let mut value = HeaderValue::from_str(&authorization.to_string())?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

/// Why a handshake failed. An HTTP answer means that something is there, which is no WebSocket or does not want us.
fn refused(error: tungstenite::Error) -> WireError {
    match error {
        tungstenite::Error::Http(response) => {
            let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = seconds.and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
            match response.status().as_u16() {
                status @ (200..=299 | 400 | 404 | 405 | 426) => {
                    WireError::NotJsonRpc(format!("it answers HTTP {status} instead of opening a WebSocket"))
                }
                status => WireError::Http(Box::new(HttpRefusal { status, retry_after, refusal: None })),
            }
        }
        // It hung up in the middle, which a node that is going down does.
        tungstenite::Error::Protocol(
            error @ (ProtocolError::HandshakeIncomplete | ProtocolError::ResetWithoutClosingHandshake),
        ) => WireError::Broken(error.to_string()),
        tungstenite::Error::Protocol(_) | tungstenite::Error::Capacity(_) | tungstenite::Error::Utf8(_) => {
            WireError::NotJsonRpc(format!("it opens no WebSocket ({error})"))
        }
        error => WireError::Broken(error.to_string()),
    }
}

struct Backend {
    socket: Socket,
    interface: ConnectionInterface,
    max_response_bytes: usize,
    send_timeout: Duration,
    garbage: u32,
    unanswered_ping: bool,
}

impl Backend {
    /// Works until the connection ends, which has a cause, or nobody wants it any more, which has none.
    async fn run(mut self) -> (ConnectionInterface, Option<WireError>) {
        let mut keepalive = tokio::time::interval(KEEPALIVE);
        keepalive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        keepalive.reset();
        let cause = loop {
            let step = tokio::select! {
                request = self.interface.recv_from_frontend() => match request {
                    Some(request) => self.send(Message::text(request.get())).await,
                    None => break None,
                },
                message = self.socket.next() => self.receive(message),
                _ = keepalive.tick() => self.ping().await,
            };
            if let Err(cause) = step {
                break Some(cause);
            }
        };
        if cause.is_none() {
            // A polite end is worth a moment, no more.
            let _ = tokio::time::timeout(self.send_timeout, self.socket.close(None)).await;
        }
        (self.interface, cause)
    }

    async fn send(&mut self, message: Message) -> Result<(), WireError> {
        match tokio::time::timeout(self.send_timeout, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(WireError::Broken(error.to_string())),
            Err(_elapsed) => Err(WireError::Broken("it takes no more requests".to_owned())),
        }
    }

    async fn ping(&mut self) -> Result<(), WireError> {
        if std::mem::replace(&mut self.unanswered_ping, true) {
            return Err(WireError::Broken("it answers no ping".to_owned()));
        }
        self.send(Message::Ping(Vec::new().into())).await
    }

    fn receive(&mut self, message: Option<Result<Message, tungstenite::Error>>) -> Result<(), WireError> {
        // Whatever comes, the other side lives.
        self.unanswered_ping = false;
        match message {
            Some(Ok(Message::Text(text))) => self.take(text.as_bytes()),
            Some(Ok(Message::Binary(bytes))) => self.take(&bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Close(Some(frame)))) => {
                Err(WireError::Broken(format!("it closed the connection ({})", frame.reason.as_str())))
            }
            Some(Ok(Message::Close(None))) | None => {
                Err(WireError::Broken("it closed the connection".to_owned()))
            }
            Some(Err(tungstenite::Error::Capacity(_))) => Err(WireError::TooLarge(self.max_response_bytes)),
            Some(Err(error)) => Err(WireError::Broken(error.to_string())),
        }
    }

    /// Hands on what came. Nonsense is dropped, until there is nothing else.
    fn take(&mut self, frame: &[u8]) -> Result<(), WireError> {
        match Packet::parse(frame) {
            Ok(packet) => {
                self.garbage = 0;
                for item in packet.into_frames().into_iter().filter_map(crate::frame::Frame::into_item) {
                    if self.interface.send_to_frontend(item).is_err() {
                        return Err(WireError::Broken("nobody listens".to_owned()));
                    }
                }
                Ok(())
            }
            Err(error) => {
                self.garbage += 1;
                metrics::counter!("chainbell_rpc_garbage_frames_total").increment(1);
                tracing::warn!(bytes = frame.len(), %error, "a frame of a node is no JSON-RPC: dropped");
                if self.garbage < GARBAGE_MAX {
                    return Ok(());
                }
                Err(WireError::NotJsonRpc(format!("{GARBAGE_MAX} frames in a row are no JSON-RPC")))
            }
        }
    }
}
