//! What is done on a host over SSH: layout, systemd, the fixed scripts, adoption.
//!
//! [`ServiceHosts`] implements [`crate::ports::Hosts`]. On the host one fixed script (`script/*.sh`) reads requests; every
//! step that changes something is one request, so that it ends in the old or the new state whatever becomes of the
//! connection.

mod adopt;
mod attest;
mod confirm;
mod facts;
mod guard;
mod hosts;
mod lane;
mod layout;
mod machine;
mod machines;
mod over_ssh;
mod payload;
mod preflight;
mod pull;
mod remembered;
mod script;
mod seen;
mod send;
mod shell;
mod side;
mod stage;
mod switch;
mod systemd;
mod upload;

#[cfg(test)]
mod tests;

pub use hosts::ServiceHosts;
pub use machines::FleetMachines;
pub use over_ssh::target;
pub use script::OF_ANOTHER;
pub(crate) use systemd::quoted as systemd_quoted;
