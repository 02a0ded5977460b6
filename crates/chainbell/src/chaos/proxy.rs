//! A TCP proxy in front of the node, which can cut every connection and hold everything back. Owns the connections; must
//! not know what is said on them.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, watch},
    task::AbortHandle,
};

/// The proxy. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    listener: AbortHandle,
}

#[derive(Debug)]
struct State {
    cut: Notify,
    stalled: watch::Sender<bool>,
}

impl Proxy {
    /// A proxy on a free port in front of `node`, which is `127.0.0.1:port`.
    pub(super) async fn start(node: String) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State { cut: Notify::new(), stalled: watch::Sender::new(false) });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, node.clone(), Arc::clone(&shared)));
            }
        });
        Ok(Self { address, state, listener: task.abort_handle() })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection that is open now.
    pub(super) fn cut(&self) {
        self.state.cut.notify_waiters();
    }

    /// Holds everything back, or lets it go again.
    pub(super) fn stall(&self, stalled: bool) {
        self.state.stalled.send_replace(stalled);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.state.stalled.send_replace(false);
        self.cut();
    }
}

async fn carry(client: TcpStream, node: String, state: Arc<State>) {
    // Asked for before anything is awaited, so that no cut is missed.
    let cut = state.cut.notified();
    let both = async {
        let server = TcpStream::connect(node).await?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let stalled = || state.stalled.subscribe();
        tokio::select! {
            done = one_way(from_client, to_server, stalled()) => done,
            done = one_way(from_server, to_client, stalled()) => done,
        }
    };
    // Whichever side ends ends both.
    tokio::select! { () = cut => {} _ = both => {} }
}

async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut stalled: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        // The sender lives as long as this connection does.
        let _ = stalled.wait_for(|stalled| !stalled).await;
        to.write_all(&buffer[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    io::copy(&mut from, &mut to).await
                });
            }
        });
        Ok(address.to_string())
    }

    #[tokio::test]
    async fn it_carries_holds_back_and_cuts() -> io::Result<()> {
        let proxy = Proxy::start(echo().await?).await?;
        let mut client = TcpStream::connect(proxy.address()).await?;
        let mut answer = [0; 4];
        client.write_all(b"ping").await?;
        client.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"ping");

        proxy.stall(true);
        client.write_all(b"held").await?;
        let early = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(early, client.read_exact(&mut answer)).await.is_err());
        proxy.stall(false);
        client.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"held");

        proxy.cut();
        assert_eq!(client.read(&mut answer).await.unwrap_or_default(), 0);
        Ok(())
    }
}
