//! What `deliver` needs of a delivery medium.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use crate::{DeliveryId, Notification, NotificationState, Target};

/// A notification on its way to one target.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The id that the receiver can deduplicate by, stable over attempts.
    pub delivery: DeliveryId,
    /// The notification.
    pub notification: Notification,
    /// Where to.
    pub target: Target,
    /// 1 at the first attempt.
    pub attempt: u32,
    /// Whether nothing of it reached the target before: then even a correction is news there.
    pub first: bool,
}

impl Outgoing {
    /// The type of the webhook: `notification.created`, `notification.corrected` or `notification.retracted`.
    pub fn kind(&self) -> &'static str {
        match (self.notification.corrects, self.notification.state) {
            (None, _) => "notification.created",
            (Some(_), NotificationState::Active | NotificationState::Corrected) if self.first => {
                "notification.created"
            }
            (Some(_), NotificationState::Retracted) => "notification.retracted",
            (Some(_), _) => "notification.corrected",
        }
    }

    /// The body that machines get: `{"type":…,"timestamp":…,"data":{…}}`.
    pub fn body(&self) -> Json {
        let n = &self.notification;
        json!({
            "type": self.kind(),
            "timestamp": n.created_at.to_string(),
            "data": {
                "id": n.id,
                "kind": n.kind,
                "recipient": n.recipient,
                "watch": n.watch,
                "chain_id": n.chain,
                "title": n.title,
                "body": n.body,
                "count": n.count,
                "window": n.window,
                "facts": n.facts,
                "events": n.events,
                "finality": n.finality,
                "revision": n.revision,
                "corrects": n.corrects,
            }
        })
    }
}

/// The channel accepted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What the other side said, short, for the record of the attempt: `HTTP 204`.
    pub detail: String,
}

/// Why the channel did not deliver, by what the caller should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// Try again: after `retry_after`, where the other side said so, else by the schedule.
    #[error("{detail}")]
    Retry {
        /// What happened, without secrets.
        detail: String,
        /// What the other side asked for.
        retry_after: Option<Duration>,
    },
    /// Never try again: the other side will not take it.
    #[error("{detail}")]
    Permanent {
        /// What happened, without secrets.
        detail: String,
    },
}

/// A delivery medium.
#[async_trait]
pub trait Channel: Debug + Send + Sync {
    /// The name that targets' URLs choose it by: `webhook`, `stdout`.
    fn name(&self) -> &'static str;

    /// Whether the target is usable, without calling it.
    ///
    /// # Errors
    /// One sentence that names the fault and the mend.
    fn check(&self, target: &Target) -> Result<(), String>;

    /// Sends once, within the channel's own deadline and size limits.
    ///
    /// # Errors
    /// See [`ChannelError`].
    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, ChannelError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NotificationId, TargetUrl};
    use uuid::Uuid;

    fn outgoing(corrects: bool, state: NotificationState, first: bool) -> Outgoing {
        let notification = Notification {
            id: NotificationId(Uuid::from_u128(2)),
            recipient: "ops".parse().unwrap(),
            watch: "in".parse().unwrap(),
            chain: crate::ChainId(1),
            kind: "contract_event".into(),
            title: String::new(),
            body: String::new(),
            count: 1,
            window: None,
            facts: Json::Null,
            events: Vec::new(),
            finality: "seen".into(),
            state,
            revision: 2,
            corrects: corrects.then(|| NotificationId(Uuid::from_u128(1))),
            created_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let target = Target {
            recipient: "ops".parse().unwrap(),
            name: "hook".parse().unwrap(),
            url: TargetUrl::new("stdout:"),
            secrets: Vec::new(),
            from_file: false,
        };
        Outgoing { delivery: DeliveryId(Uuid::nil()), notification, target, attempt: 1, first }
    }

    #[test]
    fn a_correction_is_news_where_nothing_was_heard_before() {
        use NotificationState::{Active, Corrected, Retracted};
        for (corrects, state, first, kind) in [
            (false, Active, true, "notification.created"),
            (false, Corrected, false, "notification.created"),
            (true, Active, false, "notification.corrected"),
            (true, Active, true, "notification.created"),
            (true, Retracted, false, "notification.retracted"),
            (true, Retracted, true, "notification.retracted"),
        ] {
            assert_eq!(outgoing(corrects, state, first).kind(), kind);
        }
    }
}
