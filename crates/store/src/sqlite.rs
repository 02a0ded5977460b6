//! SQLite's pools, and the file under them: who may read it. Must not know any table.

use std::{future::Future, path::Path, str::FromStr, time::Duration};

use sqlx::{
    Connection as _,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    StoreError,
    fault::{self, Fault},
    trial,
};

const READERS_MAX: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The writer's pool and the readers'.
pub(crate) async fn connect(url: &str) -> Result<(SqlitePool, SqlitePool), sqlx::Error> {
    // NORMAL keeps the file consistent and loses nothing when the process dies; a power cut may undo the last
    // commits as a whole, after which they are simply done again.
    let options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .optimize_on_close(true, None);
    let file = options.get_filename().to_owned();
    if !is_in_memory(&file) {
        owners_only(&file);
    }
    // A file does not hang up; but a connection whose transaction SQLite rolled back on its own begins no other one.
    let pool = || {
        SqlitePoolOptions::new().acquire_timeout(BUSY_TIMEOUT).test_before_acquire(false).before_acquire(
            |connection, _| {
                let idle = !connection.is_in_transaction();
                Box::pin(async move { Ok(idle) })
            },
        )
    };
    let writer = first_connection(|| pool().max_connections(1).connect_with(options.clone())).await?;
    let readers = pool().max_connections(READERS_MAX).connect_with(options).await?;
    Ok((writer, readers))
}

/// The name of a database in memory begins with a scheme, and is no file.
pub(crate) fn is_in_memory(file: &Path) -> bool {
    file.to_string_lossy().starts_with("file:")
}

/// The database holds webhook secrets: its owner reads it and no one else. SQLite gives the files beside it the mode of the
/// database's.
#[cfg(unix)]
fn owners_only(file: &Path) {
    use std::{
        fs::{OpenOptions, Permissions, metadata, set_permissions},
        os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    };
    // Whoever comes second, or may not, finds out by opening it.
    if !file.exists() {
        let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    }
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        let path = Path::new(&name);
        let Ok(found) = metadata(path) else { continue };
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 == 0 {
            continue;
        }
        let shown = path.display();
        match set_permissions(path, Permissions::from_mode(mode & 0o700)) {
            Ok(()) => tracing::warn!(
                "{shown} could be read by others (mode {mode:03o}), and holds webhook secrets: it is now its owner's only"
            ),
            Err(error) => tracing::warn!(
                "{shown} can be read by others (mode {mode:03o}), and holds webhook secrets: run chmod go= on it ({error})"
            ),
        }
    }
}

#[cfg(not(unix))]
fn owners_only(_: &Path) {}

const WAL_TRIES_MAX: u32 = 100;
const WAL_RETRY: Duration = Duration::from_millis(50);

// The first connection to a new file switches it to WAL, for which SQLite wants the file alone, and it does not wait:
// of several processes that start at once all but one are refused as busy, whatever the busy timeout.
#[expect(clippy::disallowed_methods, reason = "the clock is the store's, and the store is not open yet")]
async fn first_connection<F>(connect: impl Fn() -> F) -> Result<SqlitePool, sqlx::Error>
where
    F: Future<Output = Result<SqlitePool, sqlx::Error>>,
{
    for _ in 1..WAL_TRIES_MAX {
        match connect().await {
            Err(error) if is_busy(&error) => tokio::time::sleep(WAL_RETRY).await,
            connected => return connected,
        }
    }
    connect().await
}

/// Why the file cannot be opened, and the mend.
pub(crate) fn refusal(url: &str, shown: &str, error: &sqlx::Error) -> StoreError {
    let detail = match error {
        sqlx::Error::Database(_) if is_busy(error) || fault::is_without_room(error) => {
            return StoreError::from_sqlx("connect", shown, error);
        }
        // SQLite cannot open the file that it writes beside the database's: the system says more.
        sqlx::Error::Database(_) => match written_beside(url) {
            Err(said) => fault::about_file(&said, shown),
            Ok(()) => fault::sentence(error, shown),
        },
        _ => format!("{}; write sqlite://path/to/file.db", fault::sentence(error, shown)),
    };
    StoreError::Config { url: shown.to_owned(), detail }
}

fn written_beside(url: &str) -> std::io::Result<()> {
    let Ok(options) = SqliteConnectOptions::from_str(url) else { return Ok(()) };
    let file = options.get_filename();
    if is_in_memory(file) { Ok(()) } else { trial::write_beside(file, 0) }
}

/// Whether another process holds the file.
fn is_busy(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_)) && Fault::of(error) == Fault::Later
}
