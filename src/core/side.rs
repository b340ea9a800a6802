//! Side by side: a new instance is started beside the old one, which goes once the new one serves. Contract, section 3.

use super::counts::{Standing, is_in_flight};
use super::decide::Draft;
use super::event::{ActionKind, Runs};
use super::rollout::{Expects, Instance, Stage};
use super::rules::InTheWay;
use super::spec::RolloutKind;

/// What comes first when an instance is to be switched, and what that costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switching {
    /// A new one beside it: nothing goes down.
    Beside,
    /// It is stopped first.
    InPlace,
    /// Its sibling gets its traffic back; then it can go freely.
    AttachSibling,
    /// Nothing as yet: the sibling has to go first.
    NotYet,
}

impl Draft<'_> {
    /// How an instance may be switched now, there or back. Beside is preferred; where R3 or R1 forbid that, in place.
    pub(super) fn may_begin(
        &self,
        instance: &Instance,
        absent_left: u32,
    ) -> Result<Switching, InTheWay> {
        if instance.spare {
            return self
                .has_room_for_spare(absent_left)
                .map(|()| Switching::InPlace);
        }
        let standing = self.standing(instance);
        let spec = &self.state.spec;
        let in_place = || (self.rules).may_switch(instance, standing, &self.counts, spec);
        if !spec.side_by_side || spec.kind == RolloutKind::Restart || instance.is_absent() {
            return in_place().map(|()| Switching::InPlace);
        }
        if let Some(sibling) = &instance.sibling {
            let works = sibling.works(self.now, spec.min_ready) && sibling.stuck.is_none();
            return match self.state.goes_back() && instance.has_before_beside() {
                true if sibling.is_taken_out() && works => Ok(Switching::AttachSibling),
                // It goes as soon as it may; until then there is no room for a third.
                false if sibling.stuck.is_none() && !works => Ok(Switching::NotYet),
                _ => in_place().map(|()| Switching::InPlace),
            };
        }
        // One name cannot run twice; and what was added is only taken away.
        let back_to = instance.before.as_ref().and_then(Runs::revision);
        let wanted = match self.state.goes_back() {
            true => back_to,
            false => Some(&spec.target),
        };
        let is_same = wanted.is_some_and(|wanted| instance.is_on(wanted));
        if is_same || (instance.was_absent() && self.state.goes_back()) {
            return in_place().map(|()| Switching::InPlace);
        }
        let beside =
            (self.rules).may_start_beside(instance, standing.available, &self.counts, spec);
        match beside {
            Ok(()) => Ok(Switching::Beside),
            Err(_) => in_place().map(|()| Switching::InPlace),
        }
    }

    pub(super) fn standing(&self, instance: &Instance) -> Standing {
        let min_ready = self.state.spec.min_ready;
        let available = (self.rules.is_available)(instance, self.now, min_ready);
        Standing {
            available,
            costs: available && !instance.has_available_sibling(self.now, min_ready),
        }
    }

    /// Takes the other instances of hosts away, once nothing needs them: also while pausing, since two run there.
    pub(super) fn finish_siblings(&mut self) {
        let state = self.state;
        for instance in &state.instances {
            let Some(sibling) = &instance.sibling else {
                continue;
            };
            if instance.open.is_some() || !instance.is_reachable() || sibling.stuck.is_some() {
                continue;
            }
            let goes_back_to_it = state.goes_back()
                && instance.has_before_beside()
                && matches!(instance.stage, Stage::Updated { .. });
            if self.is_the_last_that_serves(instance) {
                self.see_to_the_other(instance, ActionKind::AttachSibling);
            } else if sibling.leaving && !goes_back_to_it {
                self.see_to_the_other(instance, ActionKind::StopSibling);
            } else if !goes_back_to_it && self.may_leave(instance) {
                let kind = match sibling.is_to_drain() {
                    true => ActionKind::DrainSibling,
                    false => ActionKind::StopSibling,
                };
                self.counts.leaving += 1;
                self.counts.in_flight -= u32::from(sibling.unproven).min(self.counts.in_flight);
                self.see_to_the_other(instance, kind);
            }
        }
    }

    fn see_to_the_other(&mut self, instance: &Instance, kind: ActionKind) {
        self.busy.insert(instance.host.clone());
        self.run(instance, kind);
    }

    /// Whether nothing more is done about the one, and the other would serve if it had its traffic.
    fn is_the_last_that_serves(&self, instance: &Instance) -> bool {
        instance.is_given_up()
            && instance.sibling.as_ref().is_some_and(|sibling| {
                sibling.is_taken_out() && sibling.works(self.now, self.state.spec.min_ready)
            })
    }

    /// Whether the other instance may be stopped: the one that stays serves, seen just now, or nothing is lost with it.
    /// R1 has to hold without it too.
    fn may_leave(&self, instance: &Instance) -> bool {
        let Some(sibling) = &instance.sibling else {
            return false;
        };
        let spec = &self.state.spec;
        let may_touch = instance.selected || instance.was_touched();
        let serves = (self.rules.is_available)(instance, self.now, spec.min_ready)
            && instance.fresh_until >= self.now;
        let kept_out = instance.is_settled(self.now, spec.min_ready) && instance.is_kept_out();
        let is_free = !instance.is_in_hand()
            && (serves || kept_out || sibling.is_of_no_use())
            && !matches!(instance.stage, Stage::Staging);
        let without = self.counts.running.saturating_sub(self.counts.leaving + 1);
        let beyond = without.saturating_sub(self.counts.desired);
        let in_flight =
            self.counts.in_flight - u32::from(sibling.unproven).min(self.counts.in_flight);
        may_touch && is_free && in_flight <= spec.budget.max_unavailable.saturating_add(beyond)
    }

    /// What a new one beside it, or its own replacement, costs from now on.
    pub(super) fn charge_switch(&mut self, instance: &Instance, how: Switching) {
        match how {
            Switching::NotYet | Switching::AttachSibling => {}
            Switching::InPlace => {
                let standing = self.standing(instance);
                let in_flight = self.counts.in_flight;
                self.counts.charge_domains(instance, standing);
                let expects = self.rules.expects(instance);
                (self.rules.charge)(&mut self.counts, expects, standing.costs);
                if is_in_flight(instance, standing.available) {
                    self.counts.in_flight = in_flight;
                }
            }
            Switching::Beside => {
                let standing = Standing {
                    costs: false,
                    ..self.standing(instance)
                };
                self.counts.charge_domains(instance, standing);
                (self.rules.charge)(&mut self.counts, Expects::Absent, false);
            }
        }
    }
}
