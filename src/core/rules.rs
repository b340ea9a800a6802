//! The budget rules R1-R3 (contract, section 3) and the counting that they stand on, each as one small function.
//!
//! [`decide`](super::decide::decide) always uses [`CONTRACT`]. Tests put a mistake in the place of one function and
//! see that the independent checker notices.

use std::time::Duration;

use super::budget::Budget;
use super::counts::Counts;
use super::rollout::{Expects, Instance};
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
        counts.in_flight < budget.max_unavailable + counts.running.saturating_sub(counts.desired)
    },
    enough_remain: |remaining, budget| remaining >= budget.min_available(),
    fleet_has_room: |counts, budget| counts.running < budget.max_total(),
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
}

impl Rules {
    /// What an instance is, for the rules.
    pub(crate) fn expects(&self, instance: &Instance) -> Expects {
        match () {
            () if instance.is_absent() => Expects::Absent,
            () if (self.is_broken)(instance) => Expects::Broken,
            () => Expects::Running,
        }
    }

    /// Whether the instance may be switched now.
    ///
    /// Absent ones are exempt from R1 and R2, broken ones from R2. One that is neither available nor broken is
    /// protected: nobody knows what it is, so as many others must remain as if it were lost.
    pub(crate) fn may_switch(
        &self,
        instance: &Instance,
        available: bool,
        counts: &Counts,
        budget: &Budget,
    ) -> Result<(), InTheWay> {
        let ok = |allowed: bool, otherwise| if allowed { Ok(()) } else { Err(otherwise) };
        let expects = self.expects(instance);
        if expects == Expects::Absent {
            return ok((self.fleet_has_room)(counts, budget), InTheWay::Room);
        }
        ok((self.flight_has_room)(counts, budget), InTheWay::InFlight)?;
        if expects == Expects::Broken {
            return Ok(());
        }
        let itself = u32::from(available);
        ok(
            (self.enough_remain)(counts.available.saturating_sub(itself), budget),
            InTheWay::Availability,
        )?;
        ok(
            (self.enough_remain)(counts.available_and_fresh.saturating_sub(itself), budget),
            InTheWay::Staleness,
        )
    }
}
