#![doc = include_str!("../README.md")]

pub mod anvil;
pub mod certificates;
pub mod clock;
pub mod deployment;
pub mod disk;
pub mod faulty_way;
pub mod fixture_node;
pub mod forks;
mod loopback;
pub mod meddled;
pub mod postgres;
pub mod process;
pub mod receiver;
pub mod scripted_node;
pub mod servers;
pub mod wait;
pub mod wire;
