//! Builders, scripted node, test world; for tests only.

pub mod anvil;
pub mod scripted_node;
