//! The state of a rollout: what has happened, folded. [`RolloutState::apply`] is the only way in.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event::{
    ActionKind, ActionOutcome, Event, Mark, Outcome, PauseCause, RecordedEvent, Runs, Sight,
    Started,
};
use super::health::Health;
use super::ids::{HostName, RolloutId};
use super::spec::{RolloutKind, Spec};
use super::time::Timestamp;

/// All that is known of one rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutState {
    /// What it is to reach.
    pub spec: Spec,
    /// Every host of the service, in inventory order.
    pub instances: Vec<Instance>,
    /// Set once somebody or something asked for a pause.
    pub pause: Option<PauseCause>,
    /// Where the rollout as a whole stands.
    pub phase: RolloutPhase,
    /// When it started.
    pub started_at: Timestamp,
    /// When a phase last ended well.
    pub progress_at: Timestamp,
    index: BTreeMap<HostName, usize>,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutPhase {
    /// Some host was not looked at yet.
    Observing,
    /// At work.
    Progressing,
    /// Nothing is in flight; it waits for somebody.
    Paused,
    /// Another rollout took its place.
    Superseded(RolloutId),
    /// Over.
    Ended(Outcome),
}

/// One host of the service in a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Which host.
    pub host: HostName,
    /// Whether this rollout may touch it.
    pub selected: bool,
    /// Whether it can be worked on; nothing before it was looked at.
    pub reach: Option<Reach>,
    /// What it ran when it was first looked at; nothing when nobody knows.
    pub before: Option<Runs>,
    /// What it runs as far as is known; while it is in work, what it is being switched to.
    pub runs: Option<Runs>,
    /// Whether it was not ready when its switch was decided.
    pub sick_before: bool,
    /// Its health; nothing before the first poll.
    pub health: Option<Health>,
    /// Until when the last look at its health may be relied upon. Not part of the events: after a crash nothing is fresh.
    pub fresh_until: Timestamp,
    /// Where the rollout is with it.
    pub stage: Stage,
    /// The action that was started and has not ended.
    pub open: Option<ActionKind>,
    /// Whether old revisions were removed from it, or that was tried.
    pub pruned: bool,
}

/// Whether a host can be worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Yes.
    Reachable,
    /// SSH cannot reach it.
    Unreachable {
        /// Why, with the way out.
        reason: String,
    },
    /// It answers but cannot take part, its staging failed, or it refused to be switched; its instance was not touched.
    Refused {
        /// Why, with the way out.
        reason: String,
    },
}

/// Where the rollout is with an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was done.
    Pending,
    /// The revision is being shipped.
    Staging,
    /// The revision is on the host, verified.
    Staged,
    /// The switch was decided.
    Activating {
        /// When.
        since: Timestamp,
        /// What the instance was when that was decided.
        expects: Expects,
    },
    /// The new one was started and has to prove itself.
    Settling {
        /// When it was started, as far as the controller saw.
        since: Timestamp,
        /// How it was started.
        started: Started,
    },
    /// It proved itself; that is being read back.
    Confirming {
        /// When it was started.
        since: Timestamp,
        /// How it was started.
        started: Started,
    },
    /// It runs the target.
    Updated {
        /// How it was started; nothing when it ran the target already.
        started: Option<Started>,
    },
    /// It failed by us and is to be put back.
    Failed {
        /// Why.
        reason: String,
    },
    /// It is being put back.
    Reverting {
        /// Why.
        reason: String,
    },
    /// What ran before was started again and has to become available.
    Recovering {
        /// When it was started.
        since: Timestamp,
        /// How it was started.
        started: Started,
        /// Why it was put back.
        reason: String,
    },
    /// It was put back.
    Reverted {
        /// Why.
        reason: String,
    },
    /// It could not be put back: somebody must look.
    Broken {
        /// Why.
        reason: String,
    },
}

/// What an instance is believed to be when its switch is decided; the switch is declined when a fresh look differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expects {
    /// Nothing runs there.
    Absent,
    /// Broken: it costs no availability.
    Broken,
    /// Neither absent nor broken: it counts as lost from now on.
    Running,
}

/// An event that cannot happen in that state: a damaged ledger or a mistake of ours, never a reason to go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalEvent {
    /// The first event is not `RolloutStarted`, or there is none.
    #[error("a rollout does not begin with its start")]
    NoStart,
    /// It names a host that the rollout does not have.
    #[error("event names host `{host}`, which the rollout does not have")]
    NoSuchHost {
        /// The name.
        host: HostName,
    },
    /// The state does not allow it.
    #[error("event cannot happen now: {event} while {state}")]
    OutOfPlace {
        /// The event, for a developer's eyes.
        event: String,
        /// The state of its instance or of the rollout.
        state: String,
    },
}

