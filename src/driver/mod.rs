//! The loop that turns observations into events, events into decisions and decisions into effects.
//!
//! In every turn: apply what has come in, decide, append all events of the turn, report, spawn. The intent is on disk
//! before a host is touched. Workers and watchers own no state; they send what they saw to the one loop.

mod actions;
mod begin;
mod claim;
mod clock;
mod execute;
mod hooks;
mod job;
mod lease;
mod look;
mod patience;
mod requests;
mod run;
mod side;
mod stop;
mod switching;
mod traffic;
mod watch;
mod watches;
mod write;

#[cfg(test)]
mod away_tests;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod fakes;
#[cfg(test)]
mod going_on_tests;
#[cfg(test)]
mod hooks_tests;
#[cfg(test)]
mod lost_tests;
#[cfg(test)]
mod release_tests;
#[cfg(test)]
mod side_tests;
#[cfg(test)]
mod stop_tests;
#[cfg(test)]
mod traffic_tests;

pub use clock::{SteadyClock, SystemClock};
pub use job::{Adapters, DriverError, Finished, Job, Resumed};
pub use look::{Sights, look, sight};
pub use run::run;
pub use stop::{Stop, signals};
