//! Servers of a test's own, for what the shared ones cannot be: with passwords, with TLS, full, read-only. Each ends with
//! the value that holds it.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
};

use crate::wait::eventually;

const UP_CAP: Duration = Duration::from_secs(60);
/// Another process may take the free port before the server does.
const PORT_TRIES: u32 = 5;

fn program(variable: &str, names: &[&str]) -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places =
        std::env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    places.find(|place| place.is_file()).with_context(|| {
        format!("{variable} is not set: run `scripts/services start` and eval `scripts/services env`")
    })
}

/// A NATS server.
#[derive(Debug)]
pub struct NatsServer {
    process: Child,
    folder: TempDir,
    config: PathBuf,
    /// Host and port.
    pub address: String,
}

impl NatsServer {
    /// Starts one on a free port, with what `config` says in the server's own language.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(config: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("nats.conf");
        std::fs::write(&path, written(config, folder.path(), -1))?;
        let process = nats(&path)?;
        let mut server = Self { process, folder, config: path, address: String::new() };
        server.address = server.up().await?;
        Ok(server)
    }

    async fn up(&self) -> anyhow::Result<String> {
        let id = self.process.id().context("it ended at once")?;
        let ports = self.folder.path().join(format!("nats-server_{id}.ports"));
        let said = eventually("nats-server is up", UP_CAP, || async {
            Ok(std::fs::read_to_string(&ports)
                .ok()
                .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
                .and_then(|ports| ports["nats"][0].as_str().map(str::to_owned))
                .ok_or("no port yet"))
        });
        let url = said.await?;
        Ok(url.split_once("://").map_or(url.as_str(), |(_, address)| address).to_owned())
    }

    /// Makes a stream, as another service does.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn create_stream(&self, name: &str, subject: &str) -> anyhow::Result<()> {
        let mut wire = tokio::net::TcpStream::connect(&self.address).await?;
        let stream = serde_json::json!({ "name": name, "subjects": [subject], "retention": "limits", "storage": "file",
            "discard": "old", "num_replicas": 1, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_consumers": -1 })
        .to_string();
        let length = stream.len();
        let asked = format!(
            "CONNECT {{\"verbose\":false}}\r\nSUB made 1\r\nPUB $JS.API.STREAM.CREATE.{name} made {length}\r\n{stream}\r\n"
        );
        wire.write_all(asked.as_bytes()).await?;
        let mut said = String::new();
        let mut buffer = vec![0; 64 << 10];
        while !said.contains("\"type\":\"io.nats.jetstream.api.v1.stream_create_response\"") {
            let read = wire.read(&mut buffer).await?;
            anyhow::ensure!(read > 0, "the server went away: {said}");
            said.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        anyhow::ensure!(!said.contains("\"error\""), "{said}");
        Ok(())
    }

    /// Kills it, and starts it anew on the same port with another configuration.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self, config: &str) -> anyhow::Result<()> {
        self.process.kill().await?;
        let port: i32 = self.address.rsplit(':').next().context("a port")?.parse()?;
        std::fs::write(&self.config, written(config, self.folder.path(), port))?;
        self.process = nats(&self.config)?;
        self.up().await?;
        Ok(())
    }
}

fn nats(config: &Path) -> anyhow::Result<Child> {
    let mut command = Command::new(program("CHAINBELL_NATS_SERVER", &["nats-server"])?);
    command.arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.kill_on_drop(true).spawn()?)
}

fn written(config: &str, folder: &Path, port: i32) -> String {
    let folder = folder.display();
    format!(
        "host: 127.0.0.1\nport: {port}\nports_file_dir: \"{folder}\"\n{}\n",
        config.replace("$FOLDER", &folder.to_string())
    )
}

/// A Redis or Valkey server.
#[derive(Debug)]
pub struct RedisServer {
    _process: Child,
    _folder: TempDir,
    /// Its port for plain TCP, or for TLS.
    pub port: u16,
}

impl RedisServer {
    /// Starts one on a free port with these arguments, where `$PORT` stands for it, and `$BUS` for another.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut last = anyhow::anyhow!("no port is free");
        for _ in 0..PORT_TRIES {
            match Self::on(free_port()?, arguments).await {
                Ok(server) => return Ok(server),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn on(port: u16, arguments: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let shown = folder.path().display().to_string();
        let mut command =
            Command::new(program("CHAINBELL_REDIS_SERVER", &["redis-server", "valkey-server"])?);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", &shown]);
        if !arguments.contains(&"--tls-port") {
            command.args(["--port", &port.to_string()]);
        }
        let (port_text, bus) = (port.to_string(), free_port()?.to_string());
        let arguments =
            arguments.iter().map(|argument| argument.replace("$PORT", &port_text).replace("$BUS", &bus));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.kill_on_drop(true).spawn()?;
        eventually("redis-server is up", UP_CAP, || {
            let ended = process.try_wait();
            async move {
                anyhow::ensure!(ended?.is_none(), "redis-server ended");
                Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)))
            }
        })
        .await?;
        Ok(Self { _process: process, _folder: folder, port })
    }

    /// The URL of a server without a password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