impl Instance {
    fn new(host: HostName, selected: bool) -> Self {
        Self {
            host,
            selected,
            reach: None,
            before: None,
            runs: None,
            sick_before: false,
            health: None,
            fresh_until: Timestamp::LONG_AGO,
            stage: Stage::Pending,
            open: None,
            pruned: false,
        }
    }

    /// Whether nothing runs there, for certain.
    pub fn is_absent(&self) -> bool {
        self.runs == Some(Runs::Nothing)
    }

    /// Whether it can be worked on.
    pub fn is_reachable(&self) -> bool {
        self.reach == Some(Reach::Reachable)
    }

    /// Whether its first look is complete: the host was seen, and what runs there was asked for its health once.
    pub fn is_looked_at(&self) -> bool {
        self.reach.is_some() && (self.health.is_some() || self.is_absent())
    }

    /// Whether rollctl has it in hand: it is not available, whatever a probe says.
    pub fn is_in_hand(&self) -> bool {
        !matches!(
            self.stage,
            Stage::Pending
                | Stage::Staging
                | Stage::Staged
                | Stage::Updated { .. }
                | Stage::Reverted { .. }
        )
    }

    /// Whether it was ready without a break for `min_ready`, and is not in rollctl's hand.
    pub fn is_available(&self, now: Timestamp, min_ready: Duration) -> bool {
        let ready =
            matches!(self.health, Some(Health::Ready { since }) if now.since(since) >= min_ready);
        ready && !self.is_in_hand() && !self.is_absent()
    }

    /// Whether it was observed failing three polls in a row.
    pub fn is_broken(&self) -> bool {
        self.health.is_some_and(Health::is_broken)
    }

    /// Whether it failed by us in this rollout, put back or not; and why.
    pub fn failure(&self) -> Option<&str> {
        match &self.stage {
            Stage::Failed { reason }
            | Stage::Reverting { reason }
            | Stage::Recovering { reason, .. }
            | Stage::Reverted { reason }
            | Stage::Broken { reason } => Some(reason),
            _ => None,
        }
    }

    /// Whether this rollout has ever switched it.
    pub fn was_touched(&self) -> bool {
        self.is_in_hand()
            || self.failure().is_some()
            || matches!(self.stage, Stage::Updated { started: Some(_) })
    }

    /// How its units were last started by us, where that can be compared with what runs.
    pub fn started(&self) -> Option<&Started> {
        match &self.stage {
            Stage::Settling { started, .. }
            | Stage::Confirming { started, .. }
            | Stage::Recovering { started, .. } => Some(started),
            Stage::Updated { started } => started.as_ref(),
            _ => None,
        }
    }
}

impl RolloutState {
    /// The state after the first event.
    ///
    /// # Errors
    /// When it is not `RolloutStarted`.
    pub fn start(at: Timestamp, first: &Event) -> Result<Self, IllegalEvent> {
        let Event::RolloutStarted { spec, .. } = first else {
            return Err(IllegalEvent::NoStart);
        };
        let instances: Vec<_> = spec
            .hosts
            .iter()
            .map(|host| Instance::new(host.name.clone(), host.selected))
            .collect();
        let index = instances
            .iter()
            .enumerate()
            .map(|(place, instance)| (instance.host.clone(), place))
            .collect();
        Ok(Self {
            spec: (**spec).clone(),
            instances,
            pause: None,
            phase: RolloutPhase::Observing,
            started_at: at,
            progress_at: at,
            index,
        })
    }

    /// The state after all these events.
    ///
    /// # Errors
    /// When one of them cannot happen where it stands.
    pub fn fold(events: &[RecordedEvent]) -> Result<Self, IllegalEvent> {
        let (first, rest) = events.split_first().ok_or(IllegalEvent::NoStart)?;
        let mut state = Self::start(first.at, &first.event)?;
        for recorded in rest {
            state.apply(recorded.at, &recorded.event)?;
        }
        Ok(state)
    }

    /// The instance on a host.
    pub fn instance(&self, host: &HostName) -> Option<&Instance> {
        self.index
            .get(host)
            .and_then(|place| self.instances.get(*place))
    }

