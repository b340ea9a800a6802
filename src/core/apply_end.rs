//! Where an action that has ended, or a mark, leaves an instance.

use super::event::{ActionKind, ActionOutcome, Mark, Runs, Started};
use super::instance::{Instance, Reach, Stage};
use super::time::Timestamp;

impl Instance {
    pub(super) fn end(
        &mut self,
        at: Timestamp,
        action: ActionKind,
        outcome: &ActionOutcome,
    ) -> Option<bool> {
        let (done, reason) = match outcome {
            ActionOutcome::Done { .. } => (true, String::new()),
            ActionOutcome::Declined { reason }
            | ActionOutcome::Refused { reason }
            | ActionOutcome::Failed { reason }
            | ActionOutcome::Lost { reason } => (false, reason.clone()),
        };
        let started = match outcome {
            ActionOutcome::Done { started } => started.clone(),
            _ => None,
        };
        let next = match (action, &self.stage) {
            (ActionKind::Prune, stage) => stage.clone(),
            (ActionKind::Drain, stage) => self.drained(&stage.clone(), outcome, reason)?,
            (ActionKind::Stop, Stage::Retiring) => self.stopped(outcome, reason),
            (ActionKind::DrainSibling, stage) => {
                let stage = stage.clone();
                self.sibling_drained(outcome, reason);
                stage
            }
            (ActionKind::StopSibling, stage) => {
                let stage = stage.clone();
                self.sibling_stopped(outcome, reason);
                stage
            }
            (ActionKind::AttachSibling, stage) => {
                let stage = stage.clone();
                self.sibling_attached(done, reason);
                stage
            }
            (ActionKind::Revert, Stage::Reverting { failure })
                if done && self.has_before_beside() =>
            {
                let failure = failure.clone();
                self.step_back();
                Stage::Reverted { failure }
            }
            (ActionKind::Attach, stage) => self.attached(&stage.clone(), done, &reason),
            (ActionKind::Stage, Stage::Staging) if done => Stage::Staged,
            (ActionKind::Stage, Stage::Staging) => {
                self.reach = Some(Reach::Refused { reason });
                Stage::Pending
            }
            (ActionKind::Start, Stage::Reverting { failure: None }) if done => Stage::Recovering {
                since: at,
                started: started?,
                failure: None,
            },
            (ActionKind::Start, Stage::Reverting { .. }) => match outcome {
                ActionOutcome::Lost { .. } => Stage::Lost {
                    reason: lost(None, &reason),
                },
                _ => Stage::Broken {
                    reason: broken(None, &reason),
                },
            },
            (ActionKind::BeforeInstance | ActionKind::BeforeStart, Stage::Preparing { .. })
                if done =>
            {
                self.prepared = true;
                Stage::Staged
            }
            // Nothing was done yet: it runs what it ran, and is left alone.
            (ActionKind::BeforeInstance | ActionKind::BeforeStart, Stage::Preparing { .. }) => {
                self.reach = Some(Reach::Refused { reason });
                Stage::Pending
            }
            (ActionKind::AfterInstance, stage) if done => {
                self.hook_due = false;
                stage.clone()
            }
            (ActionKind::AfterInstance, Stage::Updated { .. }) => Stage::Failed { reason },
            // The deadline runs from the start: how long the old one took to stop is not the new one's fault.
            (ActionKind::Activate | ActionKind::Start, Stage::Activating { .. }) if done => {
                self.unproven = false;
                Stage::Settling {
                    since: at,
                    started: started?,
                }
            }
            (ActionKind::Activate | ActionKind::Start, Stage::Activating { .. })
                if matches!(outcome, ActionOutcome::Declined { .. }) =>
            {
                self.nothing_was_begun(action);
                Stage::Staged
            }
            // Nothing was changed: it runs what it ran, and there is nothing to put back.
            (ActionKind::Activate | ActionKind::Start, Stage::Activating { .. })
                if matches!(outcome, ActionOutcome::Refused { .. }) =>
            {
                self.nothing_was_begun(action);
                self.reach = Some(Reach::Refused { reason });
                Stage::Pending
            }
            (ActionKind::Confirm, Stage::Confirming { started, .. }) if done => Stage::Updated {
                started: Some(started.clone()),
            },
            (
                ActionKind::Activate | ActionKind::Start | ActionKind::Confirm,
                Stage::Activating { .. } | Stage::Confirming { .. },
            ) => Stage::Failed { reason },
            (ActionKind::Revert, Stage::Reverting { failure }) => {
                let failure = failure.clone();
                self.reverted(at, outcome, started, failure, reason)
            }
            _ => return None,
        };
        self.stage = next;
        Some(done)
    }

