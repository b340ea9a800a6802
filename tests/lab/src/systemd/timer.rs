//! Timers: enough of them for a dead-man's switch.

use super::clock::{self, Moment};
use super::job::JobKind;
use super::launch::invocation_id;
use super::manager::Manager;
use super::unit::{LoadState, Outcome, Sub};

impl Manager {
    pub(crate) fn start_timer(&mut self, name: &str) {
        let Some(timer) = self.units.get(name).and_then(|unit| unit.timer()).cloned() else {
            return;
        };
        let target_is_loaded = self.load(&timer.unit).load == LoadState::Loaded;
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        unit.invocation = invocation_id();
        unit.outcome = Outcome::Success;
        if !target_is_loaded {
            self.log(
                name,
                &format!(
                    "{name}: Refusing to start, unit {} to trigger not loaded.",
                    timer.unit
                ),
            );
            self.enter_dead(name, Outcome::Resources, false);
            return;
        }
        let first = timer.on_active.iter().min().copied();
        if let Some(unit) = self.units.get_mut(name) {
            unit.next_elapse = first.map(|span| Moment::now().monotonic + clock::micros(span));
        }
        self.set_state(name, Sub::Waiting);
        self.arm(name, first);
    }

    /// The time has come: the unit is started, once.
    pub(crate) fn elapse(&mut self, name: &str) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        let Some(timer) = unit.timer().cloned() else {
            return;
        };
        unit.last_trigger = Some(Moment::now());
        self.set_state(name, Sub::Triggered);
        if self.queue(&timer.unit, JobKind::Start).is_err() {
            self.enter_dead(name, Outcome::Resources, false);
        }
    }

    /// A unit came down: the timers that had triggered it are through.
    pub(crate) fn timers_follow(&mut self, unit: &str) {
        let timers: Vec<(String, bool)> = self
            .units
            .values()
            .filter(|other| other.sub == Sub::Triggered)
            .filter_map(|other| {
                Some((
                    other.name.clone(),
                    other
                        .timer()
                        .filter(|timer| timer.unit == unit)?
                        .remain_after_elapse,
                ))
            })
            .collect();
        for (name, remains) in timers {
            self.set_state(&name, if remains { Sub::Elapsed } else { Sub::Dead });
        }
    }
}
