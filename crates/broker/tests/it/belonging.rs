//! Whose a stream is: what chainbell did not make is never changed, and what an operator changed on ours stays.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_nats::jetstream::{self, consumer::pull, stream};
use broker::{Broker, Concern, ConsumerConfig};
use domain::{BrokerError, Message, message::STREAM_NOTIFY};
use testkit::clock::RealClock;

use crate::world::{PATIENT, drain, message};

/// JetStream as an operator speaks to it, and a prefix of the test's own.
struct Operator {
    url: String,
    prefix: String,
    jetstream: jetstream::Context,
}

impl Operator {
    async fn new() -> anyhow::Result<Self> {
        let url = testkit::deployment::server("CHAINBELL_TEST_NATS")?;
        let client = async_nats::connect(&url).await?;
        let prefix = format!("b{}", uuid::Uuid::new_v4().simple());
        Ok(Self { url, prefix, jetstream: jetstream::new(client) })
    }

    async fn broker(&self) -> Result<Broker, BrokerError> {
        Broker::open(&self.url, &self.prefix, Arc::new(RealClock)).await
    }

    fn name(&self, stream: &str) -> String {
        format!("{}{stream}", self.prefix)
    }

    fn subject(&self, subject: &str) -> String {
        format!("{}.{subject}", self.prefix)
    }

    async fn config(&self, stream: &str) -> anyhow::Result<stream::Config> {
        Ok(self.jetstream.get_stream(self.name(stream)).await?.cached_info().config.clone())
    }

    async fn create(&self, stream: &str, subject: &str) -> anyhow::Result<stream::Config> {
        let config = stream::Config {
            name: self.name(stream),
            subjects: vec![self.subject(subject)],
            ..stream::Config::default()
        };
        self.jetstream.create_stream(config).await?;
        self.config(stream).await
    }

    /// Changes one of the deployment's streams.
    async fn change(
        &self,
        stream: &str,
        change: impl FnOnce(&mut stream::Config),
    ) -> anyhow::Result<stream::Config> {
        let mut config = self.config(stream).await?;
        change(&mut config);
        self.jetstream.update_stream(&config).await?;
        self.config(stream).await
    }

    async fn concerns(&self) -> anyhow::Result<Vec<Concern>> {
        Ok(self.broker().await?.concerns(&[(STREAM_NOTIFY, "deliver", PATIENT)]).await?)
    }

    async fn end(self) -> anyhow::Result<()> {
        for stream in ["CHAIN", "NOTIFY", "DEAD", "OTHER"] {
            let _ = self.jetstream.delete_stream(self.name(stream)).await;
        }
        Ok(())
    }
}

fn says(error: &BrokerError, parts: &[&str]) {
    let sentence = error.to_string();
    assert!(matches!(error, BrokerError::Misconfigured { .. }), "{error:?}");
    assert!(parts.iter().all(|part| sentence.contains(part)), "{parts:?}: {sentence}");
    assert!(!sentence.contains("-js"), "{sentence}");
}

#[tokio::test]
async fn a_stream_of_our_name_that_another_made_is_refused_and_stays_as_it_is() -> anyhow::Result<()> {
    let operator = Operator::new().await?;
    let before = operator.create("CHAIN", "orders.>").await?;
    operator.jetstream.publish(operator.subject("orders.1"), "an order".into()).await?.await?;
    let error = operator.broker().await.expect_err("it is another's");
    says(&error, &["stream", "CHAIN", "did not make this stream", "broker.prefix"]);
    assert_eq!(operator.config("CHAIN").await?, before);
    let mut stream = operator.jetstream.get_stream(operator.name("CHAIN")).await?;
    assert_eq!(stream.info().await?.state.messages, 1);
    operator.end().await
}

#[tokio::test]
async fn subjects_that_belong_to_another_stream_are_said_once_with_its_name() -> anyhow::Result<()> {
    let operator = Operator::new().await?;
    operator.create("OTHER", "notification.send.*").await?;
    let error = operator.broker().await.expect_err("its subjects overlap");
    let other = operator.name("OTHER");
    says(&error, &["notification.>", &format!("'{other}'"), "broker.prefix"]);
    assert_eq!(
        error.to_string().matches("overlap").count() + error.to_string().matches("belong").count(),
        1,
        "{error}"
    );
    operator.end().await
}

