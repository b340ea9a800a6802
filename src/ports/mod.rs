//! The traits that the driver needs, with plain data in and out. Adapters hold no policy.

mod artifacts;
mod clock;
mod health;
mod hooks;
mod hosts;
mod ledger;
mod machines;
mod notify;
mod reports;
mod traffic;

pub use artifacts::*;
pub use clock::Clock;
pub use health::{ProbeAnswer, Prober};
pub use hooks::{HookCall, HookRunner};
pub use hosts::*;
pub use ledger::*;
pub use machines::{Machines, ScriptEnd};
pub use notify::{Message, Rolled};
pub use reports::{Progress, Reporter};
pub use traffic::{Drained, Member, Traffic, TrafficError};
