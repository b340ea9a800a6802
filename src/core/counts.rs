//! The counts that the budgets are about. Contract, section 3, "Counting".

use std::time::Duration;

use super::ids::RevisionRef;
use super::rollout::{Instance, RolloutState, Stage};
use super::spec::{RolloutKind, Spec};
use super::time::Timestamp;

/// How many instances are what, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// The service's ordinary hosts in service.
    pub desired: u32,
    /// From the decision to start until the stop is read back; an unreachable host and one being replaced count 1.
    /// Printed as CURRENT.
    pub running: u32,
    /// Of the running ones, those that are being stopped on their spare hosts: no new one may rely upon them.
    pub leaving: u32,
    /// Those that run the target, or are being switched to it.
    pub up_to_date: u32,
    /// Ready for `min_ready`, and not in rollctl's hand.
    pub available: u32,
    /// Of the available ones, those whose last look is recent enough to take another down.
    pub available_and_fresh: u32,
    /// From the decision to start until available; reverting and broken new ones included.
    pub in_flight: u32,
    /// Failed by us in this rollout, put back or not; those that were sick before do not count.
    pub failed: u32,
    /// Of the selected ordinary hosts: those that are new, or on their way there or back. Steps count them.
    pub new: u32,
    /// Of those, the ones that are on the target and available.
    pub new_and_available: u32,
    /// Of those, the ones that cannot become so any more.
    pub new_beyond_proof: u32,
    /// The same inside each value of each failure domain, in the order of [`Spec::domains`].
    pub domains: Vec<DomainCounts>,
}

/// The counts of one failure domain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DomainCounts {
    /// How many of its values have an instance in work.
    pub in_work: u32,
    /// Its values.
    pub values: Vec<ValueCounts>,
}

/// The counts of one value of a failure domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ValueCounts {
    /// As [`Counts::available`].
    pub available: u32,
    /// As [`Counts::available_and_fresh`].
    pub available_and_fresh: u32,
    /// In flight, reverting, or failed and not yet reverted.
    pub in_work: u32,
}

impl Counts {
    /// Counts.
    pub fn of(state: &RolloutState, now: Timestamp) -> Self {
        Self::by(Instance::is_available, state, now)
    }

    /// [`Counts::of`] with another notion of availability, for tests that plant a mistake.
    pub(crate) fn by(
        is_available: fn(&Instance, Timestamp, Duration) -> bool,
        state: &RolloutState,
        now: Timestamp,
    ) -> Self {
        let spec = &state.spec;
        let mut counts = Self::none(spec);
        for instance in &state.instances {
            let available = is_available(instance, now, spec.min_ready);
            let in_flight = is_in_flight(instance, available);
            let sibling = instance.sibling.as_ref();
            let beside = sibling.filter(|one| one.is_available(now, spec.min_ready));
            // Hosts are counted, none of them twice.
            let serves = available || beside.is_some();
            let fresh = (available && instance.fresh_until >= now)
                || beside.is_some_and(|one| one.fresh_until >= now);
            let is_announced = instance.stage == Stage::Preparing { beside: true };
            counts.running +=
                u32::from(is_running(instance)) + u32::from(sibling.is_some() || is_announced);
            counts.leaving += u32::from(instance.stage == Stage::Retiring)
                + u32::from(sibling.is_some_and(|one| one.leaving));
            counts.up_to_date += u32::from(is_up_to_date(instance, spec.kind, &spec.target))
                + u32::from(sibling.is_some_and(|one| one.is_on(&spec.target)));
            counts.available += u32::from(serves);
            counts.available_and_fresh += u32::from(fresh);
            counts.in_flight += u32::from(in_flight)
                + u32::from(sibling.is_some_and(|one| one.unproven && !one.leaving));
            counts.failed += u32::from(instance.failure().is_some() && !instance.sick_before);
            if instance.selected && !instance.spare && instance.is_new() {
                let is_proven = available && instance.is_on_target();
                counts.new += 1;
                counts.new_and_available += u32::from(is_proven);
                counts.new_beyond_proof += u32::from(instance.is_beyond_proof());
            }
            for (domain, place) in counts.domains.iter_mut().zip(&instance.values) {
                domain.add(*place, serves, fresh, in_flight);
            }
        }
        counts
    }

