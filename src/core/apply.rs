//! What an event makes of one instance: one match over (stage, event). A pair that is not listed cannot happen.

use std::collections::BTreeSet;

use super::event::{ActionKind, Event, Runs, Sight, Started};
use super::health::Health;
use super::hooks::HookKind;
use super::ids::RevisionRef;
use super::instance::{Expects, Instance, Reach, Stage};
use super::spec::RolloutKind;
use super::time::Timestamp;

/// What an instance has to know of its rollout to take an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) at: Timestamp,
    pub(super) target: &'a RevisionRef,
    pub(super) kind: RolloutKind,
    /// The hooks that the service has.
    pub(super) hooks: &'a BTreeSet<HookKind>,
    /// Whether every host goes back to what it ran before.
    pub(super) goes_back: bool,
}

impl Surroundings<'_> {
    /// Whether that is the target; names do not matter.
    pub(super) fn is_target(&self, runs: &Runs) -> bool {
        runs.is(self.target)
    }
}

impl Instance {
    /// Takes an event about this instance; whether a phase ended well, or nothing when it cannot happen here.
    pub(super) fn apply(&mut self, event: &Event, around: &Surroundings<'_>) -> Option<bool> {
        match event {
            Event::HostObserved {
                sight,
                traffic,
                sibling,
                ..
            } if self.reach.is_none() => {
                let look = self.look_at(sight, traffic.as_ref(), sibling.as_deref(), around);
                self.observe(&look.sight, around);
                self.observe_both(look.traffic.as_ref(), look.sibling.as_ref());
                Some(false)
            }
            Event::HealthChanged {
                health,
                sibling: true,
                ..
            } => {
                let sibling = self.sibling.as_mut().filter(|_| self.reach.is_some())?;
                sibling.health = Some(*health);
                Some(false)
            }
            Event::HealthChanged { health, .. } => {
                // What was seen before or during a switch says nothing about what runs after it.
                let switching = matches!(
                    self.stage,
                    Stage::Activating { .. } | Stage::Reverting { .. }
                );
                if switching || self.reach.is_none() {
                    return None;
                }
                self.health = Some(*health);
                Some(false)
            }
            Event::HostRebooted { started, .. } => self.reboot(around.at, started),
            Event::DrainCutShort { .. }
                if matches!(
                    self.open,
                    Some(ActionKind::Drain | ActionKind::DrainSibling)
                ) =>
            {
                Some(false)
            }
            Event::HookEnded { hook, .. }
                if self.open.and_then(ActionKind::hook) == Some(*hook) =>
            {
                Some(false)
            }
            Event::ActionStarted { action, .. } if self.open.is_none() => {
                self.begin(*action, around)?;
                self.open = Some(*action);
                Some(false)
            }
            Event::ActionEnded {
                action, outcome, ..
            } if self.open == Some(*action) => {
                let went_well = self.end(around.at, *action, outcome)?;
                self.open = None;
                Some(went_well)
            }
            Event::InstanceMarked { mark, .. }
                if self.open.is_none_or(|open| open == ActionKind::Prune) =>
            {
                self.mark(mark)
            }
            _ => None,
        }
    }

    fn observe(&mut self, sight: &Sight, around: &Surroundings<'_>) {
        match sight {
            Sight::Reachable { runs, .. } => {
                self.reach = Some(Reach::Reachable);
                self.runs = Some(runs.clone());
            }
            Sight::Unreachable { reason } => {
                self.reach = Some(Reach::Unreachable {
                    reason: reason.clone(),
                });
            }
            Sight::Refused { reason } => {
                self.reach = Some(Reach::Refused {
                    reason: reason.clone(),
                });
            }
        }
        if self.was_touched() {
            self.look_again(sight, around);
        } else {
            self.look_first(sight, around);
        }
    }