    fn instance_mut(&mut self, host: &HostName) -> Result<&mut Instance, IllegalEvent> {
        self.index
            .get(host)
            .and_then(|place| self.instances.get_mut(*place))
            .ok_or_else(|| IllegalEvent::NoSuchHost { host: host.clone() })
    }

    /// Whether nothing more can happen, except that another rollout takes a paused one's place.
    pub fn is_over(&self) -> bool {
        !matches!(
            self.phase,
            RolloutPhase::Observing | RolloutPhase::Progressing
        )
    }

    /// Notes a look at an instance that changed nothing: not an event, and lost with the controller.
    pub fn saw(&mut self, host: &HostName, fresh_until: Timestamp) {
        if let Ok(instance) = self.instance_mut(host) {
            instance.fresh_until = fresh_until;
        }
    }

    /// Takes one event.
    ///
    /// # Errors
    /// When it cannot happen in this state; the state is then unchanged.
    pub fn apply(&mut self, at: Timestamp, event: &Event) -> Result<(), IllegalEvent> {
        let out_of_place = |state: String| IllegalEvent::OutOfPlace {
            event: format!("{event:?}"),
            state,
        };
        if self.is_over()
            && !matches!(
                (&self.phase, event),
                (RolloutPhase::Paused, Event::RolloutSuperseded { .. })
            )
        {
            // An interrupted rollout is superseded while it was progressing; a paused one after it paused.
            return Err(out_of_place(format!("the rollout is {:?}", self.phase)));
        }
        match event {
            Event::RolloutStarted { .. } => return Err(out_of_place("it has started".to_owned())),
            Event::PauseRequested { cause } => {
                self.pause.get_or_insert_with(|| cause.clone());
            }
            Event::RolloutPaused => self.phase = RolloutPhase::Paused,
            // Until their meaning is written.
            Event::RolloutResumed { .. }
            | Event::StepReached { .. }
            | Event::StepApproved { .. }
            | Event::StepOpened { .. }
            | Event::RollbackStarted { .. }
            | Event::AbortRequested { .. } => {
                return Err(out_of_place("it is not known yet".into()));
            }
            Event::RolloutSuperseded { by } => self.phase = RolloutPhase::Superseded(*by),
            Event::RolloutEnded { outcome } => self.phase = RolloutPhase::Ended(*outcome),
            Event::HostObserved { host, .. }
            | Event::HealthChanged { host, .. }
            | Event::HostRebooted { host, .. }
            | Event::ActionStarted { host, .. }
            | Event::ActionEnded { host, .. }
            | Event::InstanceMarked { host, .. } => {
                let (target, kind) = (
                    Runs::Revision {
                        revision: self.spec.target.clone(),
                    },
                    self.spec.kind,
                );
                let instance = self.instance_mut(host)?;
                let state = format!("{:?}", instance.stage);
                let went_well = instance
                    .apply(at, event, &target, kind)
                    .ok_or_else(|| out_of_place(state))?;
                if went_well {
                    self.progress_at = at;
                }
                if self.phase == RolloutPhase::Observing
                    && self.instances.iter().all(Instance::is_looked_at)
                {
                    self.phase = RolloutPhase::Progressing;
                    self.progress_at = at;
                }
            }
        }
        Ok(())
    }
}

