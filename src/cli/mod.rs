//! The commands: what a person types, what they see, and the exit code. One file per command.
//!
//! [`args`] is what may be typed, [`dispatch`] joins a command to the rooms, [`exit`] and [`error`] are how it ends.

mod access;
pub mod args;
pub mod args_ledger;
pub mod args_unattended;
mod audit;
mod balancers;
mod channel;
pub mod check;
pub mod completions;
pub mod describe;
pub mod dispatch;
pub mod error;
pub mod exit;
mod fit;
pub(crate) mod help;
pub mod history;
mod hold;
mod launch;
mod ledger;
pub mod man;
mod notify;
mod overview;
mod plan;
mod read_back;
mod release;
mod requests;
mod restart;
mod resume;
mod rollback;
mod rollout;
pub mod screen;
mod selection;
mod signers;
pub mod status;
mod timer;
mod timer_units;
pub mod trust;
mod unattended;
pub mod values;
mod window;
mod wire;
mod work;

pub use args::{Cli, Command, Global};
pub use dispatch::run;
pub use error::CliError;
pub use exit::ExitCode;
pub use screen::Screen;
