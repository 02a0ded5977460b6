//! A notification on its way, and a channel without patience.

use std::{sync::Arc, time::Duration};

use channels::{WebhookChannel, WebhookConfig};
use domain::{
    ChainId, ChannelError, DeliveryId, Notification, NotificationId, NotificationState, Outgoing, Target,
    TargetUrl, recipient::Secret,
};
use jiff::Timestamp;
use serde_json::json;
use testkit::{clock::RealClock, receiver::SECRET};
use uuid::Uuid;

pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// A channel that may call this machine.
pub(crate) fn channel() -> WebhookChannel {
    with(WebhookConfig { deadline: DEADLINE, answer_max: 1_000, allow_private: true })
}

/// A channel as in production.
pub(crate) fn guarded() -> WebhookChannel {
    with(WebhookConfig { deadline: DEADLINE, ..WebhookConfig::default() })
}

fn with(config: WebhookConfig) -> WebhookChannel {
    WebhookChannel::new(config, Arc::new(RealClock)).expect("an HTTP client")
}

pub(crate) fn outgoing(url: &str, secrets: &[&str]) -> Outgoing {
    let recipient: domain::RecipientId = "treasury".parse().expect("a recipient");
    Outgoing {
        delivery: DeliveryId(Uuid::from_u128(0xde11)),
        attempt: 1,
        first: true,
        notification: Notification {
            id: NotificationId(Uuid::from_u128(0x0071)),
            recipient: recipient.clone(),
            watch: "usdc-in".parse().expect("a watch"),
            chain: ChainId(1),
            kind: "erc20_transfer".to_owned(),
            title: "1 000 USDC came in".to_owned(),
            body: "ä 🔔 \u{202e} \"quoted\"".to_owned(),
            count: 1,
            window: None,
            facts: json!({ "value": "1000000000" }),
            events: vec![],
            finality: "seen".to_owned(),
            state: NotificationState::Active,
            revision: 1,
            corrects: None,
            created_at: Timestamp::UNIX_EPOCH,
        },
        target: Target {
            recipient,
            name: "hook".parse().expect("a target"),
            url: TargetUrl::new(url),
            secrets: secrets.iter().map(|secret| Secret::new(*secret)).collect(),
            from_file: false,
        },
    }
}

/// The usual one.
pub(crate) fn signed(url: &str) -> Outgoing {
    outgoing(url, &[SECRET])
}

/// The detail of a failure that is to be tried again, and what the endpoint asked for.
#[expect(clippy::panic, reason = "the tests' own assertion")]
pub(crate) fn retried<T: std::fmt::Debug>(result: Result<T, ChannelError>) -> (String, Option<Duration>) {
    match result {
        Err(ChannelError::Retry { detail, retry_after }) => (detail, retry_after),
        other => panic!("it is to be tried again, not {other:?}"),
    }
}

/// The detail of a failure for good.
#[expect(clippy::panic, reason = "the tests' own assertion")]
pub(crate) fn permanent<T: std::fmt::Debug>(result: Result<T, ChannelError>) -> String {
    match result {
        Err(ChannelError::Permanent { detail }) => detail,
        other => panic!("it is to be given up, not {other:?}"),
    }
}
