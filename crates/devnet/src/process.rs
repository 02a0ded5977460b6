//! Owns the Anvil process: started, its port learnt from what it prints, its output drained, and killed
//! when dropped. It knows nothing of JSON-RPC.
//!
//! `alloy-node-bindings` does this too, and brings alloy's networks, signers and transaction types with it:
//! some fifty crates, for a process that is asked over HTTP and signs by itself.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::Error;
use crate::options::Options;

/// The longest time from start to "Listening on".
const START_MAX: Duration = Duration::from_secs(30);

/// How much of what Anvil printed to standard error is kept for a message, in bytes.
const COMPLAINT_MAX: usize = 2_000;

/// A running Anvil.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    pub(crate) async fn start(options: &Options) -> Result<Self, Error> {
        let program = options.program();
        let mut command = Command::new(&program);
        command
            .args(options.arguments())
            .env("NO_COLOR", "1")
            .env("FOUNDRY_DISABLE_NIGHTLY_WARNING", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(unix)]
        if options.own_process_group {
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
        }
        let mut child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::AnvilMissing { binary: program.display().to_string() },
            _ => Error::NotStarted { why: error.to_string() },
        })?;
        let listening = child.stdout.take().map(watch_for_address);
        let complaint = child.stderr.take().map(keep_complaint).unwrap_or_default();

        // From here on the process is killed however this function ends.
        let mut process = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let answer = match listening {
            Some(listening) => tokio::time::timeout(START_MAX, listening).await,
            None => return Err(Error::NotStarted { why: "its output cannot be read".to_owned() }),
        };
        match answer {
            Ok(Ok(address)) => {
                process.address = address;
                Ok(process)
            }
            Ok(Err(_closed)) => {
                let said = complaint.lock().unwrap_or_else(PoisonError::into_inner).trim().to_owned();
                let why = if said.is_empty() { "it ended without a word".to_owned() } else { said };
                Err(Error::NotStarted { why })
            }
            Err(_elapsed) => {
                Err(Error::NotStarted { why: format!("it was silent for {} s", START_MAX.as_secs()) })
            }
        }
    }

    /// Where HTTP and WebSocket are served.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tells the address once Anvil prints it, and reads on until the end: a full pipe would block Anvil. A
/// thread rather than a task, because a test may block its only runtime thread.
fn watch_for_address(output: impl Read + Send + 'static) -> oneshot::Receiver<SocketAddr> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let mut tell = Some(tell);
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { break };
            let address = line.strip_prefix("Listening on ").and_then(|rest| rest.trim().parse().ok());
            if let Some(address) = address
                && let Some(tell) = tell.take()
            {
                // Nobody listens any more when the start has timed out.
                let _ = tell.send(address);
            }
        }
    });
    told
}

/// Keeps the beginning of what is written to standard error, and drains the rest.
fn keep_complaint(errors: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let kept = Arc::new(Mutex::new(String::new()));
    let keep = Arc::clone(&kept);
    std::thread::spawn(move || {
        for line in BufReader::new(errors).lines() {
            let Ok(line) = line else { break };
            let mut keep = keep.lock().unwrap_or_else(PoisonError::into_inner);
            if keep.len() + line.len() < COMPLAINT_MAX {
                keep.push_str(&line);
                keep.push('\n');
            }
        }
    });
    kept
}
