//! A small disk of a test's own, which can be full and read-only. Only root may mount one.

use std::{io::Write as _, path::Path, process::Command};

use anyhow::ensure;
use tempfile::TempDir;

/// What fills the disk.
const FILLER: &str = "filler";

/// A `tmpfs`, which ends with the value that holds it.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one of so many MiB; `None`, with the reason on the terminal, where that is not permitted.
    ///
    /// # Errors
    /// The file system's.
    pub fn mount(mebibytes: u32) -> anyhow::Result<Option<Self>> {
        let disk = Self { folder: tempfile::tempdir()? };
        let size = format!("size={mebibytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(disk.path()).output();
        match mounted {
            Ok(done) if done.status.success() => Ok(Some(disk)),
            Ok(done) => {
                println!(
                    "skipped: no disk can be mounted here: {}",
                    String::from_utf8_lossy(&done.stderr).trim()
                );
                Ok(None)
            }
            Err(error) => {
                println!("skipped: there is no program mount: {error}");
                Ok(None)
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves no room on it.
    ///
    /// # Errors
    /// When there is room all the same.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(self.path().join(FILLER))?;
        for size in [64 << 10, 4 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        let left = file.write_all(&[0]);
        ensure!(left.is_err(), "the disk is not full");
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// The file system's.
    pub fn free(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.path().join(FILLER))?)
    }

    /// Lets it take no writes any more, or take them again.
    ///
    /// # Errors
    /// When it cannot be mounted so, as while files are written there.
    pub fn read_only(&self, read_only: bool) -> anyhow::Result<()> {
        let options = if read_only { "remount,ro" } else { "remount,rw" };
        let done = Command::new("mount").args(["-o", options]).arg(self.path()).output()?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Not while its folder is in use: lazily. Where nothing was mounted, there is nothing to end.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).output();
    }
}
