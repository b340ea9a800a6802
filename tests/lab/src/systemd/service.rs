//! The life of a service. The states, their order and what leads from one to the next are those of systemd's `service.c`.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::clock::Moment;
use super::kill;
use super::manager::Manager;
use super::process::{self, Event, Launch};
use super::settings::{Command, Phase};
use super::span::Span;
use super::unit::{Control, Exit, Outcome, Run, Sub};
use super::words;

/// How often the end of a stopped unit's other processes is looked for.
const LOOK: Duration = Duration::from_millis(20);

impl Manager {
    pub(crate) fn start_service(&mut self, name: &str) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        if !unit
            .start_rate
            .allows(unit.settings.start_limit, Instant::now())
        {
            self.log(
                name,
                &format!("{name}: Start request repeated too quickly."),
            );
            self.enter_dead(name, Outcome::StartLimitHit, false);
            return;
        }
        unit.invocation = invocation_id();
        unit.outcome = Outcome::Success;
        unit.main_pid = None;
        unit.main = Run::default();
        unit.runs.clear();
        unit.sessions.clear();
        unit.start_index = 0;
        unit.forbid_restart = false;
        if std::mem::take(&mut unit.flush_restarts) {
            unit.n_restarts = 0;
        }
        self.run_control(name, Phase::StartPre, 0);
    }

    /// Runs the next command of a phase, or goes on to what follows the phase.
    fn run_control(&mut self, name: &str, phase: Phase, index: usize) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        let command = unit
            .service()
            .and_then(|service| service.commands(phase).get(index))
            .cloned();
        let Some(command) = command else {
            return self.after_phase(name, phase);
        };
        match self.spawn(name, &command) {
            Ok(pid) => {
                let state = match phase {
                    Phase::StartPre => Sub::StartPre,
                    Phase::StartPost => Sub::StartPost,
                    Phase::Stop => Sub::Stop,
                    Phase::StopPost => Sub::StopPost,
                };
                if let Some(unit) = self.units.get_mut(name) {
                    unit.control = Some(Control { pid, phase, index });
                }
                self.set_state(name, state);
                self.arm_timeout(name);
            }
            Err(reason) => self.cannot_run(name, &reason),
        }
    }

    fn after_phase(&mut self, name: &str, phase: Phase) {
        match phase {
            Phase::StartPre => self.run_main(name),
            Phase::StartPost => self.enter_running(name),
            Phase::Stop => self.signal_all(name, Sub::StopSigterm),
            Phase::StopPost => self.signal_all(name, Sub::FinalSigterm),
        }
    }

    fn run_main(&mut self, name: &str) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        let Some(service) = unit.service() else {
            return;
        };
        let kind = service.kind.clone();
        let Some(command) = service.start.get(unit.start_index).cloned() else {
            return self.enter_running(name);
        };
        let pid = match self.spawn(name, &command) {
            Ok(pid) => pid,
            Err(reason) => return self.cannot_run(name, &reason),
        };
        if let Some(unit) = self.units.get_mut(name) {
            unit.main_pid = Some(pid);
            unit.main = Run {
                pid,
                started: Some(Moment::now()),
                ended: None,
            };
            unit.runs.push(unit.main);
        }
        match kind.as_str() {
            "simple" | "idle" => self.run_control(name, Phase::StartPost, 0),
            _ => {
                self.set_state(name, Sub::Start);
                self.arm_timeout(name);
            }
        }
    }

    fn cannot_run(&mut self, name: &str, reason: &str) {
        self.log(name, &format!("{name}: {reason}"));
        if let Some(unit) = self.units.get_mut(name) {
            unit.outcome = Outcome::Resources;
        }
        self.signal_all(name, Sub::FinalSigterm);
    }

    /// A process for one command; the error is the line for the journal.
    fn spawn(&mut self, name: &str, command: &Command) -> Result<i32, String> {
        let environment = self.environment(name)?;
        let argv = if command.no_variables {
            command.argv.clone()
        } else {
            let rest = words::substitute(&command.argv[1..], &environment);
            command.argv[..1].iter().cloned().chain(rest).collect()
        };
        let unit = self.units.get(name).ok_or("no such unit")?;
        let service = unit.service().ok_or("no service")?;
        let home = (self.facts.home.display().to_string(), true);
        let (directory, may_miss) = service.working_directory.as_ref().unwrap_or(&home);
        let basename = command
            .path
            .rsplit('/')
            .next()
            .unwrap_or(&command.path)
            .to_owned();
        let launch = Launch {
            unit: name,
            invocation: &unit.invocation,
            identifier: service.syslog_identifier.clone().unwrap_or(basename),
            path: &command.path,
            argv: &argv,
            environment: &environment,
            working_directory: directory,
            directory_may_miss: *may_miss,
        };
        let pid = launch
            .start(&self.facts.program, &self.events)
            .map_err(|error| format!("Failed to run task: {error}"))?;
        if let Some(unit) = self.units.get_mut(name) {
            unit.sessions.push(pid);
        }
        Ok(pid)
    }

    fn environment(&self, name: &str) -> Result<BTreeMap<String, String>, String> {
        let mut environment = self.facts.environment();
        let unit = self.units.get(name).ok_or("no such unit")?;
        let service = unit.service().ok_or("no service")?;
        environment.insert("INVOCATION_ID".to_owned(), unit.invocation.clone());
        if let Some(pid) = unit.main_pid {
            environment.insert("MAINPID".to_owned(), pid.to_string());
        }
        if let Some((_, exit)) = unit.main.ended {
            let status = if exit.code() == 1 {
                exit.status().to_string()
            } else {
                kill::signal_name(exit.status())
            };
            environment.insert(
                "SERVICE_RESULT".to_owned(),
                unit.outcome.as_str().to_owned(),
            );
            environment.insert("EXIT_CODE".to_owned(), exit.code_name().to_owned());
            environment.insert("EXIT_STATUS".to_owned(), status);
        }
        let mut set = |assignment: &str| {
            if let Some((key, value)) = assignment.split_once('=') {
                environment.insert(key.to_owned(), value.to_owned());
            }
        };
        service
            .environment
            .iter()
            .for_each(|assignment| set(assignment));
        for (path, may_miss) in &service.environment_files {
            match fs::read_to_string(path) {
                Ok(text) => environment_file(&text)
                    .iter()
                    .for_each(|assignment| set(assignment)),
                Err(_) if *may_miss => {}
                Err(error) => {
                    let reason = strerror(&error);
                    return Err(format!("Failed to load environment files: {reason}"));
                }
            }
        }
        Ok(environment)
    }

    fn enter_running(&mut self, name: &str) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        let remains = unit
            .service()
            .is_some_and(|service| service.remain_after_exit);
        if unit.outcome != Outcome::Success {
            self.signal_all(name, Sub::StopSigterm);
        } else if unit.main_pid.is_some() {
            self.set_state(name, Sub::Running);
        } else if remains {
            self.set_state(name, Sub::Exited);
        } else {
            self.enter_stop(name);
        }
    }

    pub(crate) fn stop_service(&mut self, name: &str) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        match unit.sub {
            Sub::Running | Sub::Exited => self.enter_stop(name),
            _ => self.signal_all(name, Sub::StopSigterm),
        }
    }

    fn enter_stop(&mut self, name: &str) {
        self.run_control(name, Phase::Stop, 0);
    }

    /// Signals what is left of the unit, or goes on if nothing is.
    fn signal_all(&mut self, name: &str, state: Sub) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        let (mode, kill_signal) = unit
            .service()
            .map_or(("control-group".to_owned(), 15), |service| {
                (service.kill_mode.clone(), service.kill_signal)
            });
        let main = unit.main_pid;
        let own: Vec<i32> = main
            .into_iter()
            .chain(unit.control.map(|control| control.pid))
            .collect();
        let is_kill = matches!(state, Sub::StopSigkill | Sub::FinalSigkill);
        let targets = if mode == "process" || (mode == "mixed" && !is_kill) {
            own
        } else {
            self.members(name)
        };
        let targets = if mode == "none" { Vec::new() } else { targets };
        for pid in &targets {
            if is_kill {
                let program = process::name_of(*pid);
                self.log(
                    name,
                    &format!("{name}: Killing process {pid} ({program}) with signal SIGKILL."),
                );
            }
            kill::send_signal(*pid, if is_kill { 9 } else { kill_signal });
            // A stopped process sees SIGTERM only when it goes on.
            kill::send_signal(*pid, 18);
        }
        if targets.is_empty() && main.is_none() {
            return self.after_signal(name, state);
        }
        self.set_state(name, state);
        self.arm_timeout(name);
        self.arm_look(name);
    }

    fn after_signal(&mut self, name: &str, state: Sub) {
        if matches!(state, Sub::StopSigterm | Sub::StopSigkill) {
            self.run_control(name, Phase::StopPost, 0);
        } else {
            self.enter_dead(name, Outcome::Success, true);
        }
    }

    /// The last process may be gone.
    pub(crate) fn look(&mut self, name: &str) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        let sub = unit.sub;
        let only_main = unit
            .service()
            .is_some_and(|service| service.kill_mode == "process" || service.kill_mode == "none");
        if !matches!(
            sub,
            Sub::StopSigterm | Sub::StopSigkill | Sub::FinalSigterm | Sub::FinalSigkill
        ) {
            return;
        }
        if unit.main_pid.is_none()
            && unit.control.is_none()
            && (only_main || self.members(name).is_empty())
        {
            self.after_signal(name, sub);
        } else {
            self.arm_look(name);
        }
    }

    pub(crate) fn enter_dead(&mut self, name: &str, outcome: Outcome, may_restart: bool) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        if unit.outcome == Outcome::Success {
            unit.outcome = outcome;
        }
        let outcome = unit.outcome;
        unit.main_pid = None;
        unit.control = None;
        let delay = unit.service().and_then(|service| service.restart_delay);
        let restarts = may_restart
            && !unit.forbid_restart
            && unit
                .service()
                .is_some_and(|service| is_restarted(&service.restart, outcome));
        if !restarts {
            unit.flush_restarts = true;
        }
        if outcome != Outcome::Success {
            self.log(
                name,
                &format!("{name}: Failed with result '{}'.", outcome.as_str()),
            );
        }
        self.set_state(
            name,
            if outcome == Outcome::Success {
                Sub::Dead
            } else {
                Sub::Failed
            },
        );
        if restarts {
            self.set_state(name, Sub::AutoRestart);
            self.arm(name, delay);
        }
    }

    pub(crate) fn executed(&mut self, name: &str, pid: i32, failure: Option<(String, String)>) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        let path = unit
            .service()
            .and_then(|service| service.start.first())
            .map_or_else(String::new, |command| command.path.clone());
        let is_main = unit.main_pid == Some(pid);
        let waits = unit.sub == Sub::Start
            && unit
                .service()
                .is_some_and(|service| service.kind != "oneshot");
        match failure {
            None if is_main && waits => self.run_control(name, Phase::StartPost, 0),
            None => {}
            Some((step, reason)) => {
                let detail = match step.as_str() {
                    "CHDIR" => {
                        format!("Changing to the requested working directory failed: {reason}")
                    }
                    _ => format!("Failed to locate executable {path}: {reason}"),
                };
                self.log(name, &format!("{name}: {detail}"));
                self.log(
                    name,
                    &format!("{name}: Failed at step {step} spawning {path}: {reason}"),
                );
            }
        }
    }

    pub(crate) fn exited(&mut self, name: &str, pid: i32, exit: Exit) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        if unit.main_pid == Some(pid) {
            self.main_exited(name, exit);
        } else if let Some(control) = unit.control.filter(|control| control.pid == pid) {
            self.control_exited(name, control, exit);
        }
    }

    fn main_exited(&mut self, name: &str, exit: Exit) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        let Some(service) = unit.service() else {
            return;
        };
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
            (_, Phase::StartPost | Phase::Stop) => {
                self.signal_all(name, Sub::StopSigterm)
            }
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
                self.log(
                    name,
                    &format!("{name}: start operation timed out. Terminating."),
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

    fn arm_timeout(&mut self, name: &str) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        let span = unit.service().and_then(|service| match unit.sub.active() {
            super::unit::ActiveState::Activating => service.timeout_start,
            _ => service.timeout_stop,
        });
        self.arm(name, span);
    }

    /// The present state is due after this; `None` never.
    pub(crate) fn arm(&mut self, name: &str, span: Span) {
        let Some(span) = span else { return };
        let Some(token) = self.units.get(name).map(|unit| unit.token) else {
            return;
        };
        self.later(
            span,
            Event::Due {
                unit: name.to_owned(),
                token,
            },
        );
    }

    fn arm_look(&mut self, name: &str) {
        let Some(token) = self.units.get(name).map(|unit| unit.token) else {
            return;
        };
        self.later(
            LOOK,
            Event::Look {
                unit: name.to_owned(),
                token,
            },
        );
    }

    fn later(&self, span: Duration, event: Event) {
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(span).await;
            let _ = events.send(event);
        });
    }
}

fn is_restarted(policy: &str, outcome: Outcome) -> bool {
    match policy {
        "always" => true,
        "on-success" => outcome == Outcome::Success,
        "on-failure" => outcome != Outcome::Success,
        "on-abnormal" => !matches!(outcome, Outcome::Success | Outcome::ExitCode),
        "on-abort" => matches!(outcome, Outcome::Signal | Outcome::CoreDump),
        _ => false,
    }
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

/// 128 random bits, as hex.
pub(crate) fn invocation_id() -> String {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    uuid.trim().replace('-', "")
}

fn environment_file(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let assignments = lines.filter_map(|line| line.split_once('='));
    assignments
        .map(|(key, value)| format!("{}={}", key.trim(), environment_value(value.trim())))
        .collect()
}

fn environment_value(value: &str) -> String {
    let starts_quoted = value.starts_with(['"', '\'']);
    match words::split(value) {
        Some(words) if starts_quoted => words.join(" "),
        _ => value.to_owned(),
    }
}

/// The system's words for an error, without Rust's number behind them.
fn strerror(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