impl Instance {
    /// Takes an event about this instance; whether a phase ended well, or nothing when it cannot happen here.
    fn apply(
        &mut self,
        at: Timestamp,
        event: &Event,
        target: &Runs,
        kind: RolloutKind,
    ) -> Option<bool> {
        match event {
            Event::HostObserved { sight, .. } if self.reach.is_none() => {
                self.observe(sight, target, kind);
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
            Event::HostRebooted { started, .. } => self.reboot(at, started),
            Event::ActionStarted { action, .. } if self.open.is_none() => {
                self.begin(at, *action, target)?;
                self.open = Some(*action);
                Some(false)
            }
            Event::ActionEnded {
                action, outcome, ..
            } if self.open == Some(*action) => {
                let went_well = self.end(at, *action, outcome)?;
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

    fn observe(&mut self, sight: &Sight, target: &Runs, kind: RolloutKind) {
        match sight {
            Sight::Reachable { runs, .. } => {
                self.reach = Some(Reach::Reachable);
                let same = match (runs, target) {
                    (Runs::Revision { revision }, Runs::Revision { revision: wanted }) => {
                        revision.digest == wanted.digest
                    }
                    _ => false,
                };
                if same && kind != RolloutKind::Restart {
                    self.stage = Stage::Updated { started: None };
                }
                (self.before, self.runs) = (Some(runs.clone()), Some(runs.clone()));
            }
            Sight::Unreachable { reason } => {
                self.reach = Some(Reach::Unreachable {
                    reason: reason.clone(),
                })
            }
            Sight::Refused { reason } => {
                self.reach = Some(Reach::Refused {
                    reason: reason.clone(),
                })
            }
        }
    }

    fn reboot(&mut self, at: Timestamp, new: &Started) -> Option<bool> {
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
    fn begin(&mut self, at: Timestamp, action: ActionKind, target: &Runs) -> Option<()> {
        match (action, &self.stage) {
            (ActionKind::Stage, Stage::Pending | Stage::Updated { started: None }) => {
                self.stage = Stage::Staging
            }
            (ActionKind::Activate, Stage::Staged) => {
                let expects = match () {
                    () if self.is_absent() => Expects::Absent,
                    () if self.is_broken() => Expects::Broken,
                    () => Expects::Running,
                };
                self.sick_before =
                    expects != Expects::Absent && !self.health.is_some_and(Health::is_ready);
                self.stage = Stage::Activating { since: at, expects };
                self.runs = Some(target.clone());
                self.health = Some(Health::Unknown);
            }
            (ActionKind::Confirm, Stage::Settling { since, started }) => {
                self.stage = Stage::Confirming {
                    since: *since,
                    started: started.clone(),
                };
            }
            (ActionKind::Revert, Stage::Failed { reason }) => {
                self.stage = Stage::Reverting {
                    reason: reason.clone(),
                };
                self.runs = self.before.clone();
                self.health = Some(Health::Unknown);
            }
            (ActionKind::Prune, Stage::Updated { .. }) => self.pruned = true,
            _ => return None,
        }
        Some(())
    }

    fn end(&mut self, at: Timestamp, action: ActionKind, outcome: &ActionOutcome) -> Option<bool> {
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
            (ActionKind::Stage, Stage::Staging) if done => Stage::Staged,
            (ActionKind::Stage, Stage::Staging) => {
                self.reach = Some(Reach::Refused { reason });
                Stage::Pending
            }
            // The deadline runs from the start: how long the old one took to stop is not the new one's fault.
            (ActionKind::Activate, Stage::Activating { .. }) if done => Stage::Settling {
                since: at,
                started: started?,
            },
            (ActionKind::Activate, Stage::Activating { .. })
                if matches!(outcome, ActionOutcome::Declined { .. }) =>
            {
                self.runs = self.before.clone();
                Stage::Staged
            }
            // Nothing was changed: it runs what it ran, and there is nothing to put back.
            (ActionKind::Activate, Stage::Activating { .. })
                if matches!(outcome, ActionOutcome::Refused { .. }) =>
            {
                self.runs = self.before.clone();
                self.reach = Some(Reach::Refused { reason });
                Stage::Pending
            }
            (ActionKind::Confirm, Stage::Confirming { started, .. }) if done => Stage::Updated {
                started: Some(started.clone()),
            },
            (
                ActionKind::Activate | ActionKind::Confirm,
                Stage::Activating { .. } | Stage::Confirming { .. },
            ) => Stage::Failed { reason },
            (ActionKind::Revert, Stage::Reverting { reason }) if done => {
                match started {
                    // Of one that was sick before, the health is not asked: it is back as it was.
                    Some(started) if !self.sick_before && !self.is_absent() => Stage::Recovering {
                        since: at,
                        started,
                        reason: reason.clone(),
                    },
                    _ => Stage::Reverted {
                        reason: reason.clone(),
                    },
                }
            }
            (ActionKind::Revert, Stage::Reverting { reason: why }) => Stage::Broken {
                reason: format!("{why}; putting it back failed: {reason}"),
            },
            _ => return None,
        };
        self.stage = next;
        Some(done)
    }

    fn mark(&mut self, mark: &Mark) -> Option<bool> {
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
            (Mark::Reverted, Stage::Recovering { reason, .. }) => (
                Stage::Reverted {
                    reason: reason.clone(),
                },
                true,
            ),
            (Mark::Broken { reason }, Stage::Recovering { reason: why, .. }) => (
                Stage::Broken {
                    reason: format!("{why}; putting it back failed: {reason}"),
                },
                false,
            ),
            _ => return None,
        };
        self.stage = next;
        Some(went_well)
    }
}
