//! What the end of a process, or of a time, means for its service.

use std::path::Path;

use super::clock::Moment;
use super::kill;
use super::manager::Manager;
use super::service::is_simple;
use super::settings::{Command, Phase, ServiceSettings};
use super::unit::{Control, Exit, Outcome, Sub};

impl Manager {
    pub(crate) fn executed(&mut self, name: &str, pid: i32, failure: Option<(String, String)>) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        let is_main = unit.main_pid == Some(pid);
        let kind = unit
            .service()
            .map_or("simple", |service| service.kind.as_str());
        let waits = is_main && unit.sub == Sub::Start && kind != "oneshot";
        // A simple service is up even if its program does not exist; that it ends at once is another matter.
        if waits && (failure.is_none() || is_simple(kind)) {
            self.run_control(name, Phase::StartPost, 0);
        }
        if let Some((step, reason)) = failure {
            self.log_failed_execution(name, pid, &step, &reason);
        }
    }

    /// Said by the process that was to become the program.
    fn log_failed_execution(&mut self, name: &str, pid: i32, step: &str, reason: &str) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        let command = unit.service().and_then(|service| match unit.control {
            Some(control) if control.pid == pid => {
                service.commands(control.phase).get(control.index)
            }
            _ => service.start.get(unit.start_index),
        });
        let path = command.map_or_else(String::new, |command| command.path.clone());
        let detail = match step {
            "CHDIR" => format!("Changing to the requested working directory failed: {reason}"),
            _ if Path::new(&path).exists() => format!("Failed to execute {path}: {reason}"),
            _ => format!("Failed to locate executable {path}: {reason}"),
        };
        let last = format!("Failed at step {step} spawning {path}: {reason}");
        let identifier = short_name(&path);
        for message in [detail, last] {
            self.log_as(name, &identifier, pid, &format!("{name}: {message}"));
        }
    }

    pub(crate) fn exited(&mut self, name: &str, pid: i32, exit: Exit) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        if unit.main_pid == Some(pid) {
            let is_simple = unit
                .service()
                .is_some_and(|service| is_simple(&service.kind));
            if is_simple && unit.sub == Sub::Start {
                self.run_control(name, Phase::StartPost, 0);
            }
            self.main_exited(name, exit);
        } else if let Some(control) = unit.control.filter(|control| control.pid == pid) {
            self.control_exited(name, control, exit);
        }
    }

    fn main_exited(&mut self, name: &str, exit: Exit) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        // A unit whose file is gone still has its processes.
        let missing = ServiceSettings::default();
        let service = unit.service().unwrap_or(&missing);
        let is_oneshot = service.kind == "oneshot";
        let index = unit.start_index;
        let ignored = service
            .start
            .get(index)
            .is_some_and(|command| command.ignore_errors);
        let more = index + 1 < service.start.len();
        let outcome = if ignored {
            Outcome::Success
        } else {
            outcome_of(exit, is_oneshot, &service.success_exit_status)
        };
        unit.main_pid = None;
        unit.main.ended = Some((Moment::now(), exit));
        if let Some(run) = unit.runs.last_mut() {
            run.ended = unit.main.ended;
        }
        if unit.outcome == Outcome::Success {
            unit.outcome = outcome;
        }
        let sub = unit.sub;
        if outcome != Outcome::Success {
            self.log(
                name,
                &format!("{name}: Main process exited, {}", describe(exit)),
            );
        }
        match sub {
            Sub::Start if outcome == Outcome::Success && is_oneshot && more => {
                if let Some(unit) = self.units.get_mut(name) {
                    unit.start_index += 1;
                }
                self.run_main(name);
            }
            Sub::Start if outcome == Outcome::Success && is_oneshot => {
                self.run_control(name, Phase::StartPost, 0)
            }
            Sub::Start => self.signal_all(name, Sub::FinalSigterm),
            Sub::Running => self.enter_running(name),
            Sub::StopSigterm | Sub::StopSigkill | Sub::FinalSigterm | Sub::FinalSigkill => {
                self.look(name)
            }
            _ => {}
        }
    }

    fn control_exited(&mut self, name: &str, control: Control, exit: Exit) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        unit.control = None;
        let sub = unit.sub;
        let commands = unit
            .service()
            .map_or(&[] as &[Command], |service| service.commands(control.phase));
        let ignored = commands
            .get(control.index)
            .is_some_and(|command| command.ignore_errors);
        let outcome = if ignored {
            Outcome::Success
        } else {
            outcome_of(exit, true, &[])
        };
        if outcome != Outcome::Success {
            if unit.outcome == Outcome::Success {
                unit.outcome = outcome;
            }
            self.log(
                name,
                &format!("{name}: Control process exited, {}", describe(exit)),
            );
        }
        match (sub, control.phase) {
            (Sub::StopSigterm | Sub::StopSigkill | Sub::FinalSigterm | Sub::FinalSigkill, _) => {
                self.look(name)
            }
            (_, phase) if outcome == Outcome::Success => {
                self.run_control(name, phase, control.index + 1)
            }
            (_, Phase::StartPre | Phase::StopPost) => self.signal_all(name, Sub::FinalSigterm),
            (_, Phase::StartPost | Phase::Stop) => self.signal_all(name, Sub::StopSigterm),
        }
    }

    /// A delay or a timeout of the present state is over.
    pub(crate) fn due(&mut self, name: &str) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        let sub = unit.sub;
        match sub {
            Sub::AutoRestart => {
                unit.n_restarts += 1;
                let count = unit.n_restarts;
                self.log(
                    name,
                    &format!("{name}: Scheduled restart job, restart counter is at {count}."),
                );
                self.restart_by_itself(name);
            }
            Sub::Waiting => self.elapse(name),
            Sub::StartPre | Sub::Start | Sub::StartPost => {
                unit.outcome = Outcome::Timeout;
                let state = sub.as_str();
                self.log(
                    name,
                    &format!("{name}: {state} operation timed out. Terminating."),
                );
                self.signal_all(name, Sub::StopSigterm);
            }
            Sub::Stop | Sub::StopPost | Sub::StopSigterm | Sub::FinalSigterm => {
                if unit.outcome == Outcome::Success {
                    unit.outcome = Outcome::Timeout;
                }
                let (action, next) = match sub {
                    Sub::Stop => ("Terminating", Sub::StopSigterm),
                    Sub::StopPost => ("Terminating", Sub::FinalSigterm),
                    Sub::StopSigterm => ("Killing", Sub::StopSigkill),
                    _ => ("Killing", Sub::FinalSigkill),
                };
                self.log(
                    name,
                    &format!("{name}: State '{}' timed out. {action}.", sub.as_str()),
                );
                self.signal_all(name, next);
            }
            Sub::StopSigkill | Sub::FinalSigkill => self.enter_dead(name, Outcome::Timeout, true),
            _ => {}
        }
    }
}