#[tokio::test]
async fn what_an_operator_changed_on_our_streams_stays_as_it_is() -> anyhow::Result<()> {
    let operator = Operator::new().await?;
    let broker = operator.broker().await?;
    let consumer = broker.consumer(STREAM_NOTIFY, "deliver", PATIENT).await?;
    let changed = operator
        .change("NOTIFY", |config| {
            config.max_age = Duration::from_secs(3 * 24 * 3600);
            config.max_bytes = 1 << 30;
            config.max_messages = 77_777;
            config.description = Some("of the operator".to_owned());
            config.subjects.push(operator.subject("extra"));
            config.duplicate_window = Duration::from_secs(60);
        })
        .await?;
    assert_eq!(operator.concerns().await?, [], "all of that works");
    assert_eq!(operator.config("NOTIFY").await?, changed);
    broker.publisher().publish(vec![message("one")]).await.remove(0)?;
    assert_eq!(drain(&*consumer, 1).await?, [message("one")]);
    operator.end().await
}

#[tokio::test]
async fn what_cannot_work_on_our_streams_is_said_with_the_mend() -> anyhow::Result<()> {
    type Change = fn(&mut stream::Config);
    let changes: [(Change, bool, &str); 8] = [
        (|config| config.max_messages = 10, true, "keeps little (10 messages)"),
        (
            |config| {
                config.max_bytes = 1 << 20;
                config.discard = stream::DiscardPolicy::New;
            },
            true,
            "publishing stands still",
        ),
        (|config| config.discard = stream::DiscardPolicy::New, true, "discard 'new'"),
        (|config| config.max_age = Duration::from_secs(300), true, "300 s"),
        (|config| config.max_message_size = 1_000, true, "over 1000 bytes"),
        (|config| config.no_ack = true, false, "turn no_ack off"),
        (
            |config| config.subjects = vec![format!("{}.other", config.name)],
            false,
            "add that to its subjects",
        ),
        (|config| config.sealed = true, false, "it is sealed"),
    ];
    for (change, works, part) in changes {
        let operator = Operator::new().await?;
        operator.broker().await?;
        let changed = operator.change("NOTIFY", change).await?;
        let concerns = operator.concerns().await?;
        assert!(concerns.len() == 1 && concerns[0].works == works, "{part}: {concerns:?}");
        assert!(
            concerns[0].text.contains(part) && concerns[0].text.contains("NOTIFY"),
            "{part}: {concerns:?}"
        );
        assert_eq!(operator.config("NOTIFY").await?, changed, "{part}");
        operator.end().await?;
    }
    Ok(())
}

