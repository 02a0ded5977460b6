//! One file per command.

pub mod abi;
pub mod audit;
pub mod audit_hits;
pub mod chaos;
pub mod config;
pub mod dead_letters;
pub mod decode;
pub mod doctor;
pub mod dry_run;
pub mod events;
pub mod explain;
pub mod ledger;
pub mod migrate;
pub mod notifications;
mod reading;
pub mod recipient;
pub mod recover;
pub mod replay;
pub mod run;
pub mod set_aside;
pub mod status;
pub mod target;
pub mod token;
mod until;
pub mod watch;
mod watch_show;
