//! PostgreSQL of a test's own, for what the shared server cannot be: one with TLS, and a pooler before the shared one. Each
//! ends with the value that holds it.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{certificates::Certificates, wait::eventually};

const UP_CAP: Duration = Duration::from_secs(60);
/// The user that `initdb` makes, and its password.
const LOGIN: (&str, &str) = ("chainbell", "s3cret");

/// A pgbouncer in front of the server of a URL.
#[derive(Debug)]
pub struct Pooler {
    _process: Child,
    _folder: TempDir,
    /// The URL of the same database through it.
    pub url: String,
}

impl Pooler {
    /// Starts one with this `pool_mode`.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(server: &str, mode: &str) -> anyhow::Result<Self> {
        let server: url::Url = server.parse()?;
        let (host, port) = (server.host_str().context("a host")?, server.port().context("a port")?);
        let (user, password) = (server.username(), server.password().context("a password")?);
        let folder = tempfile::tempdir()?;
        let listen = free_port()?;
        let config = folder.path().join("pgbouncer.ini");
        std::fs::write(
            &config,
            format!(
                "[databases]\n* = host={host} port={port} user={user} password={password}\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {listen}\nauth_type = any\nunix_socket_dir =\npool_mode = {mode}\n"
            ),
        )?;
        // It refuses to be root, and then reads its file as another.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644))?;
        let mut command = Command::new("pgbouncer");
        if is_root(folder.path())? {
            command.args(["-u", "nobody"]);
        }
        let mut process = command
            .arg(&config)
            .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH")?))
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("pgbouncer does not start: run `scripts/services start`, which installs it")?;
        up(&mut process, listen, "pgbouncer").await?;
        let url = format!("postgres://any:any@127.0.0.1:{listen}{}", server.path());
        Ok(Self { _process: process, _folder: folder, url })
    }
}

/// A PostgreSQL server that takes connections over TLS only, by a certificate of its own authority.
#[derive(Debug)]
pub struct TlsPostgres {
    _process: Child,
    _folder: TempDir,
    /// Its authority and its certificate.
    pub certificates: Certificates,
    port: u16,
}

impl TlsPostgres {
    /// Makes its data and starts it on a free port.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let certificates = Certificates::make()?;
        let (data, home) = (folder.path().join("data"), folder.path());
        let (user, password) = LOGIN;
        let secret = home.join("password");
        std::fs::write(&secret, password)?;
        for name in ["server.pem", "server.key"] {
            std::fs::copy(certificates.file(name), home.join(name))?;
            std::fs::set_permissions(home.join(name), std::fs::Permissions::from_mode(0o600))?;
        }
        let programs = programs()?;
        give_away(home)?;
        let mut made = as_postgres(home, &programs.join("initdb"))?;
        made.arg("-D").arg(&data).args(["-U", user, "--no-sync", "--encoding=UTF8", "--locale=C"]);
        made.args(["--auth-local=peer", "--auth-host=password"])
            .arg(format!("--pwfile={}", secret.display()));
        let made = made.output().await?;
        anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 password\n")?;
        let port = free_port()?;
        let mut server = as_postgres(home, &programs.join("postgres"))?;
        server.arg("-D").arg(&data).args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
            "-c",
            "ssl=on",
        ]);
        for setting in [
            format!("port={port}"),
            format!("unix_socket_directories={}", home.display()),
            format!("ssl_cert_file={}", home.join("server.pem").display()),
            format!("ssl_key_file={}", home.join("server.key").display()),
        ] {
            server.args(["-c", &setting]);
        }
        let mut process = server.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        up(&mut process, port, "postgres").await?;
        Ok(Self { _process: process, _folder: folder, certificates, port })
    }

    /// The URL of its first database, with these parameters.
    pub fn url(&self, parameters: &str) -> String {
        let (user, password) = LOGIN;
        format!("postgres://{user}:{password}@localhost:{}/postgres?{parameters}", self.port)
    }
}

async fn up(process: &mut Child, port: u16, name: &str) -> anyhow::Result<()> {
    eventually(&format!("{name} is up"), UP_CAP, || {
        let ended = process.try_wait();
        async move {
            anyhow::ensure!(ended?.is_none(), "{name} ended");
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map(drop))
        }
    })
    .await
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn is_root(ours: &Path) -> anyhow::Result<bool> {
    Ok(std::fs::metadata(ours)?.uid() == 0)
}

/// Debian keeps PostgreSQL's programs off the PATH.
fn programs() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = debian.chain(std::env::split_paths(&path)).collect::<Vec<_>>();
    places.sort();
    let found = places.into_iter().rev().find(|place| place.join("initdb").is_file());
    found.context("there is no initdb: run `scripts/services start`, which installs PostgreSQL")
}

/// PostgreSQL refuses to be root: then the folder is its user's.
fn give_away(home: &Path) -> anyhow::Result<()> {
    if !is_root(home)? {
        return Ok(());
    }
    let done = std::process::Command::new("chown").args(["-R", "postgres"]).arg(home).output()?;
    anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

fn as_postgres(home: &Path, program: &Path) -> anyhow::Result<Command> {
    let own = std::fs::metadata("/proc/self")?.uid();
    let mut command = if own == 0 {
        // `setpriv` becomes the program, so that killing it kills the server.
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(home).stdin(Stdio::null());
    Ok(command)
}
