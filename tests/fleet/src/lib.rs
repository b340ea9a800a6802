//! Real hosts for tests: each one a systemd-nspawn container with its own PID 1 systemd, sshd, host key and address, on a bridge of this
//! machine; and a [`Prober`] that watches a service on them from outside and knows nothing of rollctl.
//!
//! ```no_run
//! # fn main() -> Result<(), rollctl_fleet::FleetError> {
//! use rollctl_fleet::{Base, Fleet, FleetOptions};
//!
//! if rollctl_fleet::skip() {
//!     return Ok(());
//! }
//! let fleet = Fleet::boot(FleetOptions::hosts(3, Base::Full).prefix("web"))?;
//! assert_eq!(fleet.host(0).sh("hostname")?, "web-01");
//! # Ok(())
//! # }
//! ```
//!
//! Needs root, systemd-nspawn, debootstrap and cgroup v2; [`Fleet::unavailable`] says what is missing. Everything a fleet made is gone
//! when it is dropped, and also when the test process dies.

mod accounts;
mod base;
mod command;
mod faults;
mod fleet;
mod host;
mod keys;
mod nspawn;
mod prober;
mod record;
mod slot;

pub use accounts::restricted_sudoers;
pub use base::Base;
pub use command::{FleetError, Output};
pub use fleet::{Fleet, FleetOptions, skip};
pub use host::Host;
pub use prober::{Prober, Target};
pub use record::{Answer, Availability, Record};
