//! The nouns of chainbell, their states and identities, the pure rules, and the traits of the outside.
//!
//! Owns what every other crate must agree on. It must know no technology: no async run time, no clock, no IO,
//! no SQL, no wire client. A rule here is a function of its arguments, so that a reorg, a match or a window
//! can be tested without a server.
//!
//! Words: an *event* is a decoded log, a *message* travels on the broker, a *topic* is an EVM topic, a
//! *watch* is a person's standing interest, a *hit* is one event that satisfied one watch, a *channel* is a
//! delivery medium and a *target* a recipient's address on one.

pub mod account;
pub mod address;
pub mod block;
pub mod bound;
pub mod budget;
pub mod canonical;
pub mod children;
pub mod confirmation;
pub mod contract;
pub mod crash;
pub mod event;
pub mod filter;
pub mod fold;
pub mod grouping;
pub mod hit;
pub mod ids;
pub mod local;
pub mod matching;
pub mod message;
pub mod notification;
pub mod outside;
pub mod quiet;
pub mod recipient;
pub mod redact;
pub mod retry;
pub mod schedule;
pub mod schema;
pub mod spam;
pub mod suggest;
pub mod supply;
pub mod timing;
pub mod transfer;
pub mod value;
pub mod watch;
pub mod window;

pub use address::{BadAddress, parse_address};
pub use block::{BlockRef, Header, Heads};
pub use bound::{Bound, Learned};
pub use budget::Budget;
pub use children::{Children, FactoryRule};
pub use contract::{Catalog, Contract, StartBlock};
pub use event::{Content, Event, Finality, Origin, RawLog};
pub use hit::{Hit, HitState};
pub use ids::{
    ChainId, ChainName, ContractName, DeliveryId, EventId, HitId, LogicalId, NotificationId, RecipientId,
    TargetName, WatchId,
};
pub use message::{CloudEvent, Message};
pub use notification::{Delivery, DeliveryState, Notification, NotificationState};
pub use outside::{
    AckToken, AnnouncedLog, BlockReceipts, BrokerError, ChainClient, ChainError, Channel, ChannelError,
    Claim, Clock, Consumer, DebounceError, Debouncer, Incoming, LogFilter, LogQuery, Outgoing, Proof,
    ProviderStatus, Providers, Publisher, Receipt, UrlLimits, Wake, WindowAdd, WindowKey,
};
pub use quiet::QuietHours;
pub use recipient::{Recipient, Target, TargetUrl};
pub use redact::redact_url;
pub use schedule::Schedule;
pub use schema::{EventParam, EventSchema, Field, ParamType};
pub use spam::{Spam, Suspicion};
pub use timing::Held;
pub use transfer::{Standard, Transfer, transfers};
pub use value::{Fields, Value};
pub use watch::{DeliverAt, Strategy, Telling, Watch};
pub use window::WindowRule;
