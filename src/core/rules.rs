//! The budget rules R1-R4 (contract, section 3) and the counting that they stand on, each as one small function.
//!
//! [`decide`](super::decide::decide) always uses [`CONTRACT`]. Tests put a mistake in the place of one function and
//! see that the independent checker notices.

use std::time::Duration;

use super::budget::Budget;
use super::counts::{Counts, Standing, is_in_flight};
use super::rollout::{Expects, Instance};
use super::spec::{Spec, ValueBudget};
use super::time::Timestamp;

/// The questions that decide what may start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// R1: may one more new instance be in flight?
    pub(crate) flight_has_room: fn(&Counts, &Budget) -> bool,
    /// R2: may this many remain available?
    pub(crate) enough_remain: fn(remaining: u32, &Budget) -> bool,
    /// R3: may one more instance run?
    pub(crate) fleet_has_room: fn(&Counts, &Budget) -> bool,
    /// R4: may so many values of a domain be in work, the instance's own included?
    pub(crate) domain_has_room: fn(in_work: u32, at_once: u32) -> bool,
    /// R4: may this many remain available inside a value?
    pub(crate) enough_remain_inside: fn(remaining: u32, &ValueBudget) -> bool,
    /// Steps: may one more be new before a gate for `to` opens?
    pub(crate) gate_has_room: fn(new: u32, to: u32) -> bool,
    /// Whether an instance is available.
    pub(crate) is_available: fn(&Instance, Timestamp, Duration) -> bool,
    /// Whether an instance costs no availability when it is replaced.
    pub(crate) is_broken: fn(&Instance) -> bool,
    /// What a decided switch does to the counts, before the next one is considered.
    pub(crate) charge: fn(&mut Counts, Expects, available: bool),
}

/// The rules as the contract has them; `rolling.go` of Kubernetes' Deployment controller is their source.
///
/// A worked example, with 10 replicas, surge 3, unavailable 2, of a new version that crashes at once: 13 may run and 8
/// must be available. In place, 2 are replaced; both are in flight and broken. R1 now says 2 + 1 > 2: nothing more is
/// started until the two are reverted, so the crash loop never costs more than its budget.
pub(crate) const CONTRACT: Rules = Rules {
    flight_has_room: |counts, budget| {
        counts.in_flight < counts.flight_limit(budget.max_unavailable)
    },
    enough_remain: |remaining, budget| remaining >= budget.min_available(),
    fleet_has_room: |counts, budget| counts.running < budget.max_total(),
    domain_has_room: |in_work, at_once| in_work <= at_once,
    enough_remain_inside: |remaining, value| {
        let least = value
            .max_unavailable
            .map_or(0, |most| value.desired.saturating_sub(most));
        remaining >= least
    },
    gate_has_room: |new, to| new < to,
    is_available: Instance::is_available,
    is_broken: Instance::is_broken,
    charge: |counts, expects, available| {
        counts.in_flight += 1;
        counts.running += u32::from(expects == Expects::Absent);
        if available {
            counts.available = counts.available.saturating_sub(1);
            counts.available_and_fresh = counts.available_and_fresh.saturating_sub(1);
        }
    },
};

/// What is in the way of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InTheWay {
    /// R1.
    InFlight,
    /// R2.
    Availability,
    /// R2, if the last looks may be relied upon; nobody knows yet.
    Staleness,
    /// R3.
    Room,
    /// R4: other values of that domain are in work.
    OtherValues { domain: usize },
    /// R4: too few would remain inside the value.
    Inside { domain: usize, value: usize },
}

impl Rules {
    /// What an instance is, for the rules.
    pub(crate) fn expects(&self, instance: &Instance) -> Expects {
        match () {
            () if instance.is_absent() => Expects::Absent,
            // What nobody ever confirmed was never counted as available.
            () if instance.unproven || (self.is_broken)(instance) => Expects::Broken,
            () => Expects::Running,
        }
    }