    pub(super) fn look_first(&mut self, sight: &Sight, around: &Surroundings<'_>) {
        self.stage = Stage::Pending;
        let Sight::Reachable {
            runs,
            started,
            unproven,
        } = sight
        else {
            return;
        };
        self.before = Some(runs.clone());
        self.unproven = unproven.is_some();
        self.ran_target = false;
        if !around.is_target(runs) || around.kind == RolloutKind::Restart {
            return;
        }
        self.stage = match (unproven, started) {
            // Switched by a controller that died: this rollout proves it, or puts back what ran before.
            (Some(unproven), Some(started)) => {
                self.before = Some(unproven.before.clone());
                self.unproven = false;
                self.health = Some(Health::Unknown);
                Stage::Settling {
                    since: around.at,
                    started: started.clone(),
                }
            }
            _ => {
                self.ran_target = true;
                Stage::Updated { started: None }
            }
        };
    }

    fn reboot(&mut self, at: Timestamp, new: &Started) -> Option<bool> {
        if matches!(self.stage, Stage::Settling { .. }) && self.has_before_beside() {
            // What was not confirmed is not started by a boot: the host runs what ran before, and it is begun anew.
            self.step_back();
            (self.stage, self.health) = (Stage::Staged, Some(Health::Unknown));
            return Some(false);
        }
        match &mut self.stage {
            Stage::Settling { since, started } | Stage::Recovering { since, started, .. } => {
                (*since, *started) = (at, new.clone());
            }
            Stage::Updated {
                started: Some(started),
            } => *started = new.clone(),
            _ => return None,
        }
        self.health = Some(Health::Unknown);
        Some(false)
    }

