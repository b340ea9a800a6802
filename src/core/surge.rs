//! The surge of a service on fixed ports: spare hosts, which carry it only while a rollout needs them.

use super::decide::Draft;
use super::event::ActionKind;
use super::rollout::{Expects, Instance, Stage};
use super::rules::InTheWay;

impl<'a> Draft<'a> {
    /// The spare hosts on which an instance is to be started: as many as may surge, and not more than there are
    /// instances left to be replaced where they serve. What fails there is not tried again.
    pub(super) fn find_spares(&self, candidates: &[&'a Instance]) -> Vec<&'a Instance> {
        let serving = |i: &&&Instance| self.rules.expects(i) == Expects::Running;
        let wanted = candidates.iter().filter(serving).count();
        let surge = self.state.spec.budget.max_surge as usize;
        let spares = || self.state.instances.iter().filter(|i| i.spare);
        let carrying = spares().filter(|i| !i.is_absent() || i.is_in_hand());
        let most = wanted.min(surge).saturating_sub(carrying.count());
        let free = spares().filter(|i| {
            i.selected
                && i.is_reachable()
                && i.is_absent()
                && matches!(i.stage, Stage::Pending | Stage::Staging | Stage::Staged)
        });
        free.take(most).collect()
    }

    /// Room under R3 is kept for hosts that lack their instance before spare hosts get any.
    pub(super) fn has_room_for_spare(&self, absent_left: u32) -> Result<(), InTheWay> {
        let mut counts = self.counts.clone();
        counts.running += absent_left;
        match (self.rules.fleet_has_room)(&counts, &self.state.spec.budget) {
            true => Ok(()),
            false => Err(InTheWay::Room),
        }
    }

    /// What an earlier rollout has left on a spare host and does not work only takes room: it goes first.
    pub(super) fn retire_what_is_of_no_use(&mut self) {
        let of_no_use = |i: &Instance| {
            let untouched = matches!(i.stage, Stage::Pending | Stage::Updated { started: None });
            untouched && self.rules.expects(i) == Expects::Broken
        };
        for instance in self.surplus(of_no_use) {
            if self.may_retire(instance).is_ok() {
                self.stop(instance);
            }
        }
    }

    /// Whether a spare host still carries something, or what we have started there; or two run on some host.
    pub(super) fn is_any_surplus(&self) -> bool {
        let started = |i: &Instance| matches!(i.stage, Stage::Updated { started: Some(_) });
        let mut all = self.state.instances.iter();
        all.any(|i| i.has_surplus() || (i.spare && started(i)))
    }

    fn surplus(&self, which: impl Fn(&Instance) -> bool) -> Vec<&'a Instance> {
        let all = self.state.instances.iter();
        let at_peace = all.filter(|i| i.is_surplus() && !i.is_in_hand() && i.open.is_none());
        at_peace.filter(|i| which(i)).collect()
    }

    fn stop(&mut self, instance: &Instance) {
        let available = self.is_available(instance);
        self.counts = self.counts.without(instance, available);
        let kind = match instance.is_to_drain() {
            true => ActionKind::Drain,
            false => ActionKind::Stop,
        };
        self.run(instance, kind);
    }

    /// Stops what spare hosts carry, when nothing else is left to do: last, and under R2. What may not go is waited for
    /// as long as others may still become available. Whether the rollout is not over because of it.
    pub(super) fn retire(&mut self) -> bool {
        let mut waits = false;
        for instance in self.surplus(|_| true) {
            match self.may_retire(instance) {
                Ok(()) => self.stop(instance),
                Err(in_the_way) => {
                    self.note(in_the_way);
                    waits = true;
                }
            }
        }
        // What runs beside another goes as soon as it may, without being told.
        let waiting = |i: &Instance| i.sibling.as_ref().is_some_and(|one| one.stuck.is_none());
        waits |= (self.state.instances.iter()).any(|i| i.is_reachable() && waiting(i));
        let is_begun = !self.decision.actions.is_empty();
        is_begun || (waits && !self.is_stalled() && self.has_hope_of(|_| true))
    }

    /// R2; and for what is broken or was never proved, and so costs no availability: R1 has to hold without it too. For
    /// others that follows from R2.
    fn may_retire(&self, instance: &Instance) -> Result<(), InTheWay> {
        let available = self.is_available(instance);
        let spec = &self.state.spec;
        if self.rules.expects(instance) == Expects::Running {
            return (self.rules).may_take_down(instance, available, &self.counts, spec);
        }
        let without = self.counts.without(instance, available);
        match without.in_flight <= without.flight_limit(spec.budget.max_unavailable) {
            true => Ok(()),
            false => Err(InTheWay::InFlight),
        }
    }
}
