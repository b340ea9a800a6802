//! The commands that a lab host has instead of systemd's. They run in the host's process; the shims only carry arguments
//! and answers.

mod answer;
mod journalctl;
mod options;
mod other;
mod query;
mod systemctl;
mod systemd_run;
mod verbs;

use crate::systemd::SharedManager;

pub(crate) use answer::Answer;

/// The names of the shims.
pub(crate) const NAMES: [&str; 5] = ["systemctl", "systemd-run", "journalctl", "loginctl", "sudo"];

/// Does what the command would do; returns when it would.
pub(crate) async fn run(manager: &SharedManager, tool: &str, arguments: &[String]) -> Answer {
    match tool {
        "systemctl" => systemctl::run(manager, arguments).await,
        "systemd-run" => systemd_run::run(manager, arguments).await,
        "journalctl" => journalctl::run(manager, arguments),
        "loginctl" => other::loginctl(manager, arguments),
        "sudo" => other::sudo(),
        _ => Answer::failure(127, format!("{tool}: not found")),
    }
}
