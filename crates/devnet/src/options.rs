//! How a development node is started. Every option has a default that suits a test.

use std::path::PathBuf;
use std::time::Duration;

/// When the node makes blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mining {
    /// A block as soon as there is a transaction.
    #[default]
    Auto,
    /// Only on [`mine`](crate::Devnet::mine).
    Manual,
    /// A block each interval, empty or not.
    Every(Duration),
}

/// How to start Anvil.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program; without it `CHAINBELL_ANVIL`, and without that `anvil` on the PATH.
    pub binary: Option<PathBuf>,
    /// When blocks are made.
    pub mining: Mining,
    /// The chain id.
    pub chain_id: u64,
    /// Anvil's `safe` is one epoch below its head and `finalized` two: this many blocks each.
    pub slots_in_an_epoch: u64,
    /// The TCP port of HTTP and WebSocket on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// Where to serve IPC too.
    pub ipc: Option<PathBuf>,
    /// How many unlocked accounts there are.
    pub accounts: u16,
    /// The gas that one block holds. The default is ten times mainnet's, so that a burst is one block.
    pub block_gas_limit: u64,
    /// Keep Ctrl-C on the terminal from reaching the node before its user has shut down. A process that
    /// is killed then leaves its node behind, so that tests do not ask for it.
    pub own_process_group: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            binary: None,
            mining: Mining::Auto,
            chain_id: 31_337,
            slots_in_an_epoch: 32,
            port: 0,
            ipc: None,
            accounts: 10,
            block_gas_limit: 300_000_000,
            own_process_group: false,
        }
    }
}

impl Options {
    /// The program to start.
    pub(crate) fn program(&self) -> PathBuf {
        self.binary
            .clone()
            .or_else(|| std::env::var_os("CHAINBELL_ANVIL").filter(|set| !set.is_empty()).map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("anvil"))
    }

    /// Anvil's arguments.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = [
            ("--host", "127.0.0.1".to_owned()),
            ("--port", self.port.to_string()),
            ("--chain-id", self.chain_id.to_string()),
            ("--slots-in-an-epoch", self.slots_in_an_epoch.to_string()),
            ("--accounts", self.accounts.to_string()),
            ("--balance", "1000000000".to_owned()),
            ("--gas-limit", self.block_gas_limit.to_string()),
            // Transactions of equal worth keep the order in which they were sent.
            ("--order", "fifo".to_owned()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect();
        match self.mining {
            Mining::Auto => {}
            Mining::Manual => arguments.push("--no-mining".to_owned()),
            Mining::Every(interval) => {
                arguments.extend(["--block-time".to_owned(), interval.as_secs_f64().to_string()]);
            }
        }
        if let Some(path) = &self.ipc {
            arguments.extend(["--ipc".to_owned(), path.display().to_string()]);
        }
        arguments
    }
}