    pub(super) fn nothing_was_begun(&mut self, action: ActionKind) {
        match action {
            ActionKind::Start => self.step_back(),
            _ => self.runs = self.before.clone(),
        }
    }

    /// Where it leads that a spare host's instance was stopped, or could not be. What this rollout has started there once
    /// is not started again.
    pub(super) fn stopped(&mut self, outcome: &ActionOutcome, reason: String) -> Stage {
        match outcome {
            ActionOutcome::Done { .. } => {
                self.runs = Some(Runs::Nothing);
                (self.unproven, self.ran_target) = (false, false);
                if let Some(traffic) = &mut self.traffic {
                    traffic.gone();
                }
                match self.before.replace(Runs::Nothing) {
                    Some(Runs::Nothing) => Stage::Retired,
                    // An earlier rollout had left it there: it is as free as any other now.
                    _ => Stage::Pending,
                }
            }
            ActionOutcome::Lost { .. } => Stage::Lost {
                reason: format!("its host was lost while it was stopped: {reason}"),
            },
            _ => Stage::Broken {
                reason: format!("it could not be stopped on its spare host: {reason}"),
            },
        }
    }

    /// Where a revert leads that came to an end.
    pub(super) fn reverted(
        &self,
        at: Timestamp,
        outcome: &ActionOutcome,
        started: Option<Started>,
        failure: Option<String>,
        reason: String,
    ) -> Stage {
        match (outcome, started) {
            // Of one that was sick before, the health is not asked: it is back as it was.
            (ActionOutcome::Done { .. }, Some(started))
                if !self.sick_before && !self.is_absent() =>
            {
                Stage::Recovering {
                    since: at,
                    started,
                    failure,
                }
            }
            (ActionOutcome::Done { .. }, _) => Stage::Reverted { failure },
            (ActionOutcome::Lost { .. }, _) => Stage::Lost {
                reason: lost(failure.as_deref(), &reason),
            },
            _ => Stage::Broken {
                reason: broken(failure.as_deref(), &reason),
            },
        }
    }

    pub(super) fn mark(&mut self, mark: &Mark) -> Option<bool> {
        let (next, went_well) = match (mark, &self.stage) {
            (
                Mark::Failed { reason },
                Stage::Settling { .. } | Stage::Updated { started: Some(_) },
            ) => (
                Stage::Failed {
                    reason: reason.clone(),
                },
                false,
            ),
            (Mark::Reverted, Stage::Recovering { failure, .. }) => (
                Stage::Reverted {
                    failure: failure.clone(),
                },
                true,
            ),
            (Mark::Broken { reason }, Stage::Recovering { failure, .. }) => (
                Stage::Broken {
                    reason: broken(failure.as_deref(), reason),
                },
                false,
            ),
            _ => return None,
        };
        self.stage = next;
        Some(went_well)
    }
}

fn broken(failure: Option<&str>, reason: &str) -> String {
    match failure {
        Some(why) => format!("{why}; putting it back failed: {reason}"),
        None => format!("putting it back failed: {reason}"),
    }
}

fn lost(failure: Option<&str>, reason: &str) -> String {
    match failure {
        Some(why) if why != reason => {
            format!("{why}; its host was lost: {reason}")
        }
        _ => format!("its host was lost: {reason}"),
    }
}
