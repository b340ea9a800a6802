//! What an event does to its rollout's row. Knows no database.

use super::fault::Misuse;
use super::here::Here;
use super::lease::LeaseRow;
use crate::core::event::Event;
use crate::core::ids::{Epoch, RolloutId};
use crate::core::time::Timestamp;
use crate::ports::{Lease, RolloutRecord};

const RUNNING: &str = "running";
const PAUSED: &str = "paused";
const INTERRUPTED: &str = "interrupted";
const SUPERSEDED: &str = "superseded";

/// A rollout as it is stored: `interrupted` never is, it is seen when the row is listed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RolloutRow {
    pub(crate) record: RolloutRecord,
    /// The lease under which its last event was written.
    pub(crate) epoch: Epoch,
}

impl RolloutRow {
    /// The row of a rollout that begins with `first`.
    ///
    /// # Errors
    /// When `first` does not start a rollout of the lease's service.
    pub(crate) fn begun(
        id: RolloutId,
        lease: &Lease,
        at: Timestamp,
        first: &Event,
    ) -> Result<Self, Misuse> {
        let Event::RolloutStarted { spec, by, .. } = first else {
            return Err(Misuse("a rollout must begin with `rollout_started`"));
        };
        if spec.service != lease.service {
            return Err(Misuse("the lease is for another service than the rollout"));
        }
        Ok(Self {
            record: RolloutRecord {
                id,
                service: spec.service.clone(),
                kind: spec.kind,
                from: spec.from.as_ref().map(|from| from.digest.clone()),
                to: spec.target.digest.clone(),
                outcome: RUNNING.to_owned(),
                started_at: at,
                ended_at: None,
                by: by.clone(),
                partial: spec.hosts.iter().any(|host| !host.selected),
            },
            epoch: lease.epoch,
        })
    }

    /// The row after `event`. Whoever writes another event than a pause or an end is at work: the rollout runs.
    ///
    /// # Errors
    /// When the rollout is over, belongs to another service than the lease, or would start twice.
    pub(crate) fn after(
        mut self,
        lease: &Lease,
        at: Timestamp,
        event: &Event,
    ) -> Result<Self, Misuse> {
        if self.record.service != lease.service {
            return Err(Misuse("the lease is for another service than the rollout"));
        }
        if !self.is_unfinished() {
            return Err(Misuse("the rollout is over"));
        }
        let (outcome, over) = match event {
            Event::RolloutStarted { .. } => return Err(Misuse("a rollout starts only once")),
            Event::RolloutPaused => (PAUSED.to_owned(), false),
            Event::RolloutSuperseded { .. } => (SUPERSEDED.to_owned(), true),
            Event::RolloutEnded { outcome } => (outcome.to_string(), true),
            Event::HostObserved { .. }
            | Event::HealthChanged { .. }
            | Event::HostRebooted { .. }
            | Event::DrainCutShort { .. }
            | Event::ActionStarted { .. }
            | Event::ActionEnded { .. }
            | Event::InstanceMarked { .. }
            | Event::RolloutResumed { .. }
            | Event::StepReached { .. }
            | Event::StepApproved { .. }
            | Event::StepOpened { .. }
            | Event::RollbackStarted { .. }
            | Event::AbortRequested { .. }
            | Event::HookStarted { .. }
            | Event::HookEnded { .. }
            | Event::ReadBack { .. }
            | Event::PauseRequested { .. } => (RUNNING.to_owned(), false),
        };
        self.record.outcome = outcome;
        self.record.ended_at = over.then_some(at);
        self.epoch = lease.epoch;
        Ok(self)
    }

    /// Whether it could still go on.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.record.outcome == RUNNING || self.record.outcome == PAUSED
    }

    /// As it is listed: one that runs, but under a lease that nobody holds any more, is interrupted.
    pub(crate) fn listed(self, lease: Option<&LeaseRow>, here: &Here) -> RolloutRecord {
        let driven = lease
            .is_some_and(|lease| lease.epoch == self.epoch && lease.live_holder(here).is_some());
        let mut record = self.record;
        if record.outcome == RUNNING && !driven {
            record.outcome = INTERRUPTED.to_owned();
        }
        record
    }
}
