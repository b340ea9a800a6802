//! The counts that the budgets are about. Contract, section 3, "Counting".

use std::time::Duration;

use super::event::Runs;
use super::rollout::{Instance, RolloutState, Stage};
use super::time::Timestamp;

/// How many instances are what, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// The service's ordinary hosts in service.
    pub desired: u32,
    /// From the decision to start until the stop is read back; an unreachable host and one being replaced count 1.
    /// Printed as CURRENT.
    pub running: u32,
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
        let min_ready = state.spec.min_ready;
        let mut counts = Self {
            desired: state.spec.budget.desired,
            ..Self::default()
        };
        for instance in &state.instances {
            let available = is_available(instance, now, min_ready);
            counts.running += u32::from(is_running(instance));
            counts.up_to_date += u32::from(is_up_to_date(instance, &state.spec.target));
            counts.available += u32::from(available);
            counts.available_and_fresh += u32::from(available && instance.fresh_until >= now);
            counts.in_flight += u32::from(is_in_flight(instance, available));
            counts.failed += u32::from(instance.failure().is_some() && !instance.sick_before);
        }
        counts
    }
}

/// Unknown counts as running, and so does one that is being stopped until that is read back.
fn is_running(instance: &Instance) -> bool {
    instance.reach.is_some() && (!instance.is_absent() || instance.is_in_hand())
}

fn is_up_to_date(instance: &Instance, target: &super::ids::RevisionRef) -> bool {
    instance
        .runs
        .as_ref()
        .is_some_and(|runs: &Runs| runs.is(target))
}

/// New, and not yet or no longer available. What ran the target before the rollout was not started by it.
fn is_in_flight(instance: &Instance, available: bool) -> bool {
    match instance.stage {
        Stage::Updated { started: Some(_) } => !available,
        _ => instance.is_in_hand(),
    }
}
