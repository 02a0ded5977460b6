//! `https://…`: a webhook after the Standard Webhooks specification (1.0.0).

use std::{net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{Channel, ChannelError, Clock, Outgoing, Receipt, Target};
use jiff::Timestamp;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
    redirect::Policy,
};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use url::Url;

use crate::{
    guard::{PublicOnly, is_public},
    text::plain,
};

/// Limits of webhooks.
#[derive(Debug, Clone, Copy)]
pub struct WebhookConfig {
    /// One deadline over connecting, sending and reading the answer.
    pub deadline: Duration,
    /// How much of an answer is read, in bytes.
    pub answer_max: usize,
    /// Whether private addresses and plain `http` are allowed.
    pub allow_private: bool,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(15), answer_max: 64 * 1024, allow_private: false }
    }
}

/// Shorter keys can be guessed. Standard Webhooks wants 24 to 64 bytes; some senders' old secrets have fewer.
const SECRET_BYTES_MIN: usize = 16;
/// How much of an answer goes into the attempt's record, in characters.
const DETAIL_MAX: usize = 200;

/// Shorter parts of a URL are no secrets, and hiding them would hide half the words of an answer.
const HIDDEN_MIN: usize = 4;

/// Sends signed webhooks.
#[derive(Debug)]
pub struct WebhookChannel {
    client: Client,
    config: WebhookConfig,
    clock: Arc<dyn Clock>,
}

impl WebhookChannel {
    /// The channel.
    ///
    /// # Errors
    /// One sentence when the HTTP client cannot be made.
    pub fn new(config: WebhookConfig, clock: Arc<dyn Clock>) -> Result<Self, String> {
        // Another part of the process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("chainbell/", env!("CARGO_PKG_VERSION")))
            .timeout(config.deadline)
            .redirect(Policy::none())
            .no_proxy();
        let client = if config.allow_private { client } else { client.dns_resolver(Arc::new(PublicOnly)) };
        let client = client.build().map_err(|error| format!("the HTTP client cannot be made: {error}"))?;
        Ok(Self { client, config, clock })
    }

    // The start of the answer, and whatever of it came where the rest did not.
    async fn read(&self, mut response: Response) -> String {
        let mut body = Vec::new();
        // A fault ends it too: what the endpoint thinks, its status has said.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() >= self.config.answer_max {
                break;
            }
        }
        body.truncate(self.config.answer_max);
        String::from_utf8_lossy(&body).into_owned()
    }

    fn retry_after(&self, response: &Response) -> Option<Duration> {
        let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        // RFC 9110, 10.2.3: an HTTP date is the other form.
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        at.duration_since(self.clock.now()).try_into().ok()
    }
}

pub(crate) fn check(config: &WebhookConfig, target: &Target) -> Result<(), String> {
    let shown = &target.url;
    let url = Url::parse(target.url.expose()).map_err(|error| format!("{shown} is no URL: {error}"))?;
    if url.scheme() == "http" && !config.allow_private {
        return Err(format!("{shown} is not encrypted: use https, or set channels.allow_private"));
    }
    let literal = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    if literal.is_some_and(|address| !is_public(address)) && !config.allow_private {
        return Err(format!("{shown} is in a private network: set channels.allow_private to allow that"));
    }
    secrets(target).map(|_| ())
}

fn secrets(target: &Target) -> Result<Vec<Webhook>, String> {
    let key = |secret: &domain::recipient::Secret| {
        let text = secret.expose();
        // Four characters of base64 are three bytes.
        let long = text.trim_start_matches("whsec_").trim_end_matches('=').len() * 3 / 4 >= SECRET_BYTES_MIN;
        // The library's own error is left out: it may quote the secret.
        Webhook::new(text).ok().filter(|_| long)
    };
    let keys: Option<Vec<_>> = target.secrets.iter().map(key).collect();
    keys.ok_or_else(|| {
        let name = &target.name;
        format!(
            "a secret of target '{name}' is not base64 of {SECRET_BYTES_MIN} bytes or more after whsec_: make one \
             with `openssl rand -base64 24`"
        )
    })
}

// An endpoint that answers "cannot POST /hooks/…" has put the secret part of its URL into our records.
fn shown(answer: &str, target: &Target) -> String {
    let mut hidden: Vec<String> = target.secrets.iter().map(|secret| secret.expose().to_owned()).collect();
    if let Ok(url) = Url::parse(target.url.expose()) {
        let segments = url.path_segments().into_iter().flatten().map(str::to_owned);
        hidden.extend(segments.filter(|segment| segment.len() >= HIDDEN_MIN));
        hidden.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        hidden.extend([url.path(), url.query().unwrap_or_default(), url.username()].map(str::to_owned));
        hidden.extend(url.password().map(str::to_owned));
    }
    hidden.retain(|text| text.trim_matches('/').len() >= HIDDEN_MIN);
    hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let answer = hidden.iter().fold(answer.to_owned(), |answer, text| answer.replace(text.as_str(), "…"));
    plain(&answer).replace('\n', " ").trim().chars().take(DETAIL_MAX).collect()
}

fn signature(webhooks: &[Webhook], id: &str, at: Timestamp, body: &str) -> Result<String, String> {
    let sign = |webhook: &Webhook| webhook.sign(id, at.as_second(), body.as_bytes());
    let signatures: Result<Vec<_>, _> = webhooks.iter().map(sign).collect();
    Ok(signatures.map_err(|error| error.to_string())?.join(" "))
}

#[async_trait]
impl Channel for WebhookChannel {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn check(&self, target: &Target) -> Result<(), String> {
        check(&self.config, target)
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, ChannelError> {
        let permanent = |detail| ChannelError::Permanent { detail };
        self.check(&outgoing.target).map_err(permanent)?;
        let body = outgoing.body().to_string();
        let id = outgoing.delivery.to_string();
        let at = self.clock.now();
        let signature =
            signature(&secrets(&outgoing.target).map_err(permanent)?, &id, at, &body).map_err(permanent)?;
        let mut request = self
            .client
            .post(outgoing.target.url.expose())
            .header(CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, &id)
            .header(HEADER_WEBHOOK_TIMESTAMP, at.as_second().to_string());
        if !signature.is_empty() {
            request = request.header(HEADER_WEBHOOK_SIGNATURE, signature);
        }
        let failed =
            |error: reqwest::Error| ChannelError::Retry { detail: describe(error), retry_after: None };
        let response = request.body(body).send().await.map_err(failed)?;
        let status = response.status();
        let retry_after = self.retry_after(&response);
        // The answer is read before it is judged: an unread body would hold the connection.
        let answer = shown(&self.read(response).await, &outgoing.target);
        let detail = if answer.is_empty() {
            format!("HTTP {}", status.as_u16())
        } else {
            format!("HTTP {}: {answer}", status.as_u16())
        };
        if status.is_success() {
            Ok(Receipt { detail: format!("HTTP {}", status.as_u16()) })
        } else if status == StatusCode::GONE {
            // Standard Webhooks: 410 says that the endpoint wants no more.
            Err(ChannelError::Permanent { detail })
        } else {
            Err(ChannelError::Retry { detail, retry_after })
        }
    }
}

// The whole chain of causes, without the URL, which is a secret.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