// Retention cannot be changed on a stream, but a stream can be made with another one, with our mark.
#[tokio::test]
async fn another_retention_with_our_mark_stays_and_is_warned_of() -> anyhow::Result<()> {
    for (retention, part) in
        [(stream::RetentionPolicy::WorkQueue, "workqueue"), (stream::RetentionPolicy::Interest, "interest")]
    {
        let operator = Operator::new().await?;
        operator.broker().await?;
        let mut config = operator.config("NOTIFY").await?;
        operator.jetstream.delete_stream(operator.name("NOTIFY")).await?;
        config.retention = retention;
        operator.jetstream.create_stream(config.clone()).await?;
        let concerns = operator.concerns().await?;
        assert!(concerns.len() == 1 && concerns[0].works && concerns[0].text.contains(part), "{concerns:?}");
        assert_eq!(operator.config("NOTIFY").await?.retention, retention);
        let broker = operator.broker().await?;
        let consumer = broker.consumer(STREAM_NOTIFY, "deliver", PATIENT).await?;
        broker.publisher().publish(vec![message("one")]).await.remove(0)?;
        assert_eq!(drain(&*consumer, 1).await?, [message("one")]);
        operator.end().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_streams_and_consumers_of_an_older_chainbell_are_taken_over_with_what_is_in_them()
-> anyhow::Result<()> {
    let operator = Operator::new().await?;
    // As the versions before the mark made them.
    for (stream, token, days) in [("CHAIN", "chain", 7), ("NOTIFY", "notification", 2), ("DEAD", "dead", 30)]
    {
        let config = stream::Config {
            name: operator.name(stream),
            subjects: vec![operator.subject(&format!("{token}.>"))],
            max_age: Duration::from_secs(days * 24 * 3600),
            max_messages: 5_000_000,
            duplicate_window: Duration::from_secs(120),
            ..stream::Config::default()
        };
        operator.jetstream.create_stream(config).await?;
    }
    let old = pull::Config {
        durable_name: Some("deliver".to_owned()),
        ack_policy: jetstream::consumer::AckPolicy::Explicit,
        ack_wait: Duration::from_secs(60),
        max_ack_pending: 5_000,
        max_deliver: -1,
        ..pull::Config::default()
    };
    operator.jetstream.get_stream(operator.name("NOTIFY")).await?.create_consumer(old).await?;
    let Message { payload, .. } = message("one");
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", "one");
    let subject = operator.subject("notification.send.webhook");
    operator.jetstream.publish_with_headers(subject, headers, payload.into()).await?.await?;

    let broker = operator.broker().await?;
    let consumer = broker.consumer(STREAM_NOTIFY, "deliver", PATIENT).await?;
    assert_eq!(drain(&*consumer, 1).await?, [message("one")]);
    let mark = HashMap::from([("made_by".to_owned(), "chainbell".to_owned())]);
    for stream in ["CHAIN", "NOTIFY", "DEAD"] {
        let metadata = operator.config(stream).await?.metadata;
        assert!(mark.iter().all(|(key, value)| metadata.get(key) == Some(value)), "{stream}: {metadata:?}");
    }
    assert_eq!(operator.concerns().await?, []);
    operator.end().await
}

#[tokio::test]
async fn a_consumer_of_our_name_that_another_made_is_refused_and_stays_as_it_is() -> anyhow::Result<()> {
    let operator = Operator::new().await?;
    let broker = operator.broker().await?;
    let stream = operator.jetstream.get_stream(operator.name("NOTIFY")).await?;
    let theirs = pull::Config {
        durable_name: Some("deliver".to_owned()),
        ack_policy: jetstream::consumer::AckPolicy::Explicit,
        filter_subject: operator.subject("notification.send.webhook"),
        max_deliver: 3,
        ..pull::Config::default()
    };
    stream.create_consumer(theirs).await?;
    let before = stream.consumer_info("deliver").await?.config;
    let error = broker.consumer(STREAM_NOTIFY, "deliver", PATIENT).await.expect_err("it is another's");
    says(&error, &["consumer deliver", "did not make this consumer", "broker.prefix"]);
    assert_eq!(stream.consumer_info("deliver").await?.config, before);
    let concerns = operator.concerns().await?;
    assert!(
        concerns.len() == 1 && !concerns[0].works && concerns[0].text.contains("did not make"),
        "{concerns:?}"
    );
    operator.end().await
}

#[tokio::test]
async fn what_an_operator_changed_on_our_consumer_stays_and_is_warned_of_where_it_matters()
-> anyhow::Result<()> {
    let operator = Operator::new().await?;
    let broker = operator.broker().await?;
    broker.consumer(STREAM_NOTIFY, "deliver", ConsumerConfig::default()).await?;
    let stream = operator.jetstream.get_stream(operator.name("NOTIFY")).await?;
    let mut config = stream.consumer_info("deliver").await?.config;
    (config.max_ack_pending, config.max_deliver, config.ack_wait) = (77, 2, Duration::from_secs(5));
    let update = pull::Config {
        durable_name: config.durable_name.clone(),
        ack_policy: config.ack_policy,
        max_ack_pending: config.max_ack_pending,
        max_deliver: config.max_deliver,
        ack_wait: config.ack_wait,
        metadata: config.metadata.clone(),
        ..pull::Config::default()
    };
    stream.update_consumer(update).await?;
    operator.broker().await?.consumer(STREAM_NOTIFY, "deliver", ConsumerConfig::default()).await?;
    let kept = stream.consumer_info("deliver").await?.config;
    assert_eq!((kept.max_ack_pending, kept.max_deliver, kept.ack_wait), (77, 2, Duration::from_secs(5)));
    let concerns = operator.concerns().await?;
    assert!(concerns.iter().any(|concern| concern.text.contains("max_deliver to -1")), "{concerns:?}");
    assert!(concerns.iter().any(|concern| concern.text.contains("ack_wait of 5 s")), "{concerns:?}");
    operator.end().await
}
