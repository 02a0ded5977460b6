//! Owns the envelopes of a fixture node: the answers to a request, a batch or a frame, and the announcements between them.

use std::{collections::HashMap, io};

use futures::{SinkExt, StreamExt};
use serde_json::Value as Json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::{State, render::Said};
use crate::loopback::{Speaker, read_body, respond};

impl Speaker for State {
    async fn http(&self, mut stream: TcpStream) -> io::Result<()> {
        while let Some(body) = read_body(&mut stream).await? {
            match serde_json::from_slice(&body).unwrap_or_default() {
                Json::Array(requests) => {
                    let mut answers = Vec::from(*b"[");
                    for (position, request) in requests.iter().enumerate() {
                        if position > 0 {
                            answers.push(b',');
                        }
                        answers.extend(answered(self, request, None));
                    }
                    answers.push(b']');
                    respond(&mut stream, 200, &[], &answers).await?;
                }
                request => {
                    let answer = answered(self, &request, None);
                    respond(&mut stream, 200, &[], &answer).await?;
                }
            }
        }
        Ok(())
    }

    async fn websocket(&self, stream: TcpStream) -> io::Result<()> {
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return Ok(()) };
        let mut announcements = self.announcements.subscribe();
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
                        if socket.feed(Message::text(frame)).await.is_err() {
                            return Ok(());
                        }
                    }
                    // A head goes at once, the logs of its block in as few writes as they fit.
                    let goes = announced.kind == "newHeads" || announcements.is_empty();
                    if goes && socket.flush().await.is_err() {
                        return Ok(());
                    }
                }
                message = socket.next() => {
                    let Some(Ok(message)) = message else { break };
                    let Message::Text(text) = message else { continue };
                    let request: Json = serde_json::from_str(&text).unwrap_or_default();
                    let answer = answered(self, &request, Some(&mut subscriptions));
                    let answer = String::from_utf8_lossy(&answer).into_owned();
                    if socket.send(Message::text(answer)).await.is_err() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
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
