//! What is wrong with a configuration: one sentence that names the key and the mend.

use domain::suggest;
use figment::error::Kind;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file itself.
    #[error("{path}: {detail}")]
    File {
        /// Its path.
        path: String,
        /// What is wrong, and the mend.
        detail: String,
    },
    /// One key.
    #[error("{key}: {detail}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong, and the mend.
        detail: String,
    },
}

impl ConfigError {
    pub(crate) fn key(key: &str, detail: String) -> Self {
        Self::Key { key: key.to_owned(), detail }
    }

    pub(crate) fn from_figment(file: &str, error: figment::Error) -> Self {
        // Several errors come as one; the first is enough for one sentence.
        let Some(first) = error.into_iter().next() else {
            return Self::File { path: file.to_owned(), detail: "it cannot be read".to_owned() };
        };
        let path = first.path.join(".");
        let key = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match &first.kind {
            Kind::UnknownField(name, known) => {
                let at =
                    if first.path.last().is_some_and(|last| last == name) { path.clone() } else { key(name) };
                let close = suggest::closest(name, known.iter().copied());
                let mend = match close {
                    Some(close) => format!("did you mean '{close}'?"),
                    None => format!("the keys here are: {}", known.join(", ")),
                };
                Self::key(&format!("{file}: {at}"), format!("there is no such key; {mend}"))
            }
            Kind::MissingField(name) => {
                Self::key(&format!("{file}: {}", key(name)), "this key is missing".to_owned())
            }
            _ if path.is_empty() => Self::File { path: file.to_owned(), detail: one_line(&first) },
            kind => Self::key(&format!("{file}: {path}"), kind.to_string()),
        }
    }
}

// A TOML syntax error spans lines, with a picture of the place.
fn one_line(error: &figment::Error) -> String {
    let text = error.kind.to_string();
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match (lines.first(), lines.last()) {
        (Some(first), Some(last)) if lines.len() > 1 => format!("{first}: {last}"),
        _ => text,
    }
}
