//! The streams and consumers of a deployment on its server. Owns which of them are ours: what chainbell did not make is
//! never changed, and what an operator changed on ours stays as it is.

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream::{
    ErrorCode,
    consumer::{self, AckPolicy, DeliverPolicy, PullConsumer, pull},
    context::{ConsumerInfoErrorKind, CreateStreamErrorKind, GetStreamErrorKind},
    stream::{self, Stream},
};
use domain::BrokerError;

use super::{
    NatsBroker,
    answers::{Answer, said},
    concerns,
};
use crate::{
    Concern, ConsumerConfig,
    streams::{DUPLICATE_WINDOW, STREAMS},
};

/// In the metadata of what chainbell made.
const MARK: (&str, &str) = ("made_by", "chainbell");
/// How many messages a stream keeps at the most. A limit in bytes would reserve that much of the server's disk.
const STREAM_MESSAGES_MAX: i64 = 5_000_000;
/// What is refused because streams are made or deleted at the same time succeeds at one of the next tries.
const TRIES_MAX: u32 = 30;

/// Why a stream or a consumer is not to be had.
enum Problem {
    /// An operator must mend it.
    Refused(String),
    /// The server answered, and may answer otherwise at once.
    Moved(String),
    Failed(String),
}

impl Problem {
    fn failed(error: &impl Answer) -> Self {
        if error.moved() || error.code().is_some() {
            Self::Moved(said(error))
        } else {
            Self::Failed(said(error))
        }
    }
}

fn marked(metadata: &HashMap<String, String>) -> bool {
    metadata.get(MARK.0).is_some_and(|value| value == MARK.1)
}

fn mark() -> HashMap<String, String> {
    HashMap::from([(MARK.0.to_owned(), MARK.1.to_owned())])
}

impl NatsBroker {
    /// Makes the streams that are missing, and says what is odd about those that are there.
    pub(super) async fn ensure_streams(&self) -> Result<Vec<Concern>, BrokerError> {
        let mut concerns = Vec::new();
        for (name, token, age) in STREAMS {
            let config = self.wanted(name, token, age);
            let found = self.again(|| self.ensure_stream(&config)).await;
            concerns
                .extend(found.map_err(|problem| self.refused(&format!("stream {}", config.name), problem))?);
        }
        Ok(concerns)
    }

    fn refused(&self, what: &str, problem: Problem) -> BrokerError {
        match problem {
            Problem::Refused(detail) => {
                BrokerError::Misconfigured { url: self.url().to_owned(), detail: format!("{what}: {detail}") }
            }
            Problem::Moved(detail) | Problem::Failed(detail) => self.down(format!("{what}: {detail}")),
        }
    }

    async fn again<T, F: Future<Output = Result<T, Problem>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, Problem> {
        for _ in 1..TRIES_MAX {
            match attempt().await {
                Err(Problem::Moved(_)) => {}
                ended => return ended,
            }
        }
        attempt().await
    }

    fn wanted(&self, name: &str, token: &str, age: Duration) -> stream::Config {
        stream::Config {
            name: self.stream_name(name),
            subjects: vec![self.subject(&format!("{token}.>"))],
            max_age: age,
            max_messages: STREAM_MESSAGES_MAX,
            duplicate_window: DUPLICATE_WINDOW,
            storage: stream::StorageType::File,
            discard: stream::DiscardPolicy::Old,
            metadata: mark(),
            ..stream::Config::default()
        }
    }

