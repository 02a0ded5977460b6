//! Webhooks against real endpoints, good and bad.

mod endpoints;
mod guarded;
mod limits;
mod webhook;
mod world;
