//! What about a transfer looks like spam, and what a watch does with it. Owns the rules, which are functions of the event,
//! of the addresses that are known and of the token's own words; must not know where any of these are kept.
//!
//! Three tricks are known here. A transfer of nothing can be made in anybody's name, and puts an address into a history. An
//! address that begins and ends like a known one is there to be copied by mistake. A token's name can be an advertisement,
//! or the name of another token.

mod names;

use std::{collections::BTreeSet, fmt};

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

pub use names::{hides, is_hostile};

use crate::{
    Event, Schedule, Standard, Strategy, Telling, Transfer, Value, Watch, WindowRule,
    filter::{CoverPlace, Filter},
};

/// The key of the group in which a watch gathers what looks like spam. No key that is made of values has a `!`.
pub const SPAM_GROUP: &str = "!spam";

/// When a day's spam is told, by the recipient's clocks.
const DAILY: &str = "0 9 * * *";

/// How many known counterparties a watch has at most: one for each slot.
pub const SLOTS: u32 = 4096;

/// Why a hit looks like spam.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Suspicion {
    /// It transfers nothing (ERC-20): no consent of the one in whose name it is was needed.
    ZeroValue,
    /// A counterparty begins and ends like a known address, and is another.
    LookAlike,
    /// The token's name or symbol is a lure, hides something, or is made to look like another token's.
    HostileToken,
}

impl Suspicion {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::ZeroValue, Self::LookAlike, Self::HostileToken];

    /// The word in the store and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ZeroValue => "zero_value",
            Self::LookAlike => "look_alike",
            Self::HostileToken => "hostile_token",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suspicion| suspicion.as_str() == word)
    }

    /// For a sentence about one transfer: "it looks like spam: ".
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::ZeroValue => "it transfers nothing",
            Self::LookAlike => "a counterparty's address begins and ends like a known one",
            Self::HostileToken => "the token's name is a lure, or made to look like another's",
        }
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a watch does with what looks like spam.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spam {
    /// Tells it once a day, with the reasons.
    #[default]
    Gather,
    /// Tells it as anything else; nobody looks.
    Tell,
    /// Does not tell it.
    Drop,
}

impl Spam {
    /// The words.
    pub const WORDS: [&str; 3] = ["gather", "tell", "drop"];

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "gather" => Some(Self::Gather),
            "tell" => Some(Self::Tell),
            "drop" => Some(Self::Drop),
            _ => None,
        }
    }
}

/// What a token says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'a> {
    /// `name()`.
    pub name: Option<&'a str>,
    /// `symbol()`.
    pub symbol: Option<&'a str>,
    /// Whether one of them had characters that no reader sees, before they were removed.
    pub hides: bool,
}

/// The first four and the last four hex digits of an address: as much of it as people compare.
pub fn likeness(address: Address) -> u32 {
    let [a, b, .., y, z] = address.into_array();
    u32::from_be_bytes([a, b, y, z])
}

/// Whether two addresses look alike and differ. Nothing looks like the zero address, which nobody is.
pub fn look_alike(one: Address, other: Address) -> bool {
    one != other && !one.is_zero() && !other.is_zero() && likeness(one) == likeness(other)
}

/// Where a known counterparty is kept, of [`SLOTS`]. Addresses that look alike have the same.
pub fn slot(address: Address) -> u32 {
    // Addresses of a vanity have their zeros in front.
    likeness(address).wrapping_mul(0x9e37_79b1) >> 20
}

/// The ends of a transfer of this standard that a filter names: of which every match has one.
pub fn named(filter: &Filter, standard: Standard) -> BTreeSet<Address> {
    // ERC-1155 puts the operator before the ends.
    let from = u32::from(standard == Standard::Erc1155);
    let ends = from..=from + 1;
    let keys = filter.cover().unwrap_or_default().into_iter();
    keys.filter(|key| matches!(key.place, CoverPlace::Param(position) if ends.contains(&position)))
        .filter_map(|key| match key.value {
            Value::Address(address) if !address.is_zero() => Some(address),
            _ => None,
        })
        .collect()
}

/// The ends of these transfers that are not named; none where nothing is, since then nobody's counterparty is meant.
pub fn counterparties(transfers: &[Transfer], named: &BTreeSet<Address>) -> BTreeSet<Address> {
    if named.is_empty() {
        return BTreeSet::new();
    }
    let ends = transfers.iter().flat_map(|transfer| [transfer.from, transfer.to]);
    ends.filter(|end| !end.is_zero() && !named.contains(end)).collect()
}

/// Why transfers of one event look like spam, if they do: the most telling reason. `known` are those counterparties of
/// before that have the slots of this event's.
pub fn suspicion(
    event: &Event,
    transfers: &[Transfer],
    named: &BTreeSet<Address>,
    known: &BTreeSet<Address>,
    said: Said<'_>,
) -> Option<Suspicion> {
    let standard = Standard::of(event)?;
    let is_like = |party: &Address| named.iter().chain(known).any(|one| look_alike(*one, *party));
    if counterparties(transfers, named).iter().any(is_like) {
        return Some(Suspicion::LookAlike);
    }
    if said.hides || [said.name, said.symbol].into_iter().flatten().any(is_hostile) {
        return Some(Suspicion::HostileToken);
    }
    let moves_nothing = standard == Standard::Erc20 && transfers.iter().any(|one| one.amount.is_zero());
    moves_nothing.then_some(Suspicion::ZeroValue)
}

/// Whether whoever takes part in these transfers is a counterparty to be known: something was transferred.
pub fn introduces(transfers: &[Transfer]) -> bool {
    transfers.iter().any(|transfer| !transfer.amount.is_zero())
}

/// The same watch as it tells what looks like spam: once a day, nothing at once, and not in quiet hours.
#[must_use]
pub fn gathering(watch: &Watch) -> Watch {
    let schedule: Option<Schedule> = DAILY.parse().ok();
    let rule = WindowRule { slide: false, ..WindowRule::NOW };
    Watch {
        strategy: Strategy::Digest(rule),
        telling: Telling { schedule, spam: watch.telling.spam, ..Telling::default() },
        ..watch.clone()
    }
}
