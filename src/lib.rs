//! `rollctl` rolls a new version of a systemd service over a fleet of hosts, over plain SSH.

pub mod artifact;
pub mod cli;
pub mod core;
pub mod driver;
pub mod health;
pub mod host;
pub mod inventory;
pub mod ledger;
pub mod notify;
pub mod ports;
pub mod programs;
pub mod report;
pub mod ssh;
pub mod traffic;
