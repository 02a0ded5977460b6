//! `stdout:`: a person at a terminal, or a log collector.

use async_trait::async_trait;
use domain::{Channel, ChannelError, Outgoing, Receipt, Target};
use tokio::{
    io::{AsyncWriteExt as _, stdout},
    sync::Mutex,
};

use crate::text::plain;

/// Prints notifications, whole and one after the other.
#[derive(Debug, Default)]
pub struct StdoutChannel {
    turn: Mutex<()>,
}

impl StdoutChannel {
    /// The channel.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Channel for StdoutChannel {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn check(&self, target: &Target) -> Result<(), String> {
        check(target)
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Receipt, ChannelError> {
        let text = render(outgoing);
        let _turn = self.turn.lock().await;
        let mut out = stdout();
        let written = async {
            out.write_all(text.as_bytes()).await?;
            out.flush().await
        };
        match written.await {
            Ok(()) => Ok(Receipt { detail: "written".to_owned() }),
            Err(error) => Err(ChannelError::Retry { detail: format!("stdout: {error}"), retry_after: None }),
        }
    }
}

pub(crate) fn check(target: &Target) -> Result<(), String> {
    match target.url.expose() {
        "stdout:" => Ok(()),
        other => Err(format!("'{}' has something after the colon: write stdout:", domain::redact_url(other))),
    }
}

fn render(outgoing: &Outgoing) -> String {
    let n = &outgoing.notification;
    // That something is corrected or taken back, its title says.
    let mut text = format!("[{} → {}] {}\n", n.watch, n.recipient, plain(&n.title).replace('\n', " "));
    for line in plain(&n.body).lines().filter(|line| !line.is_empty()) {
        text.push_str("    ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use domain::{
        ChainId, Channel as _, DeliveryId, Notification, NotificationId, NotificationState, Outgoing, Target,
        TargetUrl,
    };
    use jiff::Timestamp;
    use serde_json::Value as Json;
    use uuid::Uuid;

    use super::{StdoutChannel, render};

    fn outgoing(title: &str, body: &str) -> Outgoing {
        Outgoing {
            delivery: DeliveryId(Uuid::nil()),
            attempt: 1,
            first: true,
            notification: Notification {
                id: NotificationId(Uuid::nil()),
                recipient: "treasury".parse().unwrap(),
                watch: "usdc-in".parse().unwrap(),
                chain: ChainId(1),
                kind: "erc20_transfer".to_owned(),
                title: title.to_owned(),
                body: body.to_owned(),
                count: 1,
                window: None,
                facts: Json::Null,
                events: vec![],
                finality: "seen".to_owned(),
                state: NotificationState::Active,
                revision: 1,
                corrects: None,
                created_at: Timestamp::UNIX_EPOCH,
            },
            target: Target {
                recipient: "treasury".parse().unwrap(),
                name: "console".parse().unwrap(),
                url: TargetUrl::new("stdout:"),
                secrets: vec![],
                from_file: false,
            },
        }
    }

    #[test]
    fn a_notification_is_a_line_and_its_text_is_indented() {
        let text = render(&outgoing("1 000 USDC came in", "from 0x11\n\nin block 7"));
        assert_eq!(text, "[usdc-in → treasury] 1 000 USDC came in\n    from 0x11\n    in block 7\n");
    }

    #[test]
    fn a_hostile_text_can_neither_move_the_cursor_nor_pose_as_another_notification() {
        let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}\r\n[usdc-in → treasury] all is well\u{200b}";
        let text = render(&outgoing(hostile, hostile));
        assert_eq!(
            text,
            "[usdc-in → treasury] ]0;owned[2J [usdc-in → treasury] all is well\n    ]0;owned[2J\n    \
             [usdc-in → treasury] all is well\n"
        );
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }

    #[test]
    fn only_the_plain_form_of_the_url_is_taken() {
        let mut target = outgoing("", "").target;
        assert_eq!(StdoutChannel::new().check(&target), Ok(()));
        target.url = TargetUrl::new("stdout:secret-word");
        let refused = StdoutChannel::new().check(&target).unwrap_err();
        assert!(refused.contains("stdout:") && !refused.contains("secret-word"), "{refused}");
    }
}
