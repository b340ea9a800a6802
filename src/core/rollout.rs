//! The state of a rollout: what has happened, folded. [`RolloutState::apply`] is the only way in.

use std::collections::{BTreeMap, BTreeSet};

use super::apply::Surroundings;
use super::event::{Event, Mark, Outcome, PauseCause, RecordedEvent, RollbackCause};
use super::hooks::HookState;
use super::ids::{HostName, RolloutId};
pub use super::instance::{Expects, Instance, Reach, Stage};
use super::spec::{Gate, RolloutKind, Spec};
use super::time::Timestamp;
use super::window::Windowed;

/// All that is known of one rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutState {
    /// What it is to reach.
    pub spec: Spec,
    /// Every host of the service, in inventory order.
    pub instances: Vec<Instance>,
    /// Set once somebody or something asked for a pause.
    pub pause: Option<PauseCause>,
    /// Who ended the rollout where it stood.
    pub abort: Option<String>,
    /// Set once every host goes back to what it ran before.
    pub rollback: Option<RollbackCause>,
    /// What it has to do with the service's window.
    pub window: Option<Windowed>,
    /// The gate at which it stands.
    pub gate: GateState,
    /// Where it is with its own hooks.
    pub hooks: HookState,
    /// Where the rollout as a whole stands.
    pub phase: RolloutPhase,
    /// When it started.
    pub started_at: Timestamp,
    /// When a phase last ended well.
    pub progress_at: Timestamp,
    index: BTreeMap<HostName, usize>,
    /// How many were not looked at yet.
    unseen: usize,
}

