//! What an operator should know about streams and consumers of ours that were changed. Owns the sentences; changes nothing.

use std::time::Duration;

use async_nats::jetstream::{
    consumer::{self, AckPolicy},
    stream::{self, DiscardPolicy, RetentionPolicy},
};

use crate::{Concern, ConsumerConfig};

/// Below these limits a stream may lose what waits in it during a short stop, or refuse a message that is large.
const MESSAGES_MIN: i64 = 10_000;
const BYTES_MIN: i64 = 16 << 20;
const MESSAGE_BYTES_MIN: i32 = 1 << 20;
const AGE_MIN: Duration = Duration::from_secs(3_600);

/// What is odd about a stream of ours.
pub(super) fn of_stream(found: &stream::Config, wanted: &stream::Config) -> Vec<Concern> {
    let mut concerns = Vec::new();
    let mut say = |works: bool, detail: &str| {
        concerns.push(Concern { works, text: format!("stream {}: {detail}", found.name) });
    };
    for subject in wanted.subjects.iter().filter(|subject| !found.subjects.contains(subject)) {
        say(false, &format!("it does not take {subject}: add that to its subjects"));
    }
    if found.sealed {
        say(false, "it is sealed and takes no message any more: delete it, and chainbell makes it anew");
        return concerns;
    }
    if found.mirror.is_some() {
        say(
            false,
            "it mirrors another stream and takes no message of ours: delete it, and chainbell makes it anew",
        );
    }
    if found.no_ack {
        say(false, "it acknowledges nothing (no_ack), so that nothing counts as published: turn no_ack off");
    }
    if found.subject_transform.is_some() {
        say(false, "it changes the subjects of messages: remove its subject transform");
    }
    match found.retention {
        RetentionPolicy::Limits => {}
        RetentionPolicy::WorkQueue => {
            say(
                true,
                "retention 'workqueue' lets one consumer read it: no other service can read it beside chainbell",
            );
        }
        RetentionPolicy::Interest => {
            say(
                true,
                "retention 'interest' drops what comes while no consumer is there: chainbell's sweep brings it, later",
            );
        }
    }
    let small = smallness(found);
    if !small.is_empty() {
        let full = match found.discard {
            DiscardPolicy::Old => "drops messages before they are read; the sweep brings them, later",
            DiscardPolicy::New => {
                "refuses messages (discard 'new'), and publishing stands still until there is room"
            }
        };
        say(true, &format!("it keeps little ({}): when that is used up, it {full}", small.join(", ")));
    } else if found.discard == DiscardPolicy::New {
        say(
            true,
            "discard 'new' refuses messages when it is full, and publishing stands still until there is room",
        );
    }
    if found.max_message_size > 0 && found.max_message_size < MESSAGE_BYTES_MIN {
        say(true, &format!("it refuses messages over {} bytes: raise max_msg_size", found.max_message_size));
    }
    concerns
}

fn smallness(found: &stream::Config) -> Vec<String> {
    let mut small = Vec::new();
    if (1..MESSAGES_MIN).contains(&found.max_messages) {
        small.push(format!("{} messages", found.max_messages));
    }
    if (1..BYTES_MIN).contains(&found.max_bytes) {
        small.push(format!("{} bytes", found.max_bytes));
    }
    if found.max_messages_per_subject > 0 && found.max_messages_per_subject < MESSAGES_MIN {
        small.push(format!("{} messages of each subject", found.max_messages_per_subject));
    }
    if !found.max_age.is_zero() && found.max_age < AGE_MIN {
        small.push(format!("{} s", found.max_age.as_secs()));
    }
    small
}

/// What is odd about a consumer of ours.
pub(super) fn of_consumer(found: &consumer::Config, durable: &str, wanted: ConsumerConfig) -> Vec<Concern> {
    let mut concerns = Vec::new();
    let mut say = |works: bool, detail: &str| {
        concerns.push(Concern { works, text: format!("consumer {durable}: {detail}") });
    };
    if found.deliver_subject.is_some() {
        say(false, "it pushes, and chainbell pulls: delete it, and chainbell makes it anew");
    }
    if found.ack_policy != AckPolicy::Explicit {
        say(false, "its messages are not acknowledged one by one: delete it, and chainbell makes it anew");
    }
    if !found.filter_subject.is_empty() || !found.filter_subjects.is_empty() {
        say(false, "its filter hides messages, which the sweep brings, later: remove the filter");
    }
    if found.headers_only {
        say(false, "it has messages without their content (headers_only): turn that off");
    }
    if found.pause_until.is_some() {
        say(true, "it may be paused: nothing comes until then but by the sweep");
    }
    if found.max_deliver > 0 && found.max_deliver < i64::from(wanted.deliveries_max) {
        say(
            true,
            &format!(
                "after {} deliveries a message is gone without a word: set max_deliver to -1",
                found.max_deliver
            ),
        );
    }
    if found.ack_wait < wanted.ack_wait / 2 {
        let (seconds, ours) = (found.ack_wait.as_secs(), wanted.ack_wait.as_secs());
        say(
            true,
            &format!("an ack_wait of {seconds} s is short: messages come twice; chainbell wants {ours} s"),
        );
    }
    concerns
}
