//! The life of a service. The states, their order and what leads from one to the next are those of systemd's `service.c`.

use std::time::{Duration, Instant};

use super::clock::Moment;
use super::launch::invocation_id;
use super::manager::Manager;
use super::process::Event;
use super::settings::Phase;
use super::span::Span;
use super::unit::{ActiveState, Control, Outcome, Run, Sub};

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
        unit.start_index = 0;
        unit.forbid_restart = false;
        if std::mem::take(&mut unit.flush_restarts) {
            unit.n_restarts = 0;
        }
        self.run_control(name, Phase::StartPre, 0);
    }

    /// Runs the next command of a phase, or goes on to what follows the phase.
    pub(crate) fn run_control(&mut self, name: &str, phase: Phase, index: usize) {
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

    pub(crate) fn run_main(&mut self, name: &str) {
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
        // systemd does not wait for execve(2) of a simple service; ours takes a little longer, and nobody shall see it
        // happen: whoever looks at /proc/PID/exe after the start finds the service.
        self.set_state(name, Sub::Start);
        if !is_simple(&kind) {
            self.arm_timeout(name);
        }
    }

    fn cannot_run(&mut self, name: &str, reason: &str) {
        self.log(name, &format!("{name}: {reason}"));
        if let Some((_, why)) = reason.split_once(": ") {
            self.log(name, &format!("{name}: Failed to run 'start' task: {why}"));
        }
        if let Some(unit) = self.units.get_mut(name) {
            unit.outcome = Outcome::Resources;
        }
        self.signal_all(name, Sub::FinalSigterm);
    }

    pub(crate) fn enter_running(&mut self, name: &str) {
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

    pub(crate) fn arm_timeout(&mut self, name: &str) {
        let Some(unit) = self.units.get(name) else {
            return;
        };
        let span = unit.service().and_then(|service| match unit.sub.active() {
            ActiveState::Activating => service.timeout_start,
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

    pub(crate) fn later(&self, span: Duration, event: Event) {
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(span).await;
            let _ = events.send(event);
        });
    }
}

/// A type whose start is over as soon as there is a process.
pub(crate) fn is_simple(kind: &str) -> bool {
    matches!(kind, "simple" | "idle")
}
