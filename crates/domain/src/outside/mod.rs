//! The traits of the outside, each beside its nouns: what the rooms need of a chain, a broker, a timer index, a
//! channel and a clock. Each has one conformance suite that every implementation passes.

mod broker;
mod chain;
mod channel;
mod clock;
mod debouncer;

pub use broker::{AckToken, BrokerError, Consumer, Incoming, Publisher};
pub use chain::{
    AnnouncedLog, BlockReceipts, ChainClient, ChainError, LogFilter, LogQuery, Proof, ProviderStatus,
    Providers, UrlLimits, Wake,
};
pub use channel::{Channel, ChannelError, Outgoing, Receipt};
pub use clock::Clock;
pub use debouncer::{Claim, DebounceError, Debouncer, WindowAdd, WindowKey};
