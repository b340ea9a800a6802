//! How a service comes down, and whether it comes up again by itself.

use std::time::Duration;

use super::kill;
use super::manager::Manager;
use super::process::{self, Event};
use super::settings::Phase;
use super::unit::{Outcome, Sub};

/// How often the end of a stopped unit's other processes is looked for.
const LOOK: Duration = Duration::from_millis(20);

impl Manager {
    pub(crate) fn stop_service(&mut self, name: &str) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        match unit.sub {
            Sub::Running | Sub::Exited => self.enter_stop(name),
            _ => self.signal_all(name, Sub::StopSigterm),
        }
    }

    pub(crate) fn enter_stop(&mut self, name: &str) {
        self.run_control(name, Phase::Stop, 0);
    }

    /// Signals what is left of the unit, or goes on if nothing is.
    pub(crate) fn signal_all(&mut self, name: &str, state: Sub) {
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