    /// A switch takes away what health was seen before it: that says nothing after it.
    fn begin(&mut self, action: ActionKind, around: &Surroundings<'_>) -> Option<()> {
        let at = around.at;
        match (action, &self.stage) {
            (ActionKind::Start, Stage::Staged) if self.may_have_a_sibling() => {
                self.sick_before = !self.health.is_some_and(Health::is_ready);
                let expects = self.expects_now();
                self.step_aside(Runs::Revision {
                    revision: around.target.clone(),
                });
                self.stage = Stage::Activating { since: at, expects };
            }
            (ActionKind::Start, Stage::Updated { started: Some(_) })
                if around.goes_back && self.may_have_a_sibling() =>
            {
                let before = self.before.clone()?;
                self.step_aside(before);
                self.stage = Stage::Reverting { failure: None };
            }
            (ActionKind::DrainSibling, _) => {
                let sibling = self.sibling.as_mut()?;
                sibling.leaving = true;
                sibling.traffic.as_mut()?.take_out();
            }
            (ActionKind::StopSibling, _) => self.sibling.as_mut()?.leaving = true,
            (ActionKind::AttachSibling, _) => self.sibling.as_mut()?.leaving = false,
            (ActionKind::Revert, Stage::Failed { reason }) if self.has_before_beside() => {
                let failure = Some(reason.clone());
                self.stage = Stage::Reverting { failure };
                self.health = Some(Health::Unknown);
            }
            (
                ActionKind::Revert,
                Stage::Settling { .. }
                | Stage::Updated { started: Some(_) }
                | Stage::Draining {
                    started: Some(_), ..
                },
            ) if around.goes_back && self.has_before_beside() => {
                self.stage = Stage::Reverting { failure: None };
                self.health = Some(Health::Unknown);
            }
            (ActionKind::Drain, _) if self.is_at_peace_on_a_spare() && self.is_to_drain() => {
                self.stage = Stage::Retiring;
                self.take_out();
            }
            (ActionKind::Stop, Stage::Retiring) => {}
            (ActionKind::Stop, _) if self.is_at_peace_on_a_spare() && !self.is_to_drain() => {
                self.stage = Stage::Retiring;
            }
            (ActionKind::Stage, Stage::Pending | Stage::Updated { started: None }) => {
                self.stage = Stage::Staging;
                self.prepared = false;
            }
            (ActionKind::BeforeInstance, Stage::Staged) if !around.goes_back => {
                self.stage = Stage::Preparing { beside: false };
            }
            (ActionKind::BeforeStart, Stage::Staged)
                if !around.goes_back && self.sibling.is_none() && !self.is_absent() =>
            {
                self.stage = Stage::Preparing { beside: true };
            }
            (ActionKind::AfterInstance, _) if self.owes_hook() => {}
            (ActionKind::Drain, Stage::Staged) if self.is_to_drain() => {
                let expects = self.expects_now();
                self.sick_before =
                    expects != Expects::Absent && !self.health.is_some_and(Health::is_ready);
                self.stage = Stage::Draining {
                    expects,
                    started: None,
                };
                self.take_out();
            }
            (
                ActionKind::Drain,
                Stage::Updated {
                    started: Some(started),
                },
            ) if around.goes_back && self.is_to_drain() => {
                self.stage = Stage::Draining {
                    expects: self.expects_now(),
                    started: Some(started.clone()),
                };
                self.take_out();
            }
            (ActionKind::Drain, Stage::Failed { .. }) if self.is_to_drain() => self.take_out(),
            (ActionKind::Drain, Stage::Settling { .. })
                if around.goes_back && self.is_to_drain() =>
            {
                self.take_out();
            }
            (ActionKind::Attach, _) if self.traffic.is_some() && !self.is_in_hand() => {}
            // The rollout goes back: what was not switched yet is only put back into traffic.
            (ActionKind::Attach, Stage::Draining { started: None, .. }) if around.goes_back => {
                self.stage = Stage::Pending;
            }
            (ActionKind::Activate, Stage::Staged) if !self.is_to_drain() => {
                let expects = self.expects_now();
                self.sick_before =
                    expects != Expects::Absent && !self.health.is_some_and(Health::is_ready);
                self.activate(at, expects, around.target);
            }
            (
                ActionKind::Activate,
                Stage::Draining {
                    expects,
                    started: None,
                },
            ) => self.activate(at, *expects, around.target),
            (
                ActionKind::Revert,
                Stage::Draining {
                    started: Some(_), ..
                },
            ) if around.goes_back => self.go_back(None),
            (ActionKind::Confirm, Stage::Settling { since, started }) => {
                self.hook_due = around.hooks.contains(&HookKind::AfterInstance);
                self.stage = Stage::Confirming {
                    since: *since,
                    started: started.clone(),
                };
            }
            (ActionKind::Revert, Stage::Failed { reason }) => {
                let failure = Some(reason.clone());
                self.go_back(failure);
            }
            (ActionKind::Revert, Stage::Settling { .. } | Stage::Updated { started: Some(_) })
                if around.goes_back =>
            {
                self.go_back(None)
            }
            (ActionKind::Prune, Stage::Updated { .. }) => self.pruned = true,
            _ => return None,
        }
        Some(())
    }

    fn may_have_a_sibling(&self) -> bool {
        self.sibling.is_none() && self.is_reachable() && !self.is_absent() && !self.spare
    }

    fn is_at_peace_on_a_spare(&self) -> bool {
        self.is_surplus() && !self.is_in_hand()
    }

    /// What it is believed to be now that its switch is decided.
    fn expects_now(&self) -> Expects {
        match () {
            () if self.is_absent() => Expects::Absent,
            () if self.is_broken() => Expects::Broken,
            () => Expects::Running,
        }
    }

    fn activate(&mut self, at: Timestamp, expects: Expects, target: &RevisionRef) {
        self.stage = Stage::Activating { since: at, expects };
        self.runs = Some(Runs::Revision {
            revision: target.clone(),
        });
        self.health = Some(Health::Unknown);
    }

    fn go_back(&mut self, failure: Option<String>) {
        self.stage = Stage::Reverting { failure };
        self.runs = self.before.clone();
        self.health = Some(Health::Unknown);
    }
}
