//! What a failure means for the call and for its connection. Owns that this is decided by codes, never by words, which
//! depend on the server's version and language; must not know any statement.

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server rolled the transaction back in favour of another: run it again at once.
    Aborted,
    /// Nothing was done: this connection is a leftover, and another one may be good. Close it, and take another.
    Leftover,
    /// The connection ended, and what was asked last may be done or not: close it, and take another.
    Connection,
    /// The database cannot do it now. What it did with the connection's transaction is its secret: close the connection.
    Unfit,
    /// Busy, or out of something: try again later.
    Later,
    /// It says no to this call.
    Refused,
}

impl Fault {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Self::Connection,
            sqlx::Error::BeginFailed | sqlx::Error::InvalidSavePointStatement => Self::Leftover,
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Self::Later,
            sqlx::Error::Database(database) => database.code().map_or(Self::Refused, |code| by_code(&code)),
            _ => Self::Refused,
        }
    }

    /// Whether the same call may succeed later.
    pub(crate) const fn is_transient(self) -> bool {
        !matches!(self, Self::Refused)
    }

    /// Whether the connection is to be closed.
    pub(crate) const fn spoils(self) -> bool {
        matches!(self, Self::Leftover | Self::Connection | Self::Unfit)
    }
}

/// The codes of PostgreSQL have five characters, those of SQLite are numbers with at most four digits.
fn by_code(code: &str) -> Fault {
    match sqlite_primary(code) {
        Some(primary) => sqlite(primary),
        None => postgres(code),
    }
}

fn sqlite_primary(code: &str) -> Option<u32> {
    if code.len() == 5 {
        return None;
    }
    code.parse::<u32>().ok().map(|extended| extended & 0xff)
}

const fn sqlite(primary: u32) -> Fault {
    match primary {
        // Busy, locked.
        5 | 6 => Fault::Later,
        // No memory, read-only, interrupted, I/O error, corrupt, full, cannot open, protocol, no database.
        7..=11 | 13..=15 | 26 => Fault::Unfit,
        _ => Fault::Refused,
    }
}

fn postgres(code: &str) -> Fault {
    match code {
        // A read-only transaction; a prepared statement that this session does not have, has already, or that outlived its
        // tables.
        "25006" | "26000" | "42P05" | "0A000" => Fault::Leftover,
        // A session that ended in a transaction.
        "25P03" | "25P04" => Fault::Connection,
        // Locks that were not to be had in time; a statement that was cancelled, by its time limit or by a standby.
        "55P03" | "57014" => Fault::Later,
        // A statement whose completion is unknown is no rollback.
        "40003" => Fault::Connection,
        // The database itself is broken or out of reach: a system error, an I/O error, a broken index or data file.
        "58000" | "58030" | "XX001" | "XX002" => Fault::Unfit,
        _ => match code.get(..3) {
            Some("57P") => Fault::Connection,
            _ => match code.get(..2) {
                Some("08") => Fault::Connection,
                Some("40") => Fault::Aborted,
                Some("53") => Fault::Later,
                _ => Fault::Refused,
            },
        },
    }
}

/// What an operator reads: the thing, the mend, and the code of what the database said. Its own words are for the log: they
/// have parts of statements in them, and depend on its version and language.
pub(crate) fn sentence(error: &sqlx::Error, place: &str) -> String {
    let code = match error {
        sqlx::Error::Database(database) => database.code().map(std::borrow::Cow::into_owned),
        _ => None,
    };
    let hint = match (error, code.as_deref()) {
        (sqlx::Error::PoolTimedOut, _) => Some(no_connection(place)),
        (sqlx::Error::Tls(_), _) => Some(format!(
            "TLS with the server at {place} fails: sslrootcert in store.url must name the certificate of its authority, and \
             the host there must be one that the server's certificate names"
        )),
        (_, Some(code)) => match sqlite_primary(code) {
            // Room for the file -shm is a disk's room, too.
            Some(_) if code == NO_ROOM_FOR_SHM => about_sqlite(13, place),
            Some(primary) => about_sqlite(primary, place),
            None => about_postgres(code, place),
        },
        _ => None,
    };
    tracing::debug!("the database's own words: {error}");
    match hint {
        Some(hint) => format!("{hint} ({})", brief(error)),
        None => brief(error),
    }
}

/// Raised by a trigger of the schema: the words are ours.
const RAISED: [&str; 2] = ["P0001", "1811"];
/// SQLite's code where the file -shm cannot be made as long as it must be.
const NO_ROOM_FOR_SHM: &str = "4874";
/// SQLite's code of a CHECK, the one rule whose name it gives.
const CHECK: &str = "275";

fn brief(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if RAISED.contains(&&*code) {
                return database.message().to_owned();
            }
            let of_a_check = || database.message().rsplit_once(": ").filter(|_| code == CHECK);
            let rule = database.constraint().or_else(|| of_a_check().map(|(_, name)| name));
            let code = match sqlite_primary(&code) {
                Some(_) => format!("SQLite's code {code}"),
                None => format!("SQLSTATE {code}"),
            };
            rule.map_or_else(|| code.clone(), |rule| format!("it breaks the rule {rule}, {code}"))
        }
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) => error.to_string(),
        sqlx::Error::PoolTimedOut => "no connection in time".to_owned(),
        sqlx::Error::PoolClosed => "chainbell is ending".to_owned(),
        sqlx::Error::Configuration(error) => error.to_string(),
        sqlx::Error::RowNotFound => "a row is missing".to_owned(),
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed => {
            "its connection is of no use any more".to_owned()
        }
        _ => "its answer cannot be read".to_owned(),
    }
}

