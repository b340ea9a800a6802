//! A user manager small enough to read: it loads unit files, supervises real processes, and answers as systemd 252 does.
//!
//! Its answers were taken from systemd 252 on Debian 12, case by case, not from its manual.

mod clock;
mod enable;
mod endings;
mod environment_file;
mod find;
mod job;
mod journal;
mod kill;
mod launch;
mod load;
mod manager;
mod parse;
mod process;
mod service;
mod settings;
mod show;
mod span;
mod stopping;
mod timer;
mod transient;
mod unit;
mod words;

pub(crate) use enable::{Change, UnitFileError};
pub(crate) use job::{JobKind, JobResult, JobWait, Refusal};
pub(crate) use journal::{Entry, Match};
pub(crate) use kill::{Whom, kill_hard, send_signal, signal_number};
pub(crate) use launch::invocation_id;
pub(crate) use manager::{HostFacts, Manager, SharedManager};
pub(crate) use process::{exit_of, members_of_host};
pub(crate) use show::TimeStyle;
pub(crate) use transient::Transient;
pub(crate) use unit::{ActiveState, Exit, LoadState, Outcome};
