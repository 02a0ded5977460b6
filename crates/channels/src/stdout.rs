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
        match target.url.expose() {
            "stdout:" => Ok(()),
            other => {
                Err(format!("'{}' has something after the colon: write stdout:", domain::redact_url(other)))
            }
        }
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

fn render(outgoing: &Outgoing) -> String {
    let n = &outgoing.notification;
    let mut text = match outgoing.kind() {
        "notification.corrected" => "CORRECTED ".to_owned(),
        "notification.retracted" => "RETRACTED ".to_owned(),
        _ => String::new(),
    };
    text.push_str(&format!("[{} → {}] {}\n", n.watch, n.recipient, plain(&n.title).replace('\n', " ")));
    for line in plain(&n.body).lines().filter(|line| !line.is_empty()) {
        text.push_str("    ");
        text.push_str(line);
        text.push('\n');
    }
    text
}
