//! What Redis answers when it refuses: the code decides how it is mended, and never the words. Owns the sentence that an
//! operator reads; the library's own, with the whole pipeline in it, is for the log.

use redis::{ErrorKind, RedisError};

/// Why no cluster is used.
const CLUSTER: &str = "this is a Redis Cluster (cluster-enabled yes), which spreads the keys of one window over \
     its nodes: use a Redis without cluster, or debounce.url = \"store:\"";

/// What an operator reads: what is wrong, the mend, and the server's code. `otherwise` is the mend where no code says more.
pub(crate) fn sentence(error: &RedisError, otherwise: Option<&str>) -> String {
    tracing::debug!("the Redis library's own words: {error}");
    let server = error.clone().into_server_errors();
    let server = || server.iter().flat_map(|errors| errors.iter()).map(|(_, error)| error);
    // Of a pipeline that failed, the first that names what is wrong.
    let known = server().find_map(|error| of_code(error.code()).map(|mend| (mend, error.code())));
    match (known, server().next()) {
        (Some((mend, code)), _) => format!("{mend} ({code})"),
        (None, _) if error.kind() == ErrorKind::AuthenticationFailed => LOGIN.to_owned(),
        (None, Some(refused)) => {
            let details = refused.details().map_or_else(String::new, |details| format!(": {details}"));
            with(format!("it refuses with {}{details}", refused.code()), otherwise)
        }
        (None, None) => with(unanswered(error), otherwise),
    }
}

fn with(what: String, mend: Option<&str>) -> String {
    mend.map_or_else(|| what.clone(), |mend| format!("{what}; {mend}"))
}

// No answer of a server's.
fn unanswered(error: &RedisError) -> String {
    if error.is_timeout() {
        return "it does not answer in time".to_owned();
    }
    if error.is_connection_refusal() {
        return "nothing listens there".to_owned();
    }
    if error.is_connection_dropped() {
        return "the connection broke off".to_owned();
    }
    let why = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    if error.is_io_error() { format!("it cannot be reached ({why})") } else { why }
}

/// How the operator mends what the server refuses; `None` where its words must do.
pub(crate) fn mend(error: &RedisError) -> Option<&'static str> {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return Some(LOGIN);
    }
    // Of a pipeline that failed, the first that names what is wrong.
    let errors = error.clone().into_server_errors();
    errors.iter().flat_map(|errors| errors.iter()).find_map(|(_, error)| of_code(error.code()))
}

/// Whether nothing can be asked of the server until an operator mends it.
pub(crate) fn is_final(error: &RedisError) -> bool {
    mend(error).is_some_and(|mend| [CLUSTER, LOGIN, PASSWORD, PROTECTED].contains(&mend))
}

const LOGIN: &str = "it does not accept the user and password in debounce.url: mend them, percent-encoded";
const PASSWORD: &str =
    "it asks for a password: write it into debounce.url, as in redis://:password@host:6379";
const PROTECTED: &str = "it is in protected mode: give it a password, and write that into debounce.url";

fn of_code(code: &str) -> Option<&'static str> {
    Some(match code {
        // Only a cluster answers so.
        "CROSSSLOT" | "MOVED" | "ASK" | "CLUSTERDOWN" => CLUSTER,
        "OOM" => "its memory is full: raise maxmemory, or free what others keep there",
        "READONLY" | "MASTERDOWN" => {
            "it is a replica, which takes no writes: set debounce.url to the primary"
        }
        "NOPERM" => {
            "the ACL of this login lacks a command or our keys: allow it +@read +@write +@scripting and ~<prefix>chainbell:*"
        }
        "NOAUTH" => PASSWORD,
        "WRONGPASS" => LOGIN,
        "DENIED" => PROTECTED,
        "MISCONF" => {
            "it takes no writes since it cannot save to its disk: free that disk, or turn its saving off"
        }
        "NOREPLICAS" => {
            "it takes no writes since too few replicas follow it (min-replicas-to-write): bring them back"
        }
        "LOADING" => "it is still reading its data: wait for it",
        "BUSY" => "a script of another client keeps it busy: end that with SCRIPT KILL",
        _ => return None,
    })
}