    async fn ensure_stream(&self, wanted: &stream::Config) -> Result<Vec<Concern>, Problem> {
        let context = &self.server.context;
        let found = match context.get_stream(&wanted.name).await {
            Ok(stream) => stream.cached_info().config.clone(),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    return self.create_stream(wanted).await;
                }
                _ => return Err(Problem::failed(&error)),
            },
        };
        if !marked(&found.metadata) {
            if !older(&found, wanted) {
                return Err(Problem::Refused(foreign("stream", &found.name)));
            }
            // An older chainbell made it: it gets the mark, and nothing else is changed.
            let mut metadata = found.metadata.clone();
            metadata.extend(mark());
            let adopted = stream::Config { metadata, ..found.clone() };
            context.update_stream(&adopted).await.map_err(|error| Problem::failed(&error))?;
            tracing::info!(stream = wanted.name, "a stream that an older chainbell made is marked as ours");
        }
        Ok(concerns::of_stream(&found, wanted))
    }

    async fn create_stream(&self, wanted: &stream::Config) -> Result<Vec<Concern>, Problem> {
        let Err(error) = self.server.context.create_stream(wanted.clone()).await else {
            return Ok(Vec::new());
        };
        match error.kind() {
            CreateStreamErrorKind::JetStream(why)
                if why.error_code() == ErrorCode::STREAM_SUBJECT_OVERLAP =>
            {
                let subject = wanted.subjects.join(", ");
                let other = self.server.context.stream_by_subject(subject.as_str()).await;
                let other =
                    other.map_or_else(|_| "another stream".to_owned(), |name| format!("the stream '{name}'"));
                Err(Problem::Refused(format!(
                    "its subjects {subject} belong to {other}: set broker.prefix to a name of this deployment's own"
                )))
            }
            _ => Err(Problem::failed(&error)),
        }
    }

    /// A durable consumer of a stream, made where it is missing.
    pub(super) async fn ensure_consumer(
        &self,
        stream: &str,
        durable: &str,
        config: ConsumerConfig,
    ) -> Result<PullConsumer, BrokerError> {
        let name = self.stream_name(stream);
        let attempt = async || {
            let found = match self.server.context.get_stream(&name).await {
                Ok(found) => found,
                Err(_) => {
                    self.ensure_streams().await.map_err(|error| match error {
                        BrokerError::Misconfigured { detail, .. } => Problem::Refused(detail),
                        BrokerError::Unavailable { detail, .. } | BrokerError::Refused { detail, .. } => {
                            Problem::Failed(detail)
                        }
                    })?;
                    self.server.context.get_stream(&name).await.map_err(|error| Problem::failed(&error))?
                }
            };
            self.consumer_of(&found, durable, config).await
        };
        let opened = self.again(attempt).await;
        opened.map_err(|problem| self.refused(&format!("consumer {durable} of stream {name}"), problem))
    }

    async fn consumer_of(
        &self,
        stream: &Stream,
        durable: &str,
        config: ConsumerConfig,
    ) -> Result<PullConsumer, Problem> {
        let wanted = pull::Config {
            durable_name: Some(durable.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: config.ack_wait,
            max_ack_pending: i64::try_from(config.unacked_max).unwrap_or(i64::MAX),
            // The limit is ours to apply: at the server's there is only an advisory, and that can be lost.
            max_deliver: -1,
            metadata: mark(),
            ..pull::Config::default()
        };
        let found = match stream.consumer_info(durable).await {
            Ok(info) => info.config,
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => {
                // Strictly: where another process makes it at this moment, it is looked at once more.
                let made = stream.create_consumer_strict(wanted).await;
                return made.map_err(|error| Problem::failed(&error));
            }
            Err(error) => return Err(Problem::failed(&error)),
        };
        if !marked(&found.metadata) {
            if !of_an_older_chainbell(&found) {
                return Err(Problem::Refused(foreign("consumer", durable)));
            }
            let updated = stream.update_consumer(wanted).await;
            return updated.map_err(|error| Problem::failed(&error));
        }
        for concern in concerns::of_consumer(&found, durable, config) {
            tracing::warn!("{concern}");
        }
        stream.get_consumer(durable).await.map_err(|error| Problem::Moved(error.to_string()))
    }

    /// What is odd about the consumers that are there.
    pub(super) async fn consumer_concerns(
        &self,
        consumers: &[(&str, &str, ConsumerConfig)],
    ) -> Result<Vec<Concern>, BrokerError> {
        let mut concerns = Vec::new();
        for (stream, durable, config) in consumers {
            let name = self.stream_name(stream);
            let stream =
                self.server.context.get_stream(&name).await.map_err(|error| self.down(said(&error)))?;
            match stream.consumer_info(durable).await {
                Ok(info) if marked(&info.config.metadata) => {
                    concerns.extend(concerns::of_consumer(&info.config, durable, *config));
                }
                Ok(info) if of_an_older_chainbell(&info.config) => {}
                Ok(_) => concerns.push(Concern {
                    works: false,
                    text: format!("consumer {durable} of stream {name}: {}", foreign("consumer", durable)),
                }),
                Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => {}
                Err(error) => return Err(self.down(said(&error))),
            }
        }
        Ok(concerns)
    }
}

fn foreign(what: &str, name: &str) -> String {
    format!(
        "chainbell did not make this {what}, and leaves it alone: set broker.prefix to a name of this deployment's own; if it \
         is chainbell's all the same, put {}={} into the metadata of '{name}'",
        MARK.0, MARK.1
    )
}

// Without the mark, but as every version without it made it again at each start.
fn older(found: &stream::Config, wanted: &stream::Config) -> bool {
    found.subjects == wanted.subjects
        && found.retention == stream::RetentionPolicy::Limits
        && found.max_messages == wanted.max_messages
        && found.duplicate_window == wanted.duplicate_window
        && found.mirror.is_none()
        && found.sources.as_ref().is_none_or(Vec::is_empty)
        && found.subject_transform.is_none()
}

fn of_an_older_chainbell(found: &consumer::Config) -> bool {
    found.deliver_subject.is_none()
        && found.deliver_policy == DeliverPolicy::All
        && found.ack_policy == AckPolicy::Explicit
        && found.max_deliver == -1
        && found.filter_subject.is_empty()
        && found.filter_subjects.is_empty()
        && found.backoff.is_empty()
}
