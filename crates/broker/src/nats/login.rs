//! How chainbell proves who it is to a NATS server: a password or token in the URL, a credentials file, or an nkey.
//! Owns the secrets, which leave it only towards the server.

use std::{fmt, path::Path, path::PathBuf};

use async_nats::{Auth, ServerAddr};
use nkeys::{KeyPair, KeyPairType};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::NatsFiles;

/// One way to log in.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// The server asks for nothing, or for a certificate only.
    Nothing,
    Password {
        user: String,
        password: String,
    },
    Token(String),
    Credentials(PathBuf),
    Nkey(PathBuf),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

impl Login {
    /// What it is, without what it says.
    pub(super) const fn shown(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Password { .. } => "the user and password in broker.url",
            Self::Token(_) => "the token in broker.url",
            Self::Credentials(_) => "the file of broker.credentials",
            Self::Nkey(_) => "the file of broker.nkey",
        }
    }

    /// What the server is answered, who signs `nonce` when it asks for a signature. Reads the files anew: what was
    /// renewed since the last connection is used.
    pub(super) async fn answer(&self, nonce: &[u8]) -> Result<Auth, String> {
        let mut auth = Auth::new();
        match self {
            Self::Nothing => {}
            Self::Password { user, password } => {
                auth.username = Some(user.clone());
                auth.password = Some(password.clone());
            }
            Self::Token(token) => auth.token = Some(token.clone()),
            Self::Credentials(path) => {
                let text = read(path, "broker.credentials").await?;
                let bad = |lacks: &str| {
                    format!(
                        "broker.credentials: {} has no {lacks}: give a credentials file of a NATS user",
                        path.display()
                    )
                };
                let jwt = section(&text, "NATS USER JWT").ok_or_else(|| bad("user JWT"))?;
                let seed = section(&text, "USER NKEY SEED").ok_or_else(|| bad("seed"))?;
                let pair = pair(&seed).ok_or_else(|| bad("seed of a user that can be read"))?;
                auth.signature = Some(pair.sign(nonce).map_err(|error| error.to_string())?);
                auth.jwt = Some(jwt);
            }
            Self::Nkey(path) => {
                let text = read(path, "broker.nkey").await?;
                let pair = text.lines().find_map(pair).ok_or_else(|| {
                    format!("broker.nkey: {} has no seed of a user: it begins with SU", path.display())
                })?;
                auth.nkey = Some(pair.public_key());
                auth.signature = Some(pair.sign(nonce).map_err(|error| error.to_string())?);
            }
        }
        Ok(auth)
    }
}

async fn read(path: &Path, key: &str) -> Result<String, String> {
    let text = tokio::fs::read_to_string(path).await;
    text.map_err(|error| format!("{key}: {} cannot be read ({error})", path.display()))
}

// What stands between two lines of dashes, of which the first names it.
fn section(text: &str, name: &str) -> Option<String> {
    let mut lines =
        text.lines().map(str::trim).skip_while(|line| !(line.starts_with("---") && line.contains(name)));
    lines.next()?;
    let inside: String = lines.take_while(|line| !line.starts_with("---")).collect();
    (!inside.is_empty()).then_some(inside)
}

fn pair(seed: &str) -> Option<KeyPair> {
    KeyPair::from_seed(seed.trim()).ok().filter(|pair| pair.key_pair_type() == KeyPairType::User)
}

