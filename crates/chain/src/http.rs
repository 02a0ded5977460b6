//! Owns JSON-RPC over HTTP as a transport of alloy's client.
//!
//! It stands in for alloy's own, which reads answers of any size, understands `Retry-After` only as seconds, and puts
//! the URL, with its key, into a tracing span.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use alloy_json_rpc::{RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest};
use alloy_transport::{TransportError, TransportErrorKind, TransportFut};
use domain::Clock;
use reqwest::header::RETRY_AFTER;
use tower::Service;
use url::{Host, Url};

use crate::{
    classify::HttpRefusal,
    frame::Packet,
    limits::{CONNECT_MAX, ERROR_BODY_MAX, RETRY_AFTER_MAX},
};

/// What went wrong below JSON-RPC.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum WireError {
    /// The connection failed.
    #[error("{0}")]
    Broken(String),
    /// There is no connection, or no answer in time.
    #[error("{0}")]
    Absent(String),
    /// The answer has an HTTP status other than 2xx.
    #[error("HTTP {}", .0.status)]
    Http(Box<HttpRefusal>),
    /// The answer is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The answer is something else.
    #[error("{0}")]
    NotJsonRpc(String),
}

impl WireError {
    pub(crate) fn into_transport(self) -> TransportError {
        TransportErrorKind::custom(self)
    }
}

/// A client for one URL.
#[derive(Clone)]
pub(crate) struct HttpTransport(Arc<Inner>);

struct Inner {
    client: reqwest::Client,
    url: Url,
    max_response_bytes: usize,
    clock: Arc<dyn Clock>,
}

impl HttpTransport {
    pub(crate) fn new(
        url: Url,
        timeout: Duration,
        max_response_bytes: usize,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WireError> {
        let mut builder = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout.min(CONNECT_MAX))
            // A redirected POST becomes a GET, and might carry the key to another host.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("chainbell/", env!("CARGO_PKG_VERSION")));
        if is_local(&url) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(broken)?;
        Ok(Self(Arc::new(Inner { client, url, max_response_bytes, clock })))
    }
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

impl Inner {
    async fn exchange(&self, request: RequestPacket) -> Result<ResponsePacket, WireError> {
        let mut response = self.client.post(self.url.clone()).json(&request).send().await.map_err(broken)?;
        let status = response.status();
        if !status.is_success() {
            let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = retry_after.and_then(|value| parse_retry_after(value, self.clock.as_ref()));
            // What cannot be read of an error's body changes nothing about the status.
            let body = read(&mut response, ERROR_BODY_MAX).await.unwrap_or_default();
            let refusal = Packet::parse(&body)
                .ok()
                .and_then(|packet| packet.into_frames().iter().find_map(super::frame::Frame::refusal));
            let refusal = HttpRefusal { status: status.as_u16(), retry_after, refusal };
            return Err(WireError::Http(Box::new(refusal)));
        }
        let body = read(&mut response, self.max_response_bytes).await?;
        let packet = Packet::parse(&body)
            .map_err(|error| WireError::NotJsonRpc(format!("its answer is no JSON-RPC ({error})")))?;
        Ok(address(packet, &request))
    }
}

/// Puts the answers where the client looks for them.
///
/// A single question is answered by whatever came back, and one error for a whole batch, alone or in a list, answers all of
/// its questions. Anything else that names no question answers none.
fn address(packet: Packet<'_>, request: &RequestPacket) -> ResponsePacket {
    let mut answers = packet.into_frames().into_iter().map(super::frame::Frame::into_response);
    let RequestPacket::Batch(questions) = request else {
        return answers.next().map_or_else(|| ResponsePacket::Batch(Vec::new()), ResponsePacket::Single);
    };
    let mut answers: Vec<Response> = answers.collect();
    if let [Response { payload: payload @ ResponsePayload::Failure(_), .. }] = answers.as_slice() {
        let of_all =
            |question: &SerializedRequest| Response { id: question.id().clone(), payload: payload.clone() };
        answers = questions.iter().map(of_all).collect();
    }
    ResponsePacket::Batch(answers)
}

async fn read(response: &mut reqwest::Response, limit: usize) -> Result<Vec<u8>, WireError> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(WireError::TooLarge(limit));
    }
    let mut body = Vec::with_capacity(announced.unwrap_or_default());
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > limit {
            return Err(WireError::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// `Retry-After` as seconds or as a date (RFC 9110, section 10.2.3).
fn parse_retry_after(value: &str, clock: &dyn Clock) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
            Duration::try_from(at.duration_since(clock.now())).unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// The whole chain of causes, since the outermost only says that sending failed, and without the URL.
fn broken(error: reqwest::Error) -> WireError {
    let absent = error.is_connect() || error.is_timeout();
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        let said = error.to_string();
        if !words.contains(&said) {
            words = format!("{words}: {said}");
        }
        cause = error.source();
    }
    if absent { WireError::Absent(words) } else { WireError::Broken(words) }
}

impl Service<RequestPacket> for HttpTransport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.exchange(request).await.map_err(WireError::into_transport) })
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use jiff::Timestamp;

    use super::*;

    #[derive(Debug)]
    struct At(Timestamp);

    #[async_trait]
    impl Clock for At {
        fn now(&self) -> Timestamp {
            self.0
        }

        async fn sleep(&self, _duration: Duration) {}
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let clock = At("2015-10-21T07:27:00Z".parse().unwrap());
        for (value, wait) in [
            ("7", Some(7)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60)),
            ("Wed, 21 Oct 2015 07:20:00 GMT", Some(0)),
            ("99999999999", Some(3_600)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(parse_retry_after(value, &clock), wait.map(Duration::from_secs), "{value}");
        }
    }
}
