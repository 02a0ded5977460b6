//! The real binary, as a process that can be killed.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// SIGABRT.
const ABORTED: i32 = 6;
const END_CAP: Duration = Duration::from_secs(60);

/// Where the binary is: beside the tests, where `cargo build` puts it.
///
/// # Errors
/// When it was not built.
pub fn binary() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let folder = this.ancestors().nth(2).context("a test runs from the target folder")?;
    let binary = folder.join("chainbell");
    if !binary.exists() {
        bail!("{} is not there: run `cargo build --bin chainbell`", binary.display());
    }
    Ok(binary)
}

/// A command of the binary. The environment's own `CHAINBELL__…` keys do not reach it.
///
/// # Errors
/// When the binary was not built.
pub fn command(config: Option<&Path>, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(binary()?);
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("CHAINBELL__")) {
        command.env_remove(key);
    }
    command.args(arguments).env("NO_COLOR", "1").stdin(Stdio::null()).kill_on_drop(true);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    Ok(command)
}

/// Runs a command to its end.
///
/// # Errors
/// When it does not end within a minute.
pub async fn output(config: Option<&Path>, arguments: &[&str]) -> anyhow::Result<Output> {
    let running = command(config, arguments)?.output();
    Ok(timeout(END_CAP, running).await.context("the command did not end")??)
}

/// A running command of the binary.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
    log_start: usize,
}

impl Running {
    /// Starts it; what it logs goes into `log`, after what is there.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(config: &Path, arguments: &[&str], log: &Path) -> anyhow::Result<Self> {
        let all: Vec<_> = std::iter::once("run").chain(arguments.iter().copied()).collect();
        Self::spawn(command(Some(config), &all)?, log)
    }

    /// Starts a command of the binary that dies at a crash point (`domain::crash`).
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_doomed(config: &Path, arguments: &[&str], log: &Path, point: &str) -> anyhow::Result<Self> {
        let mut command = command(Some(config), arguments)?;
        command.env(domain::crash::VARIABLE, point);
        Self::spawn(command, log)
    }

    fn spawn(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let log_start = usize::try_from(file.metadata()?.len())?;
        command.stdout(file.try_clone()?).stderr(file);
        Ok(Self { child: command.spawn()?, log: log.to_owned(), log_start })
    }

    /// Checks that the process ended by an abort at a crash point (`domain::crash`).
    ///
    /// # Errors
    /// When `status` is no abort, or when the process did not write the crash point's line.
    pub fn died_at(&self, point: &str, status: ExitStatus) -> anyhow::Result<()> {
        ensure!(status.signal() == Some(ABORTED), "{point}: {status}");
        // The log may hold several processes, and each has a point of its own.
        let log = std::fs::read(&self.log)?;
        let written = log.get(self.log_start..).unwrap_or_default();
        let written = String::from_utf8_lossy(written);
        ensure!(names_crash_point(&written, point), "{point}: the process wrote no line of this crash point");
        Ok(())
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system's.
    pub fn over(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Its process id.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// kill -9, and waits until it is gone.
    ///
    /// # Errors
    /// The system's.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// When it does not end within a minute.
    pub async fn terminate(mut self) -> anyhow::Result<ExitStatus> {
        let id = self.child.id().context("it has ended already")?;
        let sent = Command::new("kill").arg("-TERM").arg(id.to_string()).status().await?;
        if !sent.success() {
            bail!("the signal was not sent");
        }
        self.ended().await
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it does not within a minute.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(timeout(END_CAP, self.child.wait()).await.context("it does not end")??)
    }

    /// The most memory that it ever had, in bytes (`VmHWM`).
    ///
    /// # Errors
    /// When the process is gone.
    pub async fn peak_memory(&self) -> anyhow::Result<u64> {
        let id = self.child.id().context("it has ended already")?;
        let status = tokio::fs::read_to_string(format!("/proc/{id}/status")).await?;
        let line =
            status.lines().find(|line| line.starts_with("VmHWM:")).context("the system tells no peak")?;
        let kib: u64 = line.split_whitespace().nth(1).context("VmHWM has a figure")?.parse()?;
        Ok(kib * 1024)
    }
}

/// Whether a process that wrote `written` was at the crash point. Its other threads write until the abort: their lines
/// can stand behind the crash point's, and a line that they had begun can stand before it.
pub fn names_crash_point(written: &str, point: &str) -> bool {
    let words = format!("{} {point}", domain::crash::LAST_WORDS);
    written.lines().any(|line| line.ends_with(&words))
}
