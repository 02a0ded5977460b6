//! What goes where: machine formats to standard output, everything else to standard error.

use std::io::{self, ErrorKind, IsTerminal as _, Write, stderr, stdout};

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Sets logging up: to standard error, by `RUST_LOG`, plain or coloured as the terminal and `NO_COLOR` say.
pub fn logging(service: bool) {
    // What the libraries say of a lost connection, the crate around them says better.
    let default = if service {
        "info,sqlx=warn,async_nats=warn,alloy_pubsub=off,alloy_transport_ipc=off"
    } else {
        "warn,sqlx=error,async_nats=error,alloy_pubsub=off,alloy_transport_ipc=off"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // A second subscriber, in tests that run several commands, is refused, and the first stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(AroundBars)
        .with_ansi(colour)
        .try_init();
}

/// A table without frames, for people.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.to_vec());
    table
}

/// Prints text to standard output. A reader that went away (`| head`) is no failure.
///
/// # Errors
/// The system's, a closed pipe aside.
pub fn print(text: &str) -> Result<(), Failure> {
    match writeln!(stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Text that came from a chain or a caller, without what could take a terminal over.
pub fn harmless(text: &str) -> String {
    text.chars()
        .filter(|c| {
            !c.is_control()
                && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        })
        .collect()
}

/// Standard error, written to so that a progress bar is not torn.
#[derive(Debug, Clone, Copy)]
struct AroundBars;

impl Write for AroundBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        crate::progress::bars().suspend(|| stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for AroundBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}
