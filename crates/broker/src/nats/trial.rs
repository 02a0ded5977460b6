//! The trial that `doctor` asks for: what the rooms will do, once, on a stream of its own that is removed after.

use std::time::Duration;

use async_nats::jetstream::{
    consumer::{AckPolicy, pull},
    stream::{self, StorageType},
};
use domain::BrokerError;
use futures::StreamExt as _;
use tokio::time::timeout;
use uuid::Uuid;

use super::{ACK_TIMEOUT, NatsBroker, answers::said};

/// As large as a message is now and then, so that a server with a little room left is found, too.
const PAYLOAD_BYTES: usize = 256 << 10;
/// A server takes the message that exceeds its limit, and refuses the next one.
const PUBLISHED: u32 = 2;
/// The server removes the stream's content by itself, should this process end before it does.
const KEPT: Duration = Duration::from_secs(120);

impl NatsBroker {
    pub(crate) async fn try_out(&self) -> Result<(), BrokerError> {
        let id = Uuid::new_v4().simple().to_string();
        let name = self.stream_name(&format!("DOCTOR_{id}"));
        let tried = self.tried(&name, &self.subject(&format!("doctor.{id}"))).await;
        // Where it was not made, there is nothing to remove.
        let _ = self.server.context.delete_stream(&name).await;
        tried.map_err(|detail| self.down(format!("a trial fails: {detail}")))
    }

    async fn tried(&self, name: &str, subject: &str) -> Result<(), String> {
        let config = stream::Config {
            name: name.to_owned(),
            subjects: vec![subject.to_owned()],
            max_age: KEPT,
            storage: StorageType::File,
            duplicate_window: KEPT,
            ..stream::Config::default()
        };
        let context = &self.server.context;
        let stream =
            context.create_stream(config).await.map_err(|error| format!("no stream: {}", said(&error)))?;
        let config = pull::Config {
            durable_name: Some("doctor".to_owned()),
            ack_policy: AckPolicy::Explicit,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer_strict(config).await;
        let consumer = consumer.map_err(|error| format!("no consumer: {}", said(&error)))?;
        for _ in 0..PUBLISHED {
            let published = context.publish(subject.to_owned(), vec![b'.'; PAYLOAD_BYTES].into()).await;
            let acknowledged = match published {
                Ok(acknowledged) => acknowledged.await,
                Err(error) => Err(error),
            };
            acknowledged.map_err(|error| format!("a message is not taken: {}", said(&error)))?;
        }
        let batch = consumer.fetch().max_messages(1).expires(ACK_TIMEOUT).messages().await;
        let mut batch = batch.map_err(|error| format!("no message comes: {error}"))?;
        match timeout(ACK_TIMEOUT * 2, batch.next()).await {
            Ok(Some(Ok(message))) => message
                .double_ack()
                .await
                .map_err(|error| format!("an acknowledgement is not taken: {error}")),
            Ok(Some(Err(error))) => Err(format!("no message comes: {error}")),
            Ok(None) | Err(_) => Err("no message comes: it may not be read by this login".to_owned()),
        }
    }
}
