#![doc = include_str!("../README.md")]

mod guard;
mod stdout;
mod text;
mod webhook;

use std::{collections::HashMap, sync::Arc};

use domain::{Channel, Clock, Target};

pub use stdout::StdoutChannel;
pub use webhook::{WebhookChannel, WebhookConfig};

/// All channels, by name.
///
/// # Errors
/// One sentence when the HTTP client cannot be made.
pub fn all(
    webhook: WebhookConfig,
    clock: Arc<dyn Clock>,
) -> Result<HashMap<&'static str, Arc<dyn Channel>>, String> {
    let stdout: Arc<dyn Channel> = Arc::new(StdoutChannel::new());
    let webhook: Arc<dyn Channel> = Arc::new(WebhookChannel::new(webhook, clock)?);
    Ok([stdout, webhook].into_iter().map(|channel| (channel.name(), channel)).collect())
}

/// Whether a target is usable, without calling it and without a client.
///
/// # Errors
/// One sentence that names the fault and the mend.
pub fn check(webhook: &WebhookConfig, target: &Target) -> Result<(), String> {
    match target.url.channel() {
        "stdout" => stdout::check(target),
        "webhook" => webhook::check(webhook, target),
        other => Err(format!("there is no channel for '{other}:'; the channels are: stdout, webhook")),
    }
}
