//! Owns the sockets of a scripted node: HTTP and WebSocket on one port, told apart by the handshake.

use std::{io, sync::Arc};

use futures::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::Message;

use super::{
    Outgoing, State,
    script::{Batches, Call, Reply},
};

/// The largest head of an HTTP request, in bytes.
const HEAD_MAX: usize = 64 << 10;

/// Serves until it is aborted, and its connections with it.
pub(super) async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            // How a connection ends is for the other side to notice.
            let _ = connection(stream, state).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) -> io::Result<()> {
    let mut start = vec![0; HEAD_MAX];
    loop {
        let length = stream.peek(&mut start).await?;
        if !start[0].is_ascii_uppercase() && length > 0 {
            // No HTTP method begins so: it is TLS, or nonsense.
            return Ok(());
        }
        let head = String::from_utf8_lossy(&start[..length]).to_ascii_lowercase();
        if length == 0 || head.contains("\r\n\r\n") {
            return if head.contains("upgrade: websocket") {
                websocket(stream, &state).await
            } else {
                http(stream, &state).await
            };
        }
        tokio::task::yield_now().await;
    }
}

// ------------------------------------------------------------------------------------------------ WebSocket

async fn websocket(mut stream: TcpStream, state: &State) -> io::Result<()> {
    if let Some(status) = state.refused_status() {
        read_request(&mut stream).await?;
        return respond(&mut stream, status, &[], "").await;
    }
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return Ok(()) };
    let (connection, mut outgoing) = state.connect();
    loop {
        tokio::select! {
            out = outgoing.recv() => match out {
                Some(Outgoing::Text(text)) => {
                    if socket.send(Message::text(text)).await.is_err() {
                        break;
                    }
                }
                Some(Outgoing::Drop) | None => break,
            },
            message = socket.next() => {
                let Some(Ok(message)) = message else { break };
                let Message::Text(text) = message else { continue };
                match answer_frame(state, connection, &text) {
                    Ok(Some(text)) => if socket.send(Message::text(text)).await.is_err() {
                        break;
                    },
                    Ok(None) => {}
                    Err(Closed) => break,
                }
            }
        }
    }
    state.disconnect(connection);
    Ok(())
}

/// The script closes the connection.
struct Closed;

fn answer_frame(state: &State, connection: u64, text: &str) -> Result<Option<String>, Closed> {
    let Ok(request) = serde_json::from_str::<Json>(text) else { return Ok(None) };
    let call = call(&request, 1);
    match state.reply(&call, Some(connection)) {
        Reply::Silence => Ok(None),
        Reply::Close => Err(Closed),
        Reply::Raw(text) | Reply::Http { body: text, .. } => Ok(Some(text)),
        Reply::Result(_) | Reply::Error { .. } if call.method.is_empty() => Ok(None),
        reply => Ok(envelope(&call, reply).map(|answer| answer.to_string())),
    }
}

// ----------------------------------------------------------------------------------------------------- HTTP

async fn http(mut stream: TcpStream, state: &State) -> io::Result<()> {
    while let Some(body) = read_request(&mut stream).await? {
        let request: Json = serde_json::from_slice(&body).unwrap_or_default();
        let done = match &request {
            Json::Array(requests) => batch(&mut stream, state, requests).await?,
            request => single(&mut stream, state, request).await?,
        };
        if !done {
            return Ok(());
        }
    }
    Ok(())
}

/// Returns whether the connection goes on.
async fn single(stream: &mut TcpStream, state: &State, request: &Json) -> io::Result<bool> {
    let call = call(request, 1);
    match state.reply(&call, None) {
        Reply::Silence => std::future::pending().await,
        Reply::Close => Ok(false),
        Reply::Raw(body) => respond(stream, 200, &[], &body).await.map(|()| true),
        Reply::Http { status, headers, body } => {
            respond(stream, status, &headers, &body).await.map(|()| true)
        }
        reply => {
            let answer = envelope(&call, reply).unwrap_or_default();
            respond(stream, 200, &[], &answer.to_string()).await.map(|()| true)
        }
    }
}

async fn batch(stream: &mut TcpStream, state: &State, requests: &[Json]) -> io::Result<bool> {
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        let call = call(request, requests.len());
        match state.reply(&call, None) {
            Reply::Close => return Ok(false),
            Reply::Http { status, headers, body } => {
                return respond(stream, status, &headers, &body).await.map(|()| true);
            }
            // Left out of the answers.
            Reply::Silence | Reply::Raw(_) => {}
            reply => answers.extend(envelope(&call, reply)),
        }
    }
    let body = match state.batch_shape() {
        Batches::InOrder => Json::Array(answers),
        Batches::Reversed => {
            answers.reverse();
            Json::Array(answers)
        }
        Batches::Partial(keep) => {
            answers.truncate(keep);
            Json::Array(answers)
        }
        Batches::Refused { code, message } => {
            json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } })
        }
    };
    respond(stream, 200, &[], &body.to_string()).await.map(|()| true)
}

/// One request's body; `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut read = Vec::new();
    let head_end = loop {
        if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if read.len() > HEAD_MAX || stream.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&read[..head_end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or_default();
    while read.len() < head_end + length {
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(read.split_off(head_end)))
}

async fn respond(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}

// ------------------------------------------------------------------------------------------------- JSON-RPC

fn call(request: &Json, batch: usize) -> Call {
    Call {
        method: request["method"].as_str().unwrap_or_default().to_owned(),
        params: request["params"].clone(),
        id: request["id"].clone(),
        batch,
    }
}

fn envelope(call: &Call, reply: Reply) -> Option<Json> {
    match reply {
        Reply::Result(result) => Some(json!({ "jsonrpc": "2.0", "id": call.id, "result": result })),
        Reply::Error { code, message, data } => {
            let mut error = json!({ "code": code, "message": message });
            if let Some(data) = data {
                error["data"] = data;
            }
            Some(json!({ "jsonrpc": "2.0", "id": call.id, "error": error }))
        }
        Reply::Http { .. } | Reply::Raw(_) | Reply::Silence | Reply::Close => None,
    }
}
