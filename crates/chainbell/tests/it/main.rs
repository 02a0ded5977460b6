//! The binary's own parts: configuration and supervision.

mod config;
mod supervise;
mod typed;
