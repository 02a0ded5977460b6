//! What can be wrong with a watch.

use std::fmt;

use crate::{
    ContractName,
    filter::FilterError,
    grouping::BadGroup,
    suggest::{listed, mend},
};

/// A watch that makes no sense, in one sentence that names the key and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchProblem {
    /// No contract has that name.
    #[error("contract '{contract}' is not configured; {}", mend(contract.as_str(), known, "the contracts are"))]
    UnknownContract {
        /// As the watch names it.
        contract: ContractName,
        /// Every contract's name.
        known: Vec<String>,
    },
    /// The contract has no such event.
    #[error("event '{event}' is none of contract '{contract}'; {}", mend(event, known, "its events are"))]
    UnknownEvent {
        /// The contract.
        contract: ContractName,
        /// As the watch names it.
        event: String,
        /// The events' names, and signatures where a name is overloaded.
        known: Vec<String>,
    },
    /// Logs of the event are not decoded, so that none of them can satisfy a watch.
    #[error(
        "event '{event}' of contract '{contract}' has a parameter of type '{ty}', which is not decoded, so its logs \
         are stored raw and no watch sees them: watch another event"
    )]
    Opaque {
        /// The contract.
        contract: ContractName,
        /// The event.
        event: String,
        /// The type.
        ty: String,
    },
    /// The filter is wrong for the event.
    #[error("where: {error}")]
    Filter {
        /// What is wrong, and where.
        error: FilterError,
    },
    /// The filter is right for some of the events of that name only.
    #[error("{0}")]
    FilterFitsNotAll(Box<FitsNotAll>),
    /// It is to be grouped by what the event does not have.
    #[error("{0}")]
    Group(BadGroup),
}

/// A filter that some of an overloaded event's declarations refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FitsNotAll {
    /// The contract.
    pub contract: ContractName,
    /// As the watch names it.
    pub event: String,
    /// The first event that the filter does not fit.
    pub signature: String,
    /// What is wrong there.
    pub error: FilterError,
    /// The texts that choose one of the events that it fits.
    pub choices: Vec<String>,
}

impl fmt::Display for FitsNotAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contract, event, signature, error, choices } = self;
        let choices: Vec<_> = choices.iter().map(|choice| format!("'{choice}'")).collect();
        let mend = if choices.len() == 1 { "" } else { "one of " };
        let choices = listed(choices.iter().map(String::as_str));
        write!(
            f,
            "where does not fit every '{event}' of contract '{contract}': for {signature}, {error}; \
             set event to {mend}{choices}"
        )
    }
}

impl WatchProblem {
    /// The filter's error, where the filter is what is wrong.
    pub fn filter_error(&self) -> Option<&FilterError> {
        match self {
            Self::Filter { error } => Some(error),
            Self::FilterFitsNotAll(fits) => Some(&fits.error),
            Self::UnknownContract { .. }
            | Self::UnknownEvent { .. }
            | Self::Opaque { .. }
            | Self::Group(_) => None,
        }
    }
}
