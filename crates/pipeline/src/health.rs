//! How the rooms fare, for readiness and status. Owns the last fault of each; decides nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The pulses of all rooms of this process.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, State>>>);

#[derive(Debug, Clone, Default)]
enum State {
    #[default]
    Starting,
    Well,
    StandingBy(String),
    Faulty(String),
}

/// One room's pulse.
#[derive(Debug, Clone)]
pub struct Pulse {
    name: String,
    health: Health,
}

impl Health {
    /// Nobody's pulse yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The pulse of a room. It counts as starting until its first beat.
    pub fn pulse(&self, name: impl Into<String>) -> Pulse {
        let name = name.into();
        self.set(&name, State::Starting);
        Pulse { name, health: self.clone() }
    }

    /// Every room that is not well, and why; empty when all are.
    pub fn faults(&self) -> Vec<(String, String)> {
        let rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rooms
            .iter()
            .filter_map(|(name, state)| match state {
                State::Starting => Some((name.clone(), "starting".to_owned())),
                State::Well | State::StandingBy(_) => None,
                State::Faulty(fault) => Some((name.clone(), fault.clone())),
            })
            .collect()
    }

    /// Every room that leaves its work to another process, and to whom.
    pub fn standing_by(&self) -> Vec<(String, String)> {
        let rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rooms
            .iter()
            .filter_map(|(name, state)| match state {
                State::StandingBy(why) => Some((name.clone(), why.clone())),
                _ => None,
            })
            .collect()
    }

    fn set(&self, name: &str, state: State) {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.insert(name.to_owned(), state);
    }
}

impl Pulse {
    /// The room's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The room did what it should.
    pub fn well(&self) {
        self.health.set(&self.name, State::Well);
    }

    /// The room leaves its work to another process: to whom and since when, in one sentence.
    pub fn stands_by(&self, why: &str) {
        self.health.set(&self.name, State::StandingBy(why.to_owned()));
    }

    /// The room could not do what it should, and why, in one sentence without secrets.
    pub fn fault(&self, why: &str) {
        self.health.set(&self.name, State::Faulty(why.to_owned()));
    }
}
