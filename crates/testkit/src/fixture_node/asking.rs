//! Owns the plainest clients there are, for the loops that a benchmark holds the pipeline against.

use std::collections::VecDeque;

use anyhow::{Context as _, bail};
use futures::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::loopback::read_body;

/// One HTTP/1.1 connection that is kept.
#[derive(Debug)]
pub struct Http {
    stream: TcpStream,
    address: String,
}

impl Http {
    /// Connects to an `http://` URL of an address and a port.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let address = url.strip_prefix("http://").context("an http:// URL")?.to_owned();
        let stream = TcpStream::connect(&address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address })
    }

    /// The body of the answer to one request.
    ///
    /// # Errors
    /// When the connection ends, or the answer is no HTTP.
    pub async fn ask(&mut self, method: &str, params: Json) -> anyhow::Result<Vec<u8>> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        self.exchange("POST", "/", &body).await
    }

    /// The body of a page.
    ///
    /// # Errors
    /// As [`Http::ask`].
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Vec<u8>> {
        self.exchange("GET", path, "").await
    }

    /// The body of the answer to this one.
    ///
    /// # Errors
    /// As [`Http::ask`].
    pub async fn post(&mut self, body: &str) -> anyhow::Result<Vec<u8>> {
        self.exchange("POST", "/", body).await
    }

    async fn exchange(&mut self, verb: &str, path: &str, body: &str) -> anyhow::Result<Vec<u8>> {
        let request = format!(
            "{verb} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        match read_body(&mut self.stream).await? {
            Some(body) if !body.is_empty() => Ok(body),
            Some(_) => bail!("an answer without a body, or without its length"),
            None => bail!("the connection ended"),
        }
    }
}

/// One WebSocket connection with a subscription to heads.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    id: u64,
    // Came while an answer was waited for.
    waiting: VecDeque<String>,
}

impl Socket {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let (socket, _) = connect_async(url).await?;
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_nodelay(true)?;
        }
        Ok(Self { stream: socket, id: 0, waiting: VecDeque::new() })
    }

    /// Subscribes to heads.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn subscribe(&mut self) -> anyhow::Result<()> {
        self.ask("eth_subscribe", json!(["newHeads"])).await.map(drop)
    }

    /// The text of the answer to one request.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn ask(&mut self, method: &str, params: Json) -> anyhow::Result<String> {
        self.id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.id, "method": method, "params": params });
        self.stream.send(Message::text(request.to_string())).await?;
        let answer = format!("\"id\":{}", self.id);
        loop {
            let text = self.text().await?;
            if text.contains("\"eth_subscription\"") {
                self.waiting.push_back(text);
            } else if text.contains(&answer) {
                return Ok(text);
            }
        }
    }

    /// The text of the next announcement.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn announced(&mut self) -> anyhow::Result<String> {
        match self.waiting.pop_front() {
            Some(text) => Ok(text),
            None => self.text().await,
        }
    }

    async fn text(&mut self) -> anyhow::Result<String> {
        loop {
            match self.stream.next().await.context("the connection ended")?? {
                Message::Text(text) => return Ok(text.as_str().to_owned()),
                Message::Close(_) => bail!("the connection ended"),
                _ => {}
            }
        }
    }
}