    /// Whether the instance may be switched now, there or back.
    ///
    /// Absent ones are exempt from R1 and R2, broken ones from R2. One that is neither available nor broken is
    /// protected: nobody knows what it is, so as many others must remain as if it were lost. One that is in flight
    /// already costs R1 nothing more.
    pub(crate) fn may_switch(
        &self,
        instance: &Instance,
        standing: Standing,
        counts: &Counts,
        spec: &Spec,
    ) -> Result<(), InTheWay> {
        let budget = &spec.budget;
        let expects = self.expects(instance);
        self.may_work_in_domains(instance, standing.available, counts, spec)?;
        if expects == Expects::Absent {
            return or((self.fleet_has_room)(counts, budget), InTheWay::Room);
        }
        if !is_in_flight(instance, standing.available) {
            or((self.flight_has_room)(counts, budget), InTheWay::InFlight)?;
        }
        if expects == Expects::Broken {
            return Ok(());
        }
        self.may_take_down(instance, standing.costs, counts, spec)
    }

    /// R3, R4, and R1 as it is once it runs: whether a new instance may be started beside the one that is there. One that
    /// is in flight itself is replaced where it is.
    pub(crate) fn may_start_beside(
        &self,
        instance: &Instance,
        available: bool,
        counts: &Counts,
        spec: &Spec,
    ) -> Result<(), InTheWay> {
        let budget = &spec.budget;
        or(!is_in_flight(instance, available), InTheWay::InFlight)?;
        self.may_work_in_domains(instance, available, counts, spec)?;
        or((self.fleet_has_room)(counts, budget), InTheWay::Room)?;
        let with_it = Counts {
            running: counts.running + 1,
            ..counts.clone()
        };
        or((self.flight_has_room)(&with_it, budget), InTheWay::InFlight)
    }

    /// R2, in the service and inside the values of its domains: whether enough others remain without it. `costs`: whether
    /// there is one less then.
    pub(crate) fn may_take_down(
        &self,
        instance: &Instance,
        costs: bool,
        counts: &Counts,
        spec: &Spec,
    ) -> Result<(), InTheWay> {
        let itself = u32::from(costs);
        let without = |count: u32| count.saturating_sub(itself);
        let budget = &spec.budget;
        or(
            (self.enough_remain)(without(counts.available), budget),
            InTheWay::Availability,
        )?;
        let mut is_fresh = (self.enough_remain)(without(counts.available_and_fresh), budget);
        for (domain, place) in instance.values.iter().enumerate() {
            let (Some(value), Some(count)) = (
                spec.domains
                    .get(domain)
                    .and_then(|domain| domain.values.get(*place)),
                counts
                    .domains
                    .get(domain)
                    .and_then(|domain| domain.values.get(*place)),
            ) else {
                continue;
            };
            or(
                (self.enough_remain_inside)(without(count.available), value),
                InTheWay::Inside {
                    domain,
                    value: *place,
                },
            )?;
            is_fresh &= (self.enough_remain_inside)(without(count.available_and_fresh), value);
        }
        or(is_fresh, InTheWay::Staleness)
    }

    /// R4, `at_once`: a value that is in work already may have more, unless others came into work by themselves: a new
    /// instance that flaps is in flight again.
    fn may_work_in_domains(
        &self,
        instance: &Instance,
        available: bool,
        counts: &Counts,
        spec: &Spec,
    ) -> Result<(), InTheWay> {
        if is_in_flight(instance, available) {
            return Ok(());
        }
        for (domain, place) in instance.values.iter().enumerate() {
            let at_once = spec.domains.get(domain).and_then(|domain| domain.at_once);
            let (Some(at_once), Some(count)) = (at_once, counts.domains.get(domain)) else {
                continue;
            };
            let is_idle = count
                .values
                .get(*place)
                .is_none_or(|value| value.in_work == 0);
            or(
                (self.domain_has_room)(count.in_work + u32::from(is_idle), at_once),
                InTheWay::OtherValues { domain },
            )?;
        }
        Ok(())
    }
}

fn or(allowed: bool, otherwise: InTheWay) -> Result<(), InTheWay> {
    if allowed { Ok(()) } else { Err(otherwise) }
}
