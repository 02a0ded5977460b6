//! Typed identifiers. Owns their shapes and how the derived ones are computed; must not know who stores them.

use std::{fmt, str::FromStr};

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The namespace of every UUIDv5 that chainbell derives (RFC 9562, section 5.5). It never changes: the ids of
/// stored rows depend on it.
pub const NAMESPACE: Uuid = Uuid::from_u128(0x6b1c_8f3e_52d4_5a0b_9a77_c4a1_be11_0001);

/// A text that cannot be the name it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} '{given}' is not usable: {rule}")]
pub struct BadName {
    what: &'static str,
    given: String,
    rule: &'static str,
}

fn check_name(
    what: &'static str,
    given: &str,
    max: usize,
    allowed: impl Fn(char) -> bool,
    rule: &'static str,
) -> Result<(), BadName> {
    if !given.is_empty() && given.len() <= max && given.chars().all(allowed) {
        return Ok(());
    }
    let given = given.chars().take(64).flat_map(char::escape_default).collect();
    Err(BadName { what, given, rule })
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $allowed:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(given: String) -> Result<Self, BadName> {
                check_name($what, &given, $max, $allowed, $rule)?;
                Ok(Self(given))
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(given: &str) -> Result<Self, BadName> {
                Self::try_from(given.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

// One token of a NATS subject: no dots, no wildcards, no spaces.
fn subject_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn wide(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.:@+".contains(c)
}

name_type!(
    /// The operator's name of a chain, as in `[[chain]] name`.
    ChainName, "chain name", 64, subject_token, "use 1 to 64 letters, digits, '_' or '-'"
);
name_type!(
    /// The operator's name of a contract, as in `[[contract]] name`.
    ContractName, "contract name", 64, subject_token, "use 1 to 64 letters, digits, '_' or '-'"
);
name_type!(
    /// The id of a watch, as in `[[watch]] id`.
    WatchId, "watch id", 128, wide, "use 1 to 128 letters, digits or any of '_-.:@+'"
);
name_type!(
    /// The id of a recipient, as in `[[recipient]] id`.
    RecipientId, "recipient id", 128, wide, "use 1 to 128 letters, digits or any of '_-.:@+'"
);
name_type!(
    /// The name of a target, unique within its recipient.
    TargetName, "target name", 64, subject_token, "use 1 to 64 letters, digits, '_' or '-'"
);

macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(given: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(given).map(Self)
            }
        }
    };
}

uuid_type!(
    /// The physical identity of an event: chain id, block hash and log index.
    EventId
);
uuid_type!(
    /// The identity of an event that survives re-inclusion of its transaction in another block.
    LogicalId
);
uuid_type!(
    /// One event that satisfied one watch.
    HitId
);
uuid_type!(
    /// One notification, whatever its revision.
    NotificationId
);
uuid_type!(
    /// One notification revision on its way to one target.
    DeliveryId
);

/// An EIP-155 chain id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(pub u64);

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn derive(parts: &[&[u8]]) -> Uuid {
    let mut name = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        // Length-prefixed, so that no two lists of parts spell the same bytes.
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part);
    }
    Uuid::new_v5(&NAMESPACE, &name)
}

impl EventId {
    /// Derives the physical identity: the same log in the same block always has the same id.
    pub fn derive(chain: ChainId, block_hash: B256, log_index: u64) -> Self {
        Self(derive(&[b"event", &chain.0.to_be_bytes(), block_hash.as_slice(), &log_index.to_be_bytes()]))
    }
}

impl LogicalId {
    /// Derives the logical identity from the transaction and the content of the log.
    ///
    /// `content` is the keccak-256 of address, topics and data; `repeat` counts the equal logs before this one
    /// in the same transaction. A filtered `eth_getLogs` answer does not show a log's ordinal among all logs
    /// of its transaction, but it shows either every log of equal content or none.
    pub fn derive(chain: ChainId, tx_hash: B256, content: B256, repeat: u64) -> Self {
        Self(derive(&[
            b"logical",
            &chain.0.to_be_bytes(),
            tx_hash.as_slice(),
            content.as_slice(),
            &repeat.to_be_bytes(),
        ]))
    }
}

impl HitId {
    /// Derives the hit's id: one per logical event and watch, which makes matching repeatable.
    pub fn derive(event: LogicalId, watch: &WatchId) -> Self {
        Self(derive(&[b"hit", event.0.as_bytes(), watch.as_str().as_bytes()]))
    }
}

impl NotificationId {
    /// Derives the id from the least of its hits. A hit is part of one notification at most, so the id is unique.
    pub fn derive(least_hit: HitId) -> Self {
        Self(derive(&[b"notification", least_hit.0.as_bytes()]))
    }

    /// Derives the id of a correction of `self`.
    pub fn correction(self, revision: u32) -> Self {
        Self(derive(&[b"correction", self.0.as_bytes(), &revision.to_be_bytes()]))
    }
}

impl DeliveryId {
    /// Derives the id that the receiver sees as `webhook-id`: stable over attempts and restarts.
    pub fn derive(
        notification: NotificationId,
        revision: u32,
        recipient: &RecipientId,
        target: &TargetName,
    ) -> Self {
        Self(derive(&[
            b"delivery",
            notification.0.as_bytes(),
            &revision.to_be_bytes(),
            recipient.as_str().as_bytes(),
            target.as_str().as_bytes(),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_dot_cannot_be_a_subject_token() {
        let error = "a.b".parse::<ContractName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "contract name 'a.b' is not usable: use 1 to 64 letters, digits, '_' or '-'"
        );
    }

    #[test]
    fn event_ids_differ_by_every_part() {
        let id = EventId::derive(ChainId(1), B256::ZERO, 0);
        assert_eq!(id, EventId::derive(ChainId(1), B256::ZERO, 0));
        assert_ne!(id, EventId::derive(ChainId(2), B256::ZERO, 0));
        assert_ne!(id, EventId::derive(ChainId(1), B256::with_last_byte(1), 0));
        assert_ne!(id, EventId::derive(ChainId(1), B256::ZERO, 1));
    }

    #[test]
    fn ids_are_stable_over_releases() {
        // Stored rows depend on this value: a change here is a migration.
        let id = EventId::derive(ChainId(1), B256::repeat_byte(0xab), 7);
        assert_eq!(id.0.get_version_num(), 5);
        assert_eq!(id.to_string(), EventId(id.0).0.hyphenated().to_string());
    }
}
