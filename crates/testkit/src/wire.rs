//! A wire to a real server that a test cuts and mends: what is connected through it loses its connection, and nobody gets
//! through until it is mended. Owns the port; must not know what is said.

use std::time::Duration;

use anyhow::Context as _;
use domain::Clock as _;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::clock::RealClock;

/// How often a port is asked for again that was free a moment ago.
const BINDS_MAX: u32 = 100;

/// The wire. It is cut when it is dropped.
#[derive(Debug)]
pub struct Wire {
    port: u16,
    server: String,
    serving: Option<JoinHandle<()>>,
}

impl Wire {
    /// A wire to the server of `url`, and the URL at its near end.
    ///
    /// # Errors
    /// When `url` names no host and port, or there is no port left.
    pub async fn to(url: &str) -> anyhow::Result<(Self, String)> {
        let (_, rest) = url.split_once("://").context("a URL has a scheme")?;
        let authority = rest.split('/').next().unwrap_or(rest);
        let server = authority.rsplit('@').next().unwrap_or(authority).to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let serving = Some(tokio::spawn(serve(listener, server.clone())));
        let near = url.replacen(&server, &format!("127.0.0.1:{port}"), 1);
        Ok((Self { port, server, serving }, near))
    }

    /// Cuts every connection, and refuses those who come until it is mended.
    pub async fn cut(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Its end closes the sockets. That it was aborted is no news.
            let _ = serving.await;
        }
    }

    /// Lets everybody through again, at the same address.
    ///
    /// # Errors
    /// When somebody else took the port.
    pub async fn mend(&mut self) -> anyhow::Result<()> {
        self.cut().await;
        for _ in 0..BINDS_MAX {
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", self.port)).await {
                self.serving = Some(tokio::spawn(serve(listener, self.server.clone())));
                return Ok(());
            }
            RealClock.sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("port {} is somebody else's now", self.port)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

async fn serve(listener: TcpListener, server: String) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let server = server.clone();
        connections.spawn(async move {
            if let Ok(mut far) = TcpStream::connect(server).await {
                // Until either end has had enough.
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