/// The gate at which a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GateState {
    /// Its place among the steps; their number once all are open.
    pub step: usize,
    /// Since when as many are available as it asks for; nothing while they are not.
    pub reached_at: Option<Timestamp>,
    /// Whether somebody approved of going on.
    pub approved: bool,
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
            .map(|host| Instance::new(host, spec.balanced))
            .collect();
        let index: BTreeMap<_, _> = instances
            .iter()
            .enumerate()
            .map(|(place, instance)| (instance.host.clone(), place))
            .collect();
        Ok(Self {
            spec: (**spec).clone(),
            instances,
            pause: None,
            abort: None,
            rollback: None,
            window: spec.window,
            gate: GateState::default(),
            hooks: HookState::default(),
            phase: RolloutPhase::Observing,
            started_at: at,
            progress_at: at,
            unseen: index.len(),
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
        self.place(host).and_then(|place| self.instances.get(place))
    }

    /// Where a host stands in inventory order.
    pub fn place(&self, host: &HostName) -> Option<usize> {
        self.index.get(host).copied()
    }

    /// The instances of the ordinary hosts.
    pub fn ordinary(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|instance| !instance.spare)
    }

    /// Whether nothing more can happen, except that another rollout takes a paused one's place.
    pub fn is_over(&self) -> bool {
        !matches!(
            self.phase,
            RolloutPhase::Observing | RolloutPhase::Progressing
        )
    }

    /// Whether every host goes back to what it ran before.
    pub fn goes_back(&self) -> bool {
        self.rollback.is_some()
    }

    /// The hosts that rollouts have taken out of traffic and not put back, with the endpoints at which an operator had
    /// taken them out before: the next rollout has to know.
    pub fn left_out(&self) -> BTreeMap<&HostName, &BTreeSet<String>> {
        // Also of one that is believed to be absent: it may run after all, its removal cut off. Not of what was stopped
        // where it is not needed.
        let left = self.instances.iter().filter_map(|i| {
            let stopped = i.spare && i.is_absent() && !i.is_in_hand();
            let traffic = i.traffic.as_ref().filter(|one| one.taken_out && !stopped)?;
            Some((&i.host, &traffic.kept_out))
        });
        left.collect()
    }

    /// The gate at which it stands, if gates hold for it: not on the way out, and not where nothing ran at the start
    /// (contract, section 3: a first release starts everywhere at once).
    pub fn current_gate(&self) -> Option<&Gate> {
        let first_release = self.ordinary().all(Instance::was_absent);
        if self.spec.kind == RolloutKind::Rollback || self.goes_back() || first_release {
            return None;
        }
        self.spec.steps.get(self.gate.step)
    }

    /// Notes a look at an instance that changed nothing: not an event, and lost with the controller.
    pub fn saw(&mut self, host: &HostName, fresh_until: Timestamp) {
        if let Some(instance) = self.instance_mut(host) {
            instance.fresh_until = fresh_until;
        }
    }

    /// The same of the other instance on the host.
    pub fn saw_sibling(&mut self, host: &HostName, fresh_until: Timestamp) {
        let instance = self.instance_mut(host);
        if let Some(sibling) = instance.and_then(|one| one.sibling.as_mut()) {
            sibling.fresh_until = fresh_until;
        }
    }

    fn instance_mut(&mut self, host: &HostName) -> Option<&mut Instance> {
        let found = self.index.get(host);
        found.and_then(|place| self.instances.get_mut(*place))
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
        if self.is_over() {
            // A paused rollout is gone on with, or makes room; whatever else is over is over.
            let may = self.phase == RolloutPhase::Paused
                && matches!(
                    event,
                    Event::RolloutSuperseded { .. } | Event::RolloutResumed { .. }
                );
            if !may {
                return Err(out_of_place(format!("the rollout is {:?}", self.phase)));
            }
        }
        match event {
            Event::RolloutStarted { .. } => return Err(out_of_place("it has started".to_owned())),
            Event::RolloutResumed { retry, window, .. } => {
                self.resume(at, *retry);
                self.window = *window;
            }
            Event::StepReached { .. } | Event::StepApproved { .. } | Event::StepOpened { .. } => {
                let state = format!("{:?}", self.gate);
                self.pass_gate(at, event)
                    .ok_or_else(|| out_of_place(state))?;
            }
            Event::RollbackStarted { cause } => {
                if self.goes_back() {
                    return Err(out_of_place("it goes back already".to_owned()));
                }
                (self.rollback, self.progress_at) = (Some(cause.clone()), at);
                // Its window may close: the way back goes on.
                if matches!(self.pause, Some(PauseCause::WindowClosed { .. })) {
                    self.pause = None;
                }
            }
            Event::AbortRequested { by } => {
                self.abort.get_or_insert_with(|| by.clone());
            }
            Event::PauseRequested { cause } => {
                self.pause.get_or_insert_with(|| cause.clone());
            }
            Event::HookStarted { .. } | Event::HookEnded { host: None, .. } => {
                let state = format!("{:?}", self.hooks);
                self.run_hook(at, event)
                    .ok_or_else(|| out_of_place(state))?;
            }
            // What happened once, to no instance that is driven now.
            Event::ReadBack { .. } => {}
            Event::RolloutPaused => self.phase = RolloutPhase::Paused,
            Event::RolloutSuperseded { by } => self.phase = RolloutPhase::Superseded(*by),
            Event::RolloutEnded { outcome } => self.phase = RolloutPhase::Ended(*outcome),
            Event::HostObserved { host, .. }
            | Event::HealthChanged { host, .. }
            | Event::HostRebooted { host, .. }
            | Event::DrainCutShort { host, .. }
            | Event::ActionStarted { host, .. }
            | Event::ActionEnded { host, .. }
            | Event::HookEnded {
                host: Some(host), ..
            }
            | Event::InstanceMarked { host, .. } => self.apply_to(host, at, event)?,
        }
        Ok(())
    }

    fn apply_to(
        &mut self,
        host: &HostName,
        at: Timestamp,
        event: &Event,
    ) -> Result<(), IllegalEvent> {
        let around = Surroundings {
            at,
            target: &self.spec.target,
            kind: self.spec.kind,
            hooks: &self.spec.hooks,
            goes_back: self.rollback.is_some(),
        };
        let instance = self
            .index
            .get(host)
            .and_then(|place| self.instances.get_mut(*place))
            .ok_or_else(|| IllegalEvent::NoSuchHost { host: host.clone() })?;
        let was_looked_at = instance.is_looked_at();
        let went_well = instance
            .apply(event, &around)
            .ok_or_else(|| IllegalEvent::OutOfPlace {
                event: format!("{event:?}"),
                state: format!("{:?}", instance.stage),
            })?;
        if !was_looked_at && instance.is_looked_at() {
            self.unseen = self.unseen.saturating_sub(1);
        }
        if went_well {
            self.progress_at = at;
        }
        if matches!(
            event,
            Event::InstanceMarked {
                mark: Mark::Failed { .. },
                ..
            }
        ) {
            // What had proved the step has failed: it has to be reached, and to bake, anew.
            self.gate.reached_at = None;
        }
        if self.phase == RolloutPhase::Observing && self.unseen == 0 {
            self.phase = RolloutPhase::Progressing;
            self.progress_at = at;
        }
        Ok(())
    }

    /// A new controller goes on: nothing that was under way is known for certain.
    fn resume(&mut self, at: Timestamp, retry: bool) {
        self.phase = RolloutPhase::Observing;
        self.pause = None;
        self.gate.reached_at = None;
        self.hooks.forget();
        self.progress_at = at;
        let retry = retry && !self.goes_back();
        for instance in &mut self.instances {
            instance.forget_looks(retry);
        }
        self.unseen = self.instances.len();
    }

    /// A hook of the rollout began or ended.
    fn run_hook(&mut self, at: Timestamp, event: &Event) -> Option<()> {
        match event {
            Event::HookStarted { hook, rest } if self.phase == RolloutPhase::Progressing => {
                self.hooks.start(*hook, *rest, &self.spec.hooks)
            }
            Event::HookEnded { hook, end, .. } => {
                self.progress_at = at;
                self.hooks.end(*hook, end)
            }
            _ => None,
        }
    }

    fn pass_gate(&mut self, at: Timestamp, event: &Event) -> Option<()> {
        let here = self.gate.step;
        self.spec.steps.get(here)?;
        match event {
            Event::StepReached { step } if *step == here && self.gate.reached_at.is_none() => {
                (self.gate.reached_at, self.progress_at) = (Some(at), at);
            }
            Event::StepApproved { step, .. } if *step == here && self.gate.reached_at.is_some() => {
                self.gate.approved = true;
            }
            Event::StepOpened { step } if *step == here && self.gate.reached_at.is_some() => {
                self.gate = GateState {
                    step: here + 1,
                    ..GateState::default()
                };
                self.progress_at = at;
            }
            _ => return None,
        }
        Some(())
    }
}
