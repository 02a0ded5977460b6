//! A connection to a NATS server: who logs in, which certificates are trusted, and why it failed, in one sentence.

use std::{
    error::Error,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{
    AuthError, Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr, ServerError,
    rustls::{self, AlertDescription, CertificateError},
};

use domain::BrokerError;

use super::login::{Login, servers};
use crate::{BrokerConfig, NatsFiles};

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the server said on its own, such as a permission that is lacking: the question itself gets no answer then.
#[derive(Debug, Clone, Default)]
pub(super) struct Complaint(Arc<Mutex<Option<String>>>);

impl Complaint {
    fn hear(&self, event: &Event) {
        if let Event::ServerError(ServerError::Other(text)) = event {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.clone());
        }
    }

    /// What was said since this was asked the last time.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Connects.
///
/// # Errors
/// A sentence for the operator, without secrets.
pub(super) async fn connect(config: &BrokerConfig) -> Result<(Client, Complaint), BrokerError> {
    let misconfigured = |detail| BrokerError::Misconfigured { url: config.shown(), detail };
    let (servers, login) = servers(&config.url, &config.files).map_err(misconfigured)?;
    // Once here, where a file that is missing can be named.
    login.answer(&[]).await.map_err(misconfigured)?;
    check(&config.files).await.map_err(misconfigured)?;
    let complaint = Complaint::default();
    let client = options(&servers, &login, &config.files, &complaint).connect(&servers[..]).await;
    let client = client.map_err(|error| BrokerError::Unavailable {
        url: config.shown(),
        detail: sentence(&error, &login, &config.files),
    })?;
    Ok((client, complaint))
}

fn options(
    servers: &[ServerAddr],
    login: &Login,
    files: &NatsFiles,
    complaint: &Complaint,
) -> ConnectOptions {
    let (login, heard) = (Arc::new(login.clone()), complaint.clone());
    let mut options = ConnectOptions::with_auth_callback(move |nonce| {
        let login = Arc::clone(&login);
        async move { login.answer(&nonce).await.map_err(AuthError::new) }
    });
    options = options.name("chainbell").connection_timeout(CONNECT_TIMEOUT).max_reconnects(None);
    options = options.event_callback(move |event| {
        heard.hear(&event);
        async {}
    });
    // The other servers of a cluster are announced without a scheme: they, too, are spoken to through TLS only.
    let encrypted =
        servers.iter().any(ServerAddr::tls_required) || files.ca.is_some() || files.certificate.is_some();
    options = options.require_tls(encrypted);
    if let Some(ca) = &files.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let (Some(certificate), Some(key)) = (&files.certificate, &files.key) {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    options
}

// The library takes a file without a certificate for no certificate.
async fn check(files: &NatsFiles) -> Result<(), String> {
    for (key, path, wanted) in [
        ("broker.ca", &files.ca, "CERTIFICATE-----"),
        ("broker.certificate", &files.certificate, "CERTIFICATE-----"),
        ("broker.key", &files.key, "PRIVATE KEY-----"),
    ] {
        if let Some(path) = path {
            holds(key, path, wanted).await?;
        }
    }
    match (&files.certificate, &files.key) {
        (Some(_), None) => {
            Err("broker.certificate is useless without broker.key: name the file of its private key"
                .to_owned())
        }
        (None, Some(_)) => {
            Err("broker.key is useless without broker.certificate: name the file of its certificate"
                .to_owned())
        }
        _ => Ok(()),
    }
}

async fn holds(key: &str, path: &Path, wanted: &str) -> Result<(), String> {
    match tokio::fs::read(path).await {
        Ok(bytes) if String::from_utf8_lossy(&bytes).contains(wanted) => Ok(()),
        Ok(_) => {
            let what = wanted.trim_end_matches('-').to_lowercase();
            Err(format!("{key}: {} has no {what} in PEM", path.display()))
        }
        Err(error) => Err(format!("{key}: {} cannot be read ({error})", path.display())),
    }
}

fn sentence(error: &ConnectError, login: &Login, files: &NatsFiles) -> String {
    let certificate = match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => Some(if files.ca.is_some() {
            "its certificate is not by the authority in broker.ca: put the right one there"
        } else {
            "its certificate is by an authority that is not known here: set broker.ca to the file of that authority"
        }),
        Some(rustls::Error::InvalidCertificate(_)) => Some(
            "its certificate cannot be trusted: mend it, or the name in broker.url, which it must be for",
        ),
        Some(rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure,
        )) => Some("it asks for a certificate: set broker.certificate and broker.key"),
        Some(rustls::Error::AlertReceived(_)) => {
            Some("it does not accept our certificate: check broker.certificate and broker.key")
        }
        Some(_) => Some(
            "check that it speaks TLS, else write nats:// and leave out broker.ca and broker.certificate",
        ),
        None => None,
    };
    if let Some(mend) = certificate {
        return format!("{error}; {mend}");
    }
    match (error.kind(), login) {
        (ConnectErrorKind::AuthorizationViolation, Login::Nothing) => {
            "it asks for a login, and none is configured: write user:password@ or token@ into broker.url, or set \
             broker.credentials or broker.nkey"
                .to_owned()
        }
        (ConnectErrorKind::AuthorizationViolation, login) => {
            format!("it does not accept {}: mend them, or the server's users", login.shown())
        }
        (ConnectErrorKind::Tls, _) => format!("{error}; check broker.ca, broker.certificate and broker.key"),
        _ => format!("{error}; check broker.url"),
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut at: Option<&'a (dyn Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An I/O error hides what it wraps from `source`.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|wrapped| tls_error(wrapped)) {
            return Some(found);
        }
        at = error.source();
    }
    None
}
