//! Owns the sockets of a fixture node: HTTP and WebSocket on one port, told apart by the handshake.

use std::{collections::HashMap, io, sync::Arc};

use futures::{SinkExt, StreamExt};
use serde_json::Value as Json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::Message;

use super::{State, render::Said};

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
    stream.set_nodelay(true)?;
    let mut start = vec![0; HEAD_MAX];
    loop {
        let length = stream.peek(&mut start).await?;
        let head = String::from_utf8_lossy(&start[..length]).to_ascii_lowercase();
        if length == 0 || head.contains("\r\n\r\n") {
            drop(start);
            return if head.contains("upgrade: websocket") {
                websocket(stream, &state).await
            } else {
                http(stream, &state).await
            };
        }
        tokio::task::yield_now().await;
    }
}

async fn http(mut stream: TcpStream, state: &State) -> io::Result<()> {
    while let Some(body) = read_request(&mut stream).await? {
        match serde_json::from_slice(&body).unwrap_or_default() {
            Json::Array(requests) => {
                let mut answers = Vec::from(*b"[");
                for (position, request) in requests.iter().enumerate() {
                    if position > 0 {
                        answers.push(b',');
                    }
                    answers.extend(answered(state, request, None));
                }
                answers.push(b']');
                respond(&mut stream, &answers).await?;
            }
            request => {
                let answer = answered(state, &request, None);
                respond(&mut stream, &answer).await?;
            }
        }
    }
    Ok(())
}

async fn websocket(stream: TcpStream, state: &State) -> io::Result<()> {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return Ok(()) };
    let mut announcements = state.announcements.subscribe();
    let mut subscriptions = HashMap::new();
    loop {
        tokio::select! {
            announced = announcements.recv() => {
                let Ok(announced) = announced else { break };
                let of_kind = subscriptions.iter().filter(|(_, kind)| **kind == announced.kind);
                for (id, _) in of_kind {
                    let frame = format!(
                        "{{\"jsonrpc\":\"2.0\",\"method\":\"eth_subscription\",\"params\":{{\"subscription\":\"{id}\",\
                         \"result\":{}}}}}",
                        announced.result
                    );
                    if socket.send(Message::text(frame)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            message = socket.next() => {
                let Some(Ok(message)) = message else { break };
                let Message::Text(text) = message else { continue };
                let request: Json = serde_json::from_str(&text).unwrap_or_default();
                let answer = answered(state, &request, Some(&mut subscriptions));
                let answer = String::from_utf8_lossy(&answer).into_owned();
                if socket.send(Message::text(answer)).await.is_err() {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The envelope of an answer. `subscriptions` are those of a WebSocket, by id.
fn answered(state: &State, request: &Json, subscriptions: Option<&mut HashMap<String, String>>) -> Vec<u8> {
    let method = request["method"].as_str().unwrap_or_default();
    state.called(method);
    let (id, params) = (&request["id"], &request["params"]);
    let result = |result: &[u8]| {
        let mut answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":").into_bytes();
        answer.reserve_exact(result.len() + 1);
        answer.extend_from_slice(result);
        answer.push(b'}');
        answer
    };
    match (method, subscriptions) {
        ("eth_subscribe", Some(subscriptions)) => {
            let subscription = format!("0x{:x}", subscriptions.len() + 1);
            let kind = params[0].as_str().unwrap_or_default().to_owned();
            subscriptions.insert(subscription.clone(), kind);
            result(format!("\"{subscription}\"").as_bytes())
        }
        ("eth_unsubscribe", Some(subscriptions)) => {
            let known = params[0].as_str().and_then(|id| subscriptions.remove(id)).is_some();
            result(if known { b"true" } else { b"false" })
        }
        ("fixture_calls", _) => {
            let calls = state.calls.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            result(serde_json::json!(calls).to_string().as_bytes())
        }
        _ => {
            let chain = state.chain();
            match chain.answer(method, params, state.results_max) {
                Said::Text(text) => result(text.as_bytes()),
                Said::Logs(range) if range.is_empty() => result(b"[]"),
                Said::Logs(range) => {
                    // The last one's comma becomes the bracket.
                    let text = chain.text(range);
                    let mut answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":[").into_bytes();
                    answer.reserve_exact(text.len() + 1);
                    answer.extend_from_slice(&text[..text.len() - 1]);
                    answer.extend_from_slice(b"]}");
                    answer
                }
                Said::Error(code, message) => {
                    let error = serde_json::json!({ "code": code, "message": &*message });
                    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}").into_bytes()
                }
            }
        }
    }
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

async fn respond(stream: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    if body.len() < HEAD_MAX {
        return stream.write_all(&[head.as_bytes(), body].concat()).await;
    }
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await
}
