//! Owns a configured URL: which transport it means, how it is shown, and what inside it is secret. Nothing else may
//! print one.

use std::{fmt, path::PathBuf};

use alloy_primitives::keccak256;
use domain::redact_url;
use url::Url;

use crate::{error::ConnectError, limits::DETAIL_MAX};

/// Shorter parts of a URL are no secrets, and replacing them would spoil other words.
const SECRET_MIN: usize = 6;

/// Where and how a node is reached.
#[derive(Clone)]
pub(crate) enum Transport {
    WebSocket(Url),
    Http(Url),
    Ipc(PathBuf),
}

/// A configured URL.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) transport: Transport,
    redacted: String,
    // Tells the URL from others that are shown alike.
    mark: u16,
    secrets: Vec<String>,
}

impl Endpoint {
    pub(crate) fn parse(given: &str) -> Result<Self, ConnectError> {
        let given = given.trim();
        let bad = |url: String, why: &str| ConnectError::BadUrl { url, why: why.to_owned() };
        let scheme = given.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("ws" | "wss" | "http" | "https") => {
                let url = Url::parse(given).map_err(|error| bad(redact_url(given), &error.to_string()))?;
                if url.host_str().is_none_or(str::is_empty) {
                    return Err(bad(redact_url(given), "it names no host"));
                }
                let (redacted, secrets) = (redact_url(given), secrets(given, &url));
                let socket = url.scheme().starts_with("ws");
                let transport = if socket { Transport::WebSocket(url) } else { Transport::Http(url) };
                Ok(Self { transport, redacted, mark: mark(given), secrets })
            }
            Some("ipc") => {
                let path = &given["ipc:".len()..];
                Self::ipc(path.strip_prefix("//").unwrap_or(path))
                    .ok_or_else(|| bad("ipc:".to_owned(), "it names no path"))
            }
            // A one-letter scheme is a Windows drive.
            Some(scheme) if scheme.len() > 1 => {
                Err(bad(redact_url(given), "chainbell speaks ws, wss, http, https and ipc"))
            }
            _ if given.contains(['/', '\\']) || given.ends_with(".ipc") => {
                Self::ipc(given).ok_or_else(|| bad("…".to_owned(), "it names no path"))
            }
            _ => Err(bad(redact_url(given), "it has no scheme: ws, wss, http, https or ipc")),
        }
    }

    fn ipc(path: &str) -> Option<Self> {
        let transport = Transport::Ipc(PathBuf::from(path));
        let redacted = format!("ipc://{path}");
        (!path.is_empty()).then(|| Self { transport, mark: mark(path), redacted, secrets: Vec::new() })
    }

    /// The URL as it may be shown.
    pub(crate) fn redacted(&self) -> &str {
        &self.redacted
    }

    /// What names the URL over restarts. Of its hash there are 16 bits in it: enough to tell two keys of one provider apart,
    /// and too few to find a key by.
    pub(crate) fn key(&self) -> String {
        format!("{}#{:04x}", self.redacted, self.mark)
    }

    /// Whether the transport can carry subscriptions.
    pub(crate) const fn can_subscribe(&self) -> bool {
        !matches!(self.transport, Transport::Http(_))
    }

    /// What the other side said, made fit for an error: without what is secret in the URL (providers like to repeat the
    /// key), on one line, and short.
    pub(crate) fn clean(&self, said: &str) -> String {
        let mut said = said.to_owned();
        for secret in &self.secrets {
            if said.contains(secret.as_str()) {
                said = said.replace(secret.as_str(), "…");
            }
        }
        let line: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match line.char_indices().nth(DETAIL_MAX) {
            Some((end, _)) => format!("{}…", line[..end].trim()),
            None => line.trim().to_owned(),
        }
    }
}

fn mark(given: &str) -> u16 {
    let hash = keccak256(given);
    u16::from_be_bytes([hash[0], hash[1]])
}

/// The parts of the URL that may be keys, the longest first, so that none leaves a remainder of another.
fn secrets(given: &str, url: &Url) -> Vec<String> {
    let mut parts = vec![given.to_owned(), url.to_string(), url.username().to_owned()];
    parts.extend(url.password().map(str::to_owned));
    parts.extend(url.query().map(str::to_owned));
    parts.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    // Where `redact_url` keeps a path segment, it is no key.
    let shown = redact_url(given);
    let segments = url.path_segments().into_iter().flatten();
    parts.extend(segments.filter(|segment| !shown.contains(segment)).map(str::to_owned));
    parts.retain(|part| part.len() >= SECRET_MIN);
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts.dedup();
    parts
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_means_its_transport() {
        for (given, socket) in
            [("ws://h:1", true), ("WSS://h/key", true), ("http://h", false), ("https://h", false)]
        {
            let endpoint = Endpoint::parse(given).unwrap();
            assert_eq!(matches!(endpoint.transport, Transport::WebSocket(_)), socket, "{given}");
        }
        for given in ["ipc:///tmp/geth.ipc", "ipc:/tmp/geth.ipc", "/tmp/geth.ipc"] {
            let endpoint = Endpoint::parse(given).unwrap();
            assert!(
                matches!(&endpoint.transport, Transport::Ipc(path) if path.as_os_str() == "/tmp/geth.ipc"),
                "{given}"
            );
            assert_eq!(endpoint.redacted(), "ipc:///tmp/geth.ipc");
        }
    }

    #[test]
    fn two_keys_of_one_provider_are_told_apart_by_a_name_that_holds_neither() {
        let key = |given: &str| Endpoint::parse(given).unwrap().key();
        let (one, two) =
            (key("https://host/v3/0123456789abcdef01"), key("https://host/v3/0123456789abcdef02"));
        assert_ne!(one, two);
        assert_eq!(one, key(" https://host/v3/0123456789abcdef01"));
        let (shown, mark) = one.split_once('#').unwrap();
        assert_eq!((shown, mark.len()), ("https://host/v3/…", 4));
        assert_ne!(key("/tmp/a.ipc"), key("/tmp/b.ipc"));
    }

    #[test]
    fn an_unusable_url_is_named_without_its_secrets() {
        for (given, message) in [
            (
                "ftp://user:hunter2@host/0123456789abcdef",
                "the node URL ftp://…@host/… is not usable: chainbell speaks ws, wss, http, https and ipc",
            ),
            ("ws://", "the node URL ws:// is not usable: empty host"),
            ("localhost", "the node URL … is not usable: it has no scheme: ws, wss, http, https or ipc"),
            ("ipc://", "the node URL ipc: is not usable: it names no path"),
        ] {
            assert_eq!(Endpoint::parse(given).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_key_that_the_provider_repeats_is_removed_from_its_words() {
        let endpoint =
            Endpoint::parse("https://me:secret-word@host/v3/0123456789abcdef?token=qwertyuiop").unwrap();
        let said = "project 0123456789abcdef\nis over its limit (qwertyuiop, secret-word)";
        assert_eq!(endpoint.clean(said), "project … is over its limit (…, …)");
        assert_eq!(format!("{endpoint:?}"), "https://…@host/v3/…?…");
        assert_eq!(endpoint.clean(&"x".repeat(10_000)).chars().count(), DETAIL_MAX + 1);
    }
}
