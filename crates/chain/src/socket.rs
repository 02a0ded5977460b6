//! Owns a WebSocket below alloy's client: connecting, keeping alive, and noticing the end. Who waits for what is the
//! desk's to know.
//!
//! It stands in for alloy's own backend, for which one frame that it cannot read is the end of the connection, and which
//! tells nobody why a connection ended; and for alloy's pubsub service, which sends nothing while there is something to
//! read, so that the question for a block's logs would wait behind every one of them that is announced. Reconnecting is
//! not its business.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use alloy_json_rpc::{RequestPacket, ResponsePacket, SerializedRequest};
use alloy_transport::{Authorization, TransportError, TransportFut};
use futures::{SinkExt, StreamExt, future::try_join_all};
use tokio::sync::{mpsc, oneshot};
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
use tower::Service;
use url::Url;

use crate::{
    classify::HttpRefusal,
    desk::{Answer, Desk, Question, Turn},
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

/// How to connect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketOptions {
    pub(crate) max_response_bytes: usize,
    pub(crate) send_timeout: Duration,
}

/// The asking end of a WebSocket: a transport of alloy's client. The connection ends with the last of them.
#[derive(Clone)]
pub(crate) struct SocketTransport {
    questions: mpsc::UnboundedSender<Question>,
    ending: Ending,
}

impl SocketTransport {
    /// Connects to a URL.
    pub(crate) async fn connect(
        url: &Url,
        options: SocketOptions,
        ending: Ending,
    ) -> Result<Self, WireError> {
        let request = handshake(url).map_err(refused)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(options.max_response_bytes))
            .max_frame_size(Some(options.max_response_bytes));
        let (socket, _) = connect_async_with_config(request, Some(config), true).await.map_err(refused)?;
        // Whoever asks has a permit to, and waits: the permits bound what is in it.
        let (questions, asked) = mpsc::unbounded_channel();
        let mut backend = Backend {
            socket,
            questions: asked,
            desk: Desk::default(),
            options,
            garbage: 0,
            unanswered_ping: false,
        };
        let told = ending.clone();
        tokio::spawn(async move {
            if let Some(cause) = backend.run().await {
                // Before anybody hears of the end, who asks for the cause at once.
                told.tell(cause);
            }
            drop(backend);
        });
        Ok(Self { questions, ending })
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&self, request: SerializedRequest) -> Result<Answer, WireError> {
        let ended = || self.ending.cause_or(WireError::Broken("the connection ended".to_owned()));
        let (reply, answer) = oneshot::channel();
        self.questions.send(Question { request, reply }).map_err(|_closed| ended())?;
        answer.await.map_err(|_dropped| ended())
    }

    /// Asks, and waits for nothing.
    pub(crate) fn tell(&self, request: SerializedRequest) {
        let (reply, _) = oneshot::channel();
        let _ = self.questions.send(Question { request, reply });
    }
}

impl Service<RequestPacket> for SocketTransport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move {
            let response = |request| async { Ok(transport.ask(request).await?.response) };
            match request {
                RequestPacket::Single(request) => response(request).await.map(ResponsePacket::Single),
                // Many nodes take no batches here, and one by one the questions travel together all the same.
                RequestPacket::Batch(requests) => {
                    try_join_all(requests.into_iter().map(response)).await.map(ResponsePacket::Batch)
                }
            }
            .map_err(WireError::into_transport)
        })
    }
}

impl fmt::Debug for SocketTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketTransport").finish_non_exhaustive()
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
    questions: mpsc::UnboundedReceiver<Question>,
    desk: Desk,
    options: SocketOptions,
    garbage: u32,
    unanswered_ping: bool,
}

impl Backend {
    /// Works until the connection ends, which has a cause, or nobody wants it any more, which has none.
    async fn run(&mut self) -> Option<WireError> {
        let mut keepalive = tokio::time::interval(KEEPALIVE);
        keepalive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        keepalive.reset();
        let mut turn = Turn::Nobody;
        loop {
            let step = tokio::select! {
                // What is to be said goes before what is to be heard, of which there may be much.
                biased;
                _ = keepalive.tick() => self.ping().await.map(|()| Turn::Nobody),
                question = self.questions.recv() => match question {
                    Some(question) => self.ask(question).await.map(|()| Turn::Nobody),
                    None => break,
                },
                message = self.socket.next() => self.receive(message),
            };
            match step {
                Err(cause) => return Some(cause),
                Ok(Turn::Nobody) => {}
                // The head of a block is followed by its logs: who was told of it acts on it before they are read.
                Ok(next) if next != turn => {
                    turn = next;
                    tokio::task::yield_now().await;
                }
                Ok(_same) => {}
            }
        }
        // A polite end is worth a moment, no more.
        let _ = tokio::time::timeout(self.options.send_timeout, self.socket.close(None)).await;
        None
    }

    async fn ask(&mut self, Question { request, reply }: Question) -> Result<(), WireError> {
        self.desk.asked(&request, reply);
        self.send(Message::text(request.serialized().get())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), WireError> {
        match tokio::time::timeout(self.options.send_timeout, self.socket.send(message)).await {
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

    fn receive(&mut self, message: Option<Result<Message, tungstenite::Error>>) -> Result<Turn, WireError> {
        // Whatever comes, the other side lives.
        self.unanswered_ping = false;
        match message {
            Some(Ok(Message::Text(text))) => self.take(text.as_bytes()),
            Some(Ok(Message::Binary(bytes))) => self.take(&bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Turn::Nobody),
            Some(Ok(Message::Close(Some(frame)))) => {
                Err(WireError::Broken(format!("it closed the connection ({})", frame.reason.as_str())))
            }
            Some(Ok(Message::Close(None))) | None => {
                Err(WireError::Broken("it closed the connection".to_owned()))
            }
            Some(Err(tungstenite::Error::Capacity(_))) => {
                Err(WireError::TooLarge(self.options.max_response_bytes))
            }
            Some(Err(error)) => Err(WireError::Broken(error.to_string())),
        }
    }

    /// Hands on what came, and says whose turn it is. Nonsense is dropped, until there is nothing else.
    fn take(&mut self, text: &[u8]) -> Result<Turn, WireError> {
        match Packet::parse(text) {
            Ok(packet) => {
                self.garbage = 0;
                Ok(match packet {
                    Packet::Single(frame) => self.desk.hand_on(frame),
                    Packet::Batch(frames) => {
                        let turns = frames.into_iter().map(|frame| self.desk.hand_on(frame));
                        turns.last().unwrap_or(Turn::Nobody)
                    }
                })
            }
            Err(error) => {
                self.garbage += 1;
                metrics::counter!("chainbell_rpc_garbage_frames_total").increment(1);
                tracing::warn!(bytes = text.len(), %error, "a frame of a node is no JSON-RPC: dropped");
                if self.garbage < GARBAGE_MAX {
                    return Ok(Turn::Nobody);
                }
                Err(WireError::NotJsonRpc(format!("{GARBAGE_MAX} frames in a row are no JSON-RPC")))
            }
        }
    }
}
