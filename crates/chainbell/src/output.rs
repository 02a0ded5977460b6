//! What goes where: machine formats to standard output, everything else to standard error.

use std::io::{self, ErrorKind, IsTerminal as _, Write, stderr, stdout};

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// The crates that speak unless `RUST_LOG` says otherwise. What a library says of a lost connection, of a login or of a
/// statement, the crate around it says better, without secrets and once.
pub const OURS: [&str; 13] = [
    "abi",
    "api",
    "broker",
    "chain",
    "chainbell",
    "channels",
    "debounce",
    "devnet",
    "domain",
    "pipeline",
    "store",
    "stories",
    "testkit",
];

/// Sets logging up: to standard error, by `RUST_LOG`, plain or coloured as the terminal and `NO_COLOR` say.
pub fn logging(service: bool) {
    let level = if service { "info" } else { "warn" };
    let default: Vec<_> = OURS.iter().map(|name| format!("{name}={level}")).collect();
    let default = format!("off,{}", default.join(","));
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

// Where the text beside a key begins, and how long a line of it may be, in characters.
const BESIDE: usize = 12;
const WIDTH: usize = 110;

/// A text beside its key, broken between words into lines that a terminal holds. The key may begin with line breaks.
pub fn beside(key: &str, text: &str) -> String {
    let mut out = format!("{key:<width$}", width = BESIDE + key.matches('\n').count());
    let mut column = BESIDE;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > BESIDE && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(BESIDE));
            column = BESIDE;
        } else if column > BESIDE {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_broken_between_words_and_stays_beside_its_key() {
        assert_eq!(beside("\nhits", "2 waiting"), "\nhits        2 waiting");
        let text = "word ".repeat(60);
        let told = beside("halted", text.trim());
        let lines: Vec<_> = told.lines().collect();
        assert!(lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= WIDTH), "{told}");
        assert!(lines[0].starts_with("halted      word"), "{told}");
        assert!(lines[1..].iter().all(|line| line.starts_with("            word")), "{told}");
        let address = "x".repeat(200);
        assert_eq!(beside("", &address).lines().count(), 1, "a word is never broken");
    }

    #[test]
    fn every_crate_of_ours_speaks() -> anyhow::Result<()> {
        for folder in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))? {
            let name = folder?.file_name().to_string_lossy().into_owned();
            assert!(super::OURS.contains(&name.as_str()), "{name} says nothing: add it to OURS");
        }
        Ok(())
    }
}
