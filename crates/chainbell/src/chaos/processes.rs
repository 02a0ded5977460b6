//! The processes of a run: this very executable, started with `run`, killed and started again. Owns who is alive; must
//! not know what they do.

use std::{fs::OpenOptions, io, path::PathBuf, process::Stdio};

use domain::crash;
use tokio::process::{Child, Command};

/// One process.
#[derive(Debug)]
struct Process {
    roles: &'static str,
    child: Option<Child>,
    // Whether the living one was started with a crash point.
    armed: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Processes {
    config: PathBuf,
    log: PathBuf,
    all: Vec<Process>,
    /// How many were killed, crash points aside.
    pub(super) killed: u64,
    /// How many died at a crash point.
    pub(super) crashed: u64,
    /// How many ended otherwise, which they should not.
    pub(super) fallen: u64,
}

impl Processes {
    /// One for each of these sets of roles, none of them started.
    pub(super) fn new(config: PathBuf, log: PathBuf, roles: &[&'static str]) -> Self {
        let all = roles.iter().map(|roles| Process { roles, child: None, armed: false }).collect();
        Self { config, log, all, killed: 0, crashed: 0, fallen: 0 }
    }

    /// Starts a process that is not alive.
    pub(super) fn start(&mut self, index: usize, crash: Option<(&str, u64)>) -> io::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let Some(process) = self.all.get_mut(index) else { return Ok(()) };
        let mut command = Command::new(std::env::current_exe()?);
        // What the caller's environment says of the configuration is not for this world.
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("CHAINBELL__")) {
            command.env_remove(key);
        }
        command.args(["run", "--config"]).arg(&self.config).env("NO_COLOR", "1").env_remove(crash::VARIABLE);
        if !process.roles.is_empty() {
            command.args(["--roles", process.roles]);
        }
        if let Some((name, time)) = crash {
            command.env(crash::VARIABLE, format!("{name}:{time}"));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        process.child = Some(command.spawn()?);
        process.armed = crash.is_some();
        Ok(())
    }

    /// kill -9, and waits until it is gone; says whether it was alive.
    pub(super) async fn kill(&mut self, index: usize) -> io::Result<bool> {
        let Some(mut child) = self.all.get_mut(index).and_then(|process| process.child.take()) else {
            return Ok(false);
        };
        child.kill().await?;
        self.killed += 1;
        Ok(true)
    }

    /// Starts those again that died by themselves.
    pub(super) fn revive(&mut self) -> io::Result<()> {
        for index in 0..self.all.len() {
            let process = &mut self.all[index];
            let Some(child) = &mut process.child else { continue };
            if child.try_wait()?.is_none() {
                continue;
            }
            if process.armed {
                self.crashed += 1;
            } else {
                self.fallen += 1;
            }
            self.start(index, None)?;
        }
        Ok(())
    }

    /// Kills all, and starts them without crash points.
    pub(super) async fn fresh(&mut self) -> io::Result<()> {
        for index in 0..self.all.len() {
            self.kill(index).await?;
            self.start(index, None)?;
        }
        Ok(())
    }
}
