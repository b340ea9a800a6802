//! The lab: an embedded fleet for people who have no hosts at hand.
//!
//! [`Lab::boot`] starts N hosts on this machine, without root, containers or network. Each host is a process with an SSH
//! server on an address of its own in 127.0.0.0/8, a home folder, a host key, and commands `systemctl`, `systemd-run`,
//! `journalctl` and `loginctl`, first in `PATH`, that supervise real processes and answer as systemd 252 does. Everything
//! else on a host is this machine's own.
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     rollctl_lab::dispatch();
//!     let lab = rollctl_lab::Lab::boot(&rollctl_lab::LabOptions { hosts: 10, ..Default::default() })?;
//!     std::fs::write("web-v1", rollctl_lab::demo_service("v1.0", &rollctl_lab::Behaviour::default()))?;
//!     println!("{}", lab.inventory_snippet());
//!     Ok(())
//! }
//! ```
//!
//! # Which executable runs the hosts
//!
//! A lab starts its helpers from an executable: hosts, shims, the wrapper around each unit's process.
//!
//! * An executable with a `main` of its own (`examples/demo.rs`, `rollctl-lab`) calls [`dispatch()`] first: then it is its
//!   own helper, and nothing else has to be built.
//! * A test has no `main`: the program `rollctl-lab` beside it in the target folder is used. `cargo nextest run
//!   --workspace` builds it; where it is missing or of other sources, the lab lets cargo build it.
//! * `$ROLLCTL_LAB_PROGRAM` or [`LabOptions::program`] name one.
//!
//! The demo service needs no search: it is compiled by this crate's build script and embedded.
//!
//! # How everything ends
//!
//! A host lives as long as the lab holds its control line open. When the [`Lab`] is dropped, or its process dies in
//! whatever way, the host kills all that carries its mark in the environment and ends. Were the host's own process
//! killed, its children would die with it (parent-death signal), and the lab would look for the rest.
//!
//! # What differs from a real host
//!
//! * One user, the one who runs the lab; `sudo` always refuses; the system manager has no units.
//! * No control groups: a unit's processes are known by `INVOCATION_ID` in their environment and by their session.
//! * `Type=notify` is taken as `exec`, `forking` and `dbus` likewise; timers know `OnActiveSec=` (and take `OnBootSec=` and
//!   `OnStartupSec=` for it), not calendars; dependencies between units are not followed; resource and sandbox settings
//!   have no effect.
//! * Times are printed in UTC. The boot id, the disk and the clock are this machine's.

mod addresses;
mod artifact;
mod control;
mod dispatch;
mod host;
mod keys;
mod lab;
mod lab_host;
mod program;
mod systemd;
mod tools;

pub use artifact::{Behaviour, demo_service};
pub use dispatch::dispatch;
pub use keys::make as make_key;
pub use lab::{Lab, LabError, LabOptions};
pub use lab_host::LabHost;
pub use program::{ProgramError, cargo};
