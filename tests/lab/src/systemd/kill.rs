//! Signals: names, numbers, and who gets them.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::manager::Manager;
use super::process;

const NAMES: [(&str, i32); 17] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CONT", 18),
    ("STOP", 19),
];

/// `SIGTERM`, `TERM` or `15`.
pub(crate) fn signal_number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let bare = text.strip_prefix("SIG").unwrap_or(text);
    NAMES
        .iter()
        .find(|(name, _)| *name == bare)
        .map(|(_, number)| *number)
}

/// Without `SIG`.
pub(crate) fn signal_name(number: i32) -> String {
    let known = NAMES.iter().find(|(_, other)| *other == number);
    known.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// To a process, or with a negative number to a group; false if there is none.
pub(crate) fn send_signal(pid: i32, signal: i32) -> bool {
    let Some(signal) = Signal::from_named_raw(signal) else {
        return false;
    };
    let Some(target) = Pid::from_raw(pid.abs()) else {
        return false;
    };
    if pid < 0 {
        kill_process_group(target, signal).is_ok()
    } else {
        kill_process(target, signal).is_ok()
    }
}

/// SIGKILL to each.
pub(crate) fn kill_hard(pids: &[i32]) {
    for pid in pids {
        send_signal(*pid, 9);
    }
}

/// Whom `systemctl kill` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    Main,
    All,
}

impl Manager {
    /// `systemctl kill`: a signal and nothing more; what follows from it follows.
    pub(crate) fn kill(&mut self, name: &str, signal: i32, whom: Whom) -> Result<(), String> {
        let Some(unit) = self.units.get(name).filter(|unit| !unit.sub.is_down()) else {
            return Err(format!("Unit {name} not loaded."));
        };
        let main = unit.main_pid;
        if whom == Whom::Main && main.is_none() {
            return Err("No main process to kill".to_owned());
        }
        let targets = if whom == Whom::Main {
            main.into_iter().collect()
        } else {
            self.members(name)
        };
        for pid in targets {
            let role = if Some(pid) == main {
                "main process"
            } else {
                "process"
            };
            let program = process::name_of(pid);
            if send_signal(pid, signal) {
                let signal = signal_name(signal);
                self.log(name, &format!("{name}: Sent signal SIG{signal} to {role} {pid} ({program}) on client request."));
            }
        }
        Ok(())
    }

    /// Every process of the unit, as its control group would tell.
    pub(crate) fn members(&self, name: &str) -> Vec<i32> {
        let Some(unit) = self.units.get(name) else {
            return Vec::new();
        };
        let control = unit.control.map(|control| control.pid);
        process::members(
            &unit.invocation,
            &unit.main_pid.into_iter().chain(control).collect::<Vec<_>>(),
        )
    }
}
