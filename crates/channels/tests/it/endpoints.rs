//! Endpoints that misbehave below HTTP. Each ends when it is dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::Clock as _;
use testkit::clock::RealClock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What an endpoint does once it has the request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// It never answers.
    Silent,
    /// It sends this head, and then a byte every 50 ms for ever.
    Drips(&'static str),
    /// It sends this head, and then as much as it can for ever.
    Floods(&'static str),
    /// It closes the connection.
    HangsUp,
}

#[derive(Debug)]
pub(crate) struct Endpoint {
    port: u16,
    sent: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Endpoint {
    pub(crate) async fn start(manner: Manner) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let sent = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&sent);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Until the caller has had enough.
                let _ = answer(stream, manner, &counter).await;
            }
        });
        Ok(Self { port, sent, task })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// How many bytes of answers it got rid of.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, manner: Manner, sent: &AtomicU64) -> std::io::Result<()> {
    let mut request = vec![0; 16 * 1024];
    if stream.read(&mut request).await? == 0 {
        return Ok(());
    }
    let (head, size, pause) = match manner {
        Manner::HangsUp => return Ok(()),
        Manner::Silent => return std::future::pending().await,
        Manner::Drips(head) => (head, 1, Duration::from_millis(50)),
        Manner::Floods(head) => (head, 64 * 1024, Duration::ZERO),
    };
    stream.write_all(head.as_bytes()).await?;
    loop {
        stream.write_all(&vec![b'x'; size]).await?;
        sent.fetch_add(size as u64, Ordering::Relaxed);
        if !pause.is_zero() {
            RealClock.sleep(pause).await;
        }
    }
}