/// The servers that a URL names, without its secrets, and the one way to log in to all of them.
pub(super) fn servers(url: &str, files: &NatsFiles) -> Result<(Vec<ServerAddr>, Login), String> {
    let mut servers = Vec::new();
    let mut login = match (&files.credentials, &files.nkey) {
        (Some(_), Some(_)) => {
            return Err("broker.credentials and broker.nkey exclude each other: keep one".to_owned());
        }
        (Some(path), None) => Login::Credentials(path.clone()),
        (None, Some(path)) => Login::Nkey(path.clone()),
        (None, None) => Login::Nothing,
    };
    for part in url.split(',') {
        let mut parsed = Url::parse(part.trim()).map_err(|error| {
            format!("broker.url cannot be read ({error}); a character such as @ : / # , in a password is written %40 %3A %2F %23 %2C")
        })?;
        if !matches!(parsed.scheme(), "nats" | "tls") {
            return Err("broker.url must be memory: or begin with nats:// or tls://".to_owned());
        }
        if parsed.host_str().is_none_or(str::is_empty) {
            return Err("broker.url names no host: write nats://host:4222".to_owned());
        }
        let named = named(&parsed)?;
        if named != Login::Nothing {
            if login != Login::Nothing && login != named {
                return Err(format!(
                    "broker.url has {}, and {} is configured too: keep one",
                    named.shown().trim_end_matches(" in broker.url"),
                    login.shown()
                ));
            }
            login = named;
        }
        // Nothing below needs the secrets of the URL; an error of a library must not quote them.
        let bare = parsed.set_username("").and_then(|()| parsed.set_password(None));
        bare.map_err(|()| "broker.url names no host".to_owned())?;
        servers.push(ServerAddr::from_url(parsed).map_err(|error| error.to_string())?);
    }
    Ok((servers, login))
}

fn named(url: &Url) -> Result<Login, String> {
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(String::from).map_err(|_| "the password in broker.url is no UTF-8 text".to_owned())
    };
    Ok(match (url.username(), url.password()) {
        ("", None) => Login::Nothing,
        (token, None) => Login::Token(decoded(token)?),
        (user, Some(password)) => Login::Password { user: decoded(user)?, password: decoded(password)? },
    })
}

#[cfg(test)]
mod tests {
    use super::{Login, section, servers};
    use crate::NatsFiles;

    fn password(user: &str, password: &str) -> Login {
        Login::Password { user: user.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn a_url_names_its_servers_and_how_to_log_in() {
        for (url, count, expected) in [
            ("nats://host:4222", 1, Login::Nothing),
            ("nats://user:pass@host", 1, password("user", "pass")),
            ("tls://us%40er:p%3A%2F%23%25ss%C3%A4@host:4222", 1, password("us@er", "p:/#%ssä")),
            ("nats://t0%2Fken@host", 1, Login::Token("t0/ken".to_owned())),
            ("nats://u:p@one:4222, nats://u:p@two:4222,nats://three", 3, password("u", "p")),
        ] {
            let (servers, login) = servers(url, &NatsFiles::default()).expect(url);
            assert!(servers.len() == count && login == expected, "{url}");
            assert!(servers.iter().all(|server| !server.has_user_pass()), "{url}");
        }
    }

    #[test]
    fn a_login_that_cannot_be_is_refused_without_its_secrets() {
        let file = |name: &str| Some(std::path::PathBuf::from(name));
        let credentials = NatsFiles { credentials: file("a.creds"), ..NatsFiles::default() };
        let both = NatsFiles { nkey: file("a.nk"), ..credentials.clone() };
        for (url, files, part) in [
            ("nats://user:hunter#2@host", &NatsFiles::default(), "%23"),
            ("ws://user:hunter2@host", &NatsFiles::default(), "nats:// or tls://"),
            ("nats://user:hunter2@one,nats://user:hunter3@two", &NatsFiles::default(), "keep one"),
            ("nats://hunter2@host", &credentials, "keep one"),
            ("nats://host", &both, "exclude each other"),
        ] {
            let error = servers(url, files).expect_err(url);
            assert!(error.contains(part) && !error.contains("hunter"), "{url}: {error}");
        }
    }

    #[test]
    fn a_credentials_file_is_read_with_any_line_ends() {
        let text = "-----BEGIN NATS USER JWT-----\r\neyJ0.e30.sig\r\n------END NATS USER JWT------\r\n\r\n\
            ************************* IMPORTANT *************************\r\n\
            -----BEGIN USER NKEY SEED-----\r\nSUAX\r\n------END USER NKEY SEED------\r\n";
        assert_eq!(section(text, "NATS USER JWT").as_deref(), Some("eyJ0.e30.sig"));
        assert_eq!(section(text, "USER NKEY SEED").as_deref(), Some("SUAX"));
        assert_eq!(section("-----BEGIN NATS USER JWT-----\n", "NATS USER JWT"), None);
    }
}