/// What systemd calls a process before it is the program: the end of its name, as far as it fits, in parentheses.
fn short_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let start = name.char_indices().rev().nth(7).map_or(0, |(at, _)| at);
    format!("({})", &name[start..])
}

/// A daemon that dies of HUP, INT, PIPE or TERM has ended well; a command has not.
fn outcome_of(exit: Exit, is_command: bool, more_successes: &[i32]) -> Outcome {
    match exit {
        Exit::Exited(0) => Outcome::Success,
        Exit::Exited(code) if more_successes.contains(&code) => Outcome::Success,
        Exit::Exited(_) => Outcome::ExitCode,
        Exit::Killed(1 | 2 | 13 | 15) if !is_command => Outcome::Success,
        Exit::Killed(_) => Outcome::Signal,
        Exit::Dumped(_) => Outcome::CoreDump,
    }
}

fn describe(exit: Exit) -> String {
    let status = exit.status();
    let name = match exit {
        Exit::Exited(code) => exit_name(code).to_owned(),
        Exit::Killed(signal) | Exit::Dumped(signal) => kill::signal_name(signal),
    };
    format!("code={}, status={status}/{name}", exit.code_name())
}

fn exit_name(code: i32) -> &'static str {
    match code {
        0 => "SUCCESS",
        1 => "FAILURE",
        2 => "INVALIDARGUMENT",
        3 => "NOTIMPLEMENTED",
        4 => "NOPERMISSION",
        5 => "NOTINSTALLED",
        6 => "NOTCONFIGURED",
        7 => "NOTRUNNING",
        200 => "CHDIR",
        203 => "EXEC",
        _ => "n/a",
    }
}