    fn none(spec: &Spec) -> Self {
        let domains = spec.domains.iter().map(|domain| DomainCounts {
            in_work: 0,
            values: vec![ValueCounts::default(); domain.values.len()],
        });
        Self {
            desired: spec.budget.desired,
            domains: domains.collect(),
            ..Self::default()
        }
    }

    /// How many new instances may be in flight under R1: `unavailable`, and one for each that runs and stays beyond
    /// `desired`.
    pub fn flight_limit(&self, unavailable: u32) -> u32 {
        let stay = self.running.saturating_sub(self.leaving);
        unavailable.saturating_add(stay.saturating_sub(self.desired))
    }

    /// The same once it is decided that the instance is stopped for good.
    pub(crate) fn without(&self, instance: &Instance, available: bool) -> Self {
        let less = |count: u32, is: bool| count.saturating_sub(u32::from(is));
        Self {
            leaving: self.leaving + 1,
            available: less(self.available, available),
            available_and_fresh: less(self.available_and_fresh, available),
            in_flight: less(self.in_flight, is_in_flight(instance, available)),
            ..self.clone()
        }
    }

    /// What the decision to switch an instance does to the domains that it is in.
    pub(crate) fn charge_domains(&mut self, instance: &Instance, standing: Standing) {
        let was_in_flight = is_in_flight(instance, standing.available);
        for (domain, place) in self.domains.iter_mut().zip(&instance.values) {
            domain.charge(*place, standing.costs, was_in_flight);
        }
    }
}

/// What an instance is worth at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Whether it is available itself.
    pub(crate) available: bool,
    /// Whether its host serves no longer once it is gone: not so where a sibling serves too.
    pub(crate) costs: bool,
}

impl DomainCounts {
    fn add(&mut self, place: usize, available: bool, fresh: bool, in_flight: bool) {
        let Some(value) = self.values.get_mut(place) else {
            return;
        };
        value.available += u32::from(available);
        value.available_and_fresh += u32::from(fresh);
        if in_flight {
            self.in_work += u32::from(value.in_work == 0);
            value.in_work += 1;
        }
    }

    fn charge(&mut self, place: usize, available: bool, was_in_flight: bool) {
        let Some(value) = self.values.get_mut(place) else {
            return;
        };
        if available {
            value.available = value.available.saturating_sub(1);
            value.available_and_fresh = value.available_and_fresh.saturating_sub(1);
        }
        if !was_in_flight {
            self.in_work += u32::from(value.in_work == 0);
            value.in_work += 1;
        }
    }
}

/// Unknown counts as running, and so does one that is being stopped until that is read back.
fn is_running(instance: &Instance) -> bool {
    instance.reach.is_some() && (!instance.is_absent() || instance.is_in_hand())
}

fn is_up_to_date(instance: &Instance, kind: RolloutKind, target: &RevisionRef) -> bool {
    match kind {
        // Every instance runs the target before a restart; those that were started anew count.
        RolloutKind::Restart => instance.is_new(),
        RolloutKind::Release | RolloutKind::Rollback => instance.is_on(target),
    }
}

/// New, and not yet or no longer available. What ran the target before the rollout was not started by it; what a rollout
/// took out of traffic is in flight until it is back; what an operator keeps out is done once it is confirmed.
pub(crate) fn is_in_flight(instance: &Instance, available: bool) -> bool {
    match instance.stage {
        Stage::Updated { started: Some(_) } => !available && !instance.is_kept_out(),
        // It is on its way out, and runs until it was stopped.
        Stage::Retiring => false,
        // The new one that is to be started beside it.
        Stage::Preparing { beside: true } => true,
        _ => instance.is_in_hand() || instance.unproven || instance.is_taken_out(),
    }
}