fn no_connection(place: &str) -> String {
    if place.starts_with("sqlite:") {
        return "another transaction holds the database for too long".to_owned();
    }
    format!(
        "no connection to {place} in time: it does not answer, or takes no more connections (then raise max_connections or the \
         role's CONNECTION LIMIT, or lower store.connections), or every connection of store.connections is busy"
    )
}

fn about_sqlite(primary: u32, place: &str) -> Option<String> {
    let folder = folder(place);
    match primary {
        7 => Some("there is no memory left for the database".to_owned()),
        8 => {
            Some(format!("the database file {place} is read-only: make it and its folder {folder} writable"))
        }
        10 => Some(format!(
            "the disk under {folder} fails to read or write: examine the disk, and the limits of this process"
        )),
        11 | 26 => Some(format!(
            "the database file {place} is damaged: stop chainbell, and bring the file back from a backup"
        )),
        13 => {
            Some(format!("the disk under {folder} is full: make room there, and the work goes on by itself"))
        }
        14 => Some(format!(
            "the database file in {folder} cannot be opened: the folder must exist, and the user of this process must be \
             allowed to write in it"
        )),
        _ => None,
    }
}

/// Whether a disk has no room, for the database or for the files beside it.
pub(crate) fn is_without_room(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == NO_ROOM_FOR_SHM || sqlite_primary(&code) == Some(13))
}

/// As [`sentence`], of what the system says of a file beside SQLite's database.
pub(crate) fn about_file(error: &std::io::Error, place: &str) -> String {
    use std::io::ErrorKind;
    let like = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => 13,
        ErrorKind::ReadOnlyFilesystem => 8,
        ErrorKind::PermissionDenied | ErrorKind::NotFound => 14,
        _ => 10,
    };
    about_sqlite(like, place).map_or_else(|| error.to_string(), |hint| format!("{hint} ({error})"))
}

fn about_postgres(code: &str, place: &str) -> Option<String> {
    match code {
        "25006" => Some(format!(
            "the server at {place} is read-only (a standby, or a failover under way): store.url must name the primary"
        )),
        "26000" | "42P05" => Some(crate::postgres::pooled(place)),
        "28000" => Some(format!(
            "the server at {place} does not let this user in: there is no such role, or its pg_hba.conf has no line for the \
             user, the database and this host, or only one for TLS (then sslmode=require in store.url)"
        )),
        "28P01" => Some(
            "the server does not accept the user and password: mend them, with @ : / # written %40 %3A %2F %23".to_owned(),
        ),
        "3D000" => Some("there is no such database: make it with CREATE DATABASE".to_owned()),
        "42501" => Some("the role lacks a right: make it the owner of the database".to_owned()),
        "42P01" | "42703" => {
            Some("the schema is not as chainbell made it: bring the database back from a backup".to_owned())
        }
        "53100" => Some(format!(
            "the disk under the server at {place} is full: make room there, and the work goes on by itself"
        )),
        "53200" => Some(format!("the server at {place} is out of memory")),
        "53300" => Some(format!(
            "the server at {place} takes no more connections: raise max_connections or the role's CONNECTION LIMIT, or lower \
             store.connections"
        )),
        "53400" => Some(format!("the server at {place} is at a limit of its configuration")),
        "57P01" | "57P02" | "57P03" => Some(format!("the server at {place} is stopping or starting")),
        "58030" => {
            Some(format!("the disk under the server at {place} fails to read or write: examine the disk"))
        }
        "XX001" | "XX002" => Some(format!("the data of the server at {place} is damaged: look into its log")),
        _ => None,
    }
}

/// The folder of a `sqlite:` URL, as it can be looked for.
fn folder(place: &str) -> String {
    let path = place.trim_start_matches("sqlite:").trim_start_matches("//");
    let path = path.split('?').next().unwrap_or(path);
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    path.parent().map_or_else(|| "/".to_owned(), |folder| folder.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_a_code_means_does_not_depend_on_its_words() {
        for (code, fault) in [
            ("5", Fault::Later),
            ("517", Fault::Later),
            ("13", Fault::Unfit),
            ("778", Fault::Unfit),
            ("2067", Fault::Refused),
            ("25006", Fault::Leftover),
            ("57P01", Fault::Connection),
            ("08006", Fault::Connection),
            ("40001", Fault::Aborted),
            ("40003", Fault::Connection),
            ("53100", Fault::Later),
            ("23505", Fault::Refused),
            ("é0000", Fault::Refused),
        ] {
            assert_eq!(by_code(code), fault, "{code}");
        }
    }

    #[test]
    fn the_folder_of_a_file_is_named_as_a_whole() {
        assert_eq!(folder("sqlite:///var/lib/chainbell/a.db?mode=rwc"), "/var/lib/chainbell");
        assert!(Path::new(&folder("sqlite://a.db")).is_absolute());
    }
}
