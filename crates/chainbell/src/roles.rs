//! The roles that one process can take; all of them by default.

use std::str::FromStr;

use domain::suggest;

/// A part of the pipeline that a process can run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads chains.
    Ingest,
    /// Publishes the outbox.
    Relay,
    /// Finds hits.
    Matching,
    /// Closes windows and releases confirmed hits.
    Digest,
    /// Sends notifications.
    Deliver,
    /// Answers HTTP.
    Api,
}

const WORDS: [(&str, Role); 6] = [
    ("ingest", Role::Ingest),
    ("relay", Role::Relay),
    ("matching", Role::Matching),
    ("digest", Role::Digest),
    ("deliver", Role::Deliver),
    ("api", Role::Api),
];

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        WORDS.iter().find(|(known, _)| *known == word).map(|(_, role)| *role).ok_or_else(|| {
            let known: Vec<_> = WORDS.iter().map(|(known, _)| *known).collect();
            format!("there is no role '{word}'; {}", suggest::mend(word, &known, "the roles are"))
        })
    }
}

/// A set of roles.
#[derive(Debug, Clone)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// Every role.
    pub fn all() -> Self {
        Self(WORDS.iter().map(|(_, role)| *role).collect())
    }

    /// These roles; all of them when none is named.
    pub fn of(roles: &[Role]) -> Self {
        if roles.is_empty() { Self::all() } else { Self(roles.to_vec()) }
    }

    /// Whether `role` is among them.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether one of them talks to nodes: ingest for the logs, the others for what a token is called.
    pub fn need_nodes(&self) -> bool {
        [Role::Ingest, Role::Matching, Role::Digest].iter().any(|role| self.has(*role))
    }
}
