//! A real Anvil for tests, started through `alloy-node-bindings`, with the development network's contracts and cheats.

use std::{io::Read, net::TcpStream, path::PathBuf};

use alloy_node_bindings::{Anvil, AnvilInstance};
use anyhow::Context;
use devnet::{Devnet, Mining, Options};

/// A running Anvil. It is ended when this is dropped. Everything of [`Devnet`] is there too.
#[derive(Debug)]
pub struct TestAnvil {
    devnet: Devnet,
    instance: AnvilInstance,
    ipc: Option<PathBuf>,
}

impl TestAnvil {
    /// Starts an Anvil that mines each transaction at once, on a free port.
    ///
    /// # Errors
    /// One sentence when there is no Anvil, or it does not come up.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// Starts one with other options. The binary is [`Options::binary`], or else `CHAINBELL_ANVIL`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(options: Options) -> anyhow::Result<Self> {
        let ipc = options.ipc.clone();
        let instance = tokio::task::spawn_blocking(move || spawn(options)).await??;
        let address = format!("127.0.0.1:{}", instance.port());
        let devnet = Devnet::attach(format!("http://{address}"), format!("ws://{address}")).await?;
        Ok(Self { devnet, instance, ipc })
    }

    /// The TCP port of HTTP and WebSocket.
    pub fn port(&self) -> u16 {
        self.instance.port()
    }

    /// The IPC socket, where [`Options::ipc`] asked for one.
    pub fn ipc(&self) -> Option<&std::path::Path> {
        self.ipc.as_deref()
    }

    /// Kills the process at once, as a crash would, and waits until its port is free. A new one can take its place by
    /// [`Options::port`]; it starts an empty chain.
    ///
    /// # Errors
    /// When the process cannot be killed.
    pub fn kill(mut self) -> anyhow::Result<()> {
        let port = self.port();
        self.instance.child_mut().kill()?;
        // Dropping the instance waits for the process's end. Nobody else must, or its number would be free for another
        // process when the instance sends its own signal.
        drop(self);
        anyhow::ensure!(
            TcpStream::connect(("127.0.0.1", port)).is_err(),
            "anvil is dead and its port answers"
        );
        Ok(())
    }
}

impl std::ops::Deref for TestAnvil {
    type Target = Devnet;

    fn deref(&self) -> &Devnet {
        &self.devnet
    }
}

/// Blocks until Anvil listens.
fn spawn(options: Options) -> anyhow::Result<AnvilInstance> {
    let binary = options.binary.or_else(|| std::env::var_os("CHAINBELL_ANVIL").map(PathBuf::from));
    let binary = binary.context(
        "CHAINBELL_ANVIL is not set: run `scripts/services start anvil`, then `eval \"$(scripts/services env)\"`",
    )?;
    let mut anvil = Anvil::at(&binary)
        .host("127.0.0.1")
        .port(options.port)
        .chain_id(options.chain_id)
        .args(["--slots-in-an-epoch".to_owned(), options.slots_in_an_epoch.to_string()])
        .args(["--accounts".to_owned(), options.accounts.to_string()])
        .args(["--gas-limit".to_owned(), options.block_gas_limit.to_string()])
        .args(["--balance", "1000000000", "--order", "fifo"])
        .keep_stdout();
    anvil = match options.mining {
        Mining::Auto => anvil,
        Mining::Manual => anvil.arg("--no-mining"),
        Mining::Every(interval) => anvil.block_time_f64(interval.as_secs_f64()),
    };
    if let Some(path) = &options.ipc {
        anvil = anvil.ipc_path(path.display().to_string());
    }
    let mut instance = anvil.try_spawn().with_context(|| format!("{} did not start", binary.display()))?;
    // A full pipe would block Anvil, and a closed one end it.
    if let Some(mut output) = instance.child_mut().stdout.take() {
        std::thread::spawn(move || {
            let mut buffer = [0; 8 << 10];
            while output.read(&mut buffer).is_ok_and(|read| read > 0) {}
        });
    }
    Ok(instance)
}
