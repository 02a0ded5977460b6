//! The sockets of a node that is made up: HTTP and WebSocket on one port of 127.0.0.1, told apart by the handshake. Owns
//! the reading and writing of HTTP; must not know what is said.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// The largest head of a request, in bytes.
const HEAD_MAX: usize = 64 << 10;

/// Who talks on the connections.
pub(crate) trait Speaker: Send + Sync + 'static {
    /// Serves a connection of plain HTTP to its end.
    fn http(&self, stream: TcpStream) -> impl Future<Output = io::Result<()>> + Send;

    /// Serves a connection that asks to become a WebSocket to its end; nothing of it is read yet.
    fn websocket(&self, stream: TcpStream) -> impl Future<Output = io::Result<()>> + Send;
}

/// A server. It ends when it is dropped, and its connections with it.
#[derive(Debug)]
pub(crate) struct Loopback {
    address: SocketAddr,
    server: AbortHandle,
}

impl Loopback {
    /// Starts on a free port.
    ///
    /// # Errors
    /// When there is no port.
    pub(crate) async fn start(speaker: Arc<impl Speaker>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, server: tokio::spawn(serve(listener, speaker)).abort_handle() })
    }

    pub(crate) fn http_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn ws_url(&self) -> String {
        format!("ws://{}", self.address)
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, speaker: Arc<impl Speaker>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let speaker = Arc::clone(&speaker);
        connections.spawn(async move {
            // How a connection ends is for the other side to notice.
            let _ = connection(stream, speaker.as_ref()).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, speaker: &impl Speaker) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut start = vec![0; HEAD_MAX];
    loop {
        let length = stream.peek(&mut start).await?;
        if !start[0].is_ascii_uppercase() && length > 0 {
            // No HTTP method begins so: it is TLS, or nonsense.
            return Ok(());
        }
        let head = String::from_utf8_lossy(&start[..length]).to_ascii_lowercase();
        if length == 0 || head.contains("\r\n\r\n") {
            drop(start);
            return if head.contains("upgrade: websocket") {
                speaker.websocket(stream).await
            } else {
                speaker.http(stream).await
            };
        }
        tokio::task::yield_now().await;
    }
}

/// The body of the next request or answer; `None` at the end of the connection. One whose length is not said has none.
pub(crate) async fn read_body(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut read = Vec::with_capacity(16 << 10);
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
    let mut body = read.split_off(head_end);
    body.reserve_exact(length.saturating_sub(body.len()));
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(body))
}

/// Answers with a body, which is JSON as a rule, and further headers.
pub(crate) async fn respond(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    if body.len() < HEAD_MAX {
        return stream.write_all(&[head.as_bytes(), body].concat()).await;
    }
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await
}
