//! What goes where: machine formats to standard output, everything else to standard error.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

/// Sets logging up: to standard error, by `RUST_LOG`, plain or coloured as the terminal and `NO_COLOR` say.
pub fn logging(service: bool) {
    let default = if service { "info,sqlx=warn,async_nats=warn" } else { "warn,sqlx=error,async_nats=error" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // A second subscriber, in tests that run several commands, is refused, and the first stays.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(colour).try_init();
}
