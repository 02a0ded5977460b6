#![doc = include_str!("../README.md")]

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
