//! The pure rules, each against its law.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests say what they expect by unwrapping it")]

// The name that every other crate gives it.
extern crate domain as domain;

mod accounts;
mod addresses;
mod canonical;
mod catalog;
mod confirmation;
mod events;
mod filter_errors;
mod filter_law;
mod filter_values;
mod fold;
mod grouping;
mod local_times;
mod matching;
mod matching_law;
mod retry;
mod spam;
mod supply;
mod timing;
mod window;
