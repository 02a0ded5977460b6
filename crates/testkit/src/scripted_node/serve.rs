//! Owns how a scripted node says what its script says: requests, batches and frames.

use std::io;

use futures::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::{
    Outgoing, State,
    script::{Batches, Call, Reply},
};
use crate::loopback::{Speaker, read_body, respond};

impl Speaker for State {
    async fn http(&self, stream: TcpStream) -> io::Result<()> {
        http(stream, self).await
    }

    async fn websocket(&self, stream: TcpStream) -> io::Result<()> {
        websocket(stream, self).await
    }
}

// ------------------------------------------------------------------------------------------------ WebSocket

async fn websocket(mut stream: TcpStream, state: &State) -> io::Result<()> {
    if let Some(status) = state.refused_status() {
        read_body(&mut stream).await?;
        return respond(&mut stream, status, &[], b"").await;
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
    let call = call(&request, 1, state);
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
    while let Some(body) = read_body(&mut stream).await? {
        let request: Json = serde_json::from_slice(&body).unwrap_or_default();
        let calls: Vec<Call> = match &request {
            Json::Array(requests) => requests.iter().map(|one| call(one, requests.len(), state)).collect(),
            request => vec![call(request, 1, state)],
        };
        if let Some(reply) = state.interference(&calls) {
            if !say(&mut stream, &calls, reply).await? {
                return Ok(());
            }
            continue;
        }
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

async fn single(stream: &mut TcpStream, state: &State, request: &Json) -> io::Result<bool> {
    let call = call(request, 1, state);
    let reply = state.reply(&call, None);
    say(stream, &[call], reply).await
}

/// Says the same to a whole request. Returns whether the connection goes on.
async fn say(stream: &mut TcpStream, calls: &[Call], reply: Reply) -> io::Result<bool> {
    match reply {
        Reply::Silence => std::future::pending().await,
        Reply::Close => Ok(false),
        Reply::Raw(body) => respond(stream, 200, &[], body.as_bytes()).await.map(|()| true),
        Reply::Http { status, headers, body } => {
            respond(stream, status, &headers, body.as_bytes()).await.map(|()| true)
        }
        reply => {
            let answers: Vec<Json> = calls.iter().filter_map(|call| envelope(call, reply.clone())).collect();
            let answer = if let [one] = answers.as_slice() { one.clone() } else { Json::Array(answers) };
            respond(stream, 200, &[], answer.to_string().as_bytes()).await.map(|()| true)
        }
    }
}

async fn batch(stream: &mut TcpStream, state: &State, requests: &[Json]) -> io::Result<bool> {
    let mut answers = Vec::with_capacity(requests.len());
    let shape = state.batch_shape();
    if let Batches::AtMost(most, refusal) = &shape
        && requests.len() > *most
    {
        return refuse(stream, state, requests, refusal.clone()).await;
    }
    for request in requests {
        let call = call(request, requests.len(), state);
        match state.reply(&call, None) {
            Reply::Close => return Ok(false),
            Reply::Http { status, headers, body } => {
                return respond(stream, status, &headers, body.as_bytes()).await.map(|()| true);
            }
            // Left out of the answers.
            Reply::Silence | Reply::Raw(_) => {}
            reply => answers.extend(envelope(&call, reply)),
        }
    }
    let body = match shape {
        Batches::InOrder | Batches::AtMost(..) => Json::Array(answers),
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
    respond(stream, 200, &[], body.to_string().as_bytes()).await.map(|()| true)
}

async fn refuse(
    stream: &mut TcpStream,
    state: &State,
    requests: &[Json],
    refusal: Reply,
) -> io::Result<bool> {
    for request in requests {
        state.note(&call(request, requests.len(), state));
    }
    let (status, headers, body) = match refusal {
        Reply::Http { status, headers, body } => (status, headers, body),
        Reply::Error { code, message, .. } => {
            let error =
                json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } });
            (200, Vec::new(), error.to_string())
        }
        Reply::Result(result) => (200, Vec::new(), result.to_string()),
        Reply::Raw(body) => (200, Vec::new(), body),
        Reply::Silence => std::future::pending().await,
        Reply::Close => return Ok(false),
    };
    respond(stream, status, &headers, body.as_bytes()).await.map(|()| true)
}

// ------------------------------------------------------------------------------------------------- JSON-RPC

fn call(request: &Json, batch: usize, state: &State) -> Call {
    Call {
        method: request["method"].as_str().unwrap_or_default().to_owned(),
        params: request["params"].clone(),
        id: state.id_shape().write(&request["id"]),
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
