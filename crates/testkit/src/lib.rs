//! Builders, scripted node, test world; for tests only.

pub mod anvil;
pub mod clock;
pub mod deployment;
pub mod process;
pub mod receiver;
pub mod scripted_node;
pub mod wait;
