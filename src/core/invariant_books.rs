//! What the checker notes of one host.

use super::is_done;
use super::side::Beside;
use super::traffic::Traffic;
use crate::core::event::{ActionKind, ActionOutcome, Event, Mark, Runs};
use crate::core::health::Health;
use crate::core::ids::RevisionRef;
use crate::core::spec::{HostSpec, RolloutKind};

/// Where a rollout is with a host, as far as its events tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Where {
    /// It runs what it ran, or nothing is known.
    #[default]
    Old,
    /// It ran the target when it was looked at.
    OnTarget,
    /// Decided to be switched, and taken out of traffic first; on the way there, or back.
    Drained { back: bool },
    /// Decided to be switched, and its hook runs first.
    Announced,
    /// The same before one is started beside it.
    AnnouncedBeside,
    /// Decided to be switched, or started and not confirmed.
    Unproved,
    /// Confirmed.
    Confirmed,
    /// To be put back.
    Failed,
    /// Being put back; with a failure or, on the way back, without.
    GoingBack { failed: bool },
    /// Put back.
    Back { failed: bool },
    /// Decided to be stopped on its spare host.
    Leaving,
    /// Nobody does anything about it any more: it could not be put back, or its host was lost.
    GivenUp { broken: bool },
}

#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    pub(super) place: Where,
    pub(super) looked: bool,
    pub(super) reached: bool,
    pub(super) present: bool,
    /// What it ran at first: nothing known, nothing at all, or something.
    pub(super) before: Option<Runs>,
    /// It ran the target when it was looked at: that is also what it is put back to.
    pub(super) ran_target: bool,
    /// Decided to be switched, and nobody has said that it was.
    pub(super) unanswered: bool,
    /// Switched by somebody else and never confirmed.
    pub(super) stray: bool,
    /// Not passing when its switch was decided: then nobody waits for it after a revert.
    pub(super) sick: bool,
    pub(super) passing_since: Option<i64>,
    pub(super) failing_polls: u32,
    pub(super) restarted: bool,
    pub(super) traffic: Option<Traffic>,
    /// The other instance on the host.
    pub(super) beside: Option<Beside>,
    /// What that runs, while a look is taken in.
    pub(super) other_runs: Option<Runs>,
    /// The hook before its switch ended well.
    pub(super) prepared: bool,
    /// Whether a hook runs after its switch.
    hooked: bool,
    /// Confirmed, and that hook has not ended well yet.
    owes: bool,
}

impl Book {
    pub(super) fn new(balanced: bool, hooked: bool, host: &HostSpec) -> Self {
        Self {
            hooked,
            traffic: balanced.then(|| Traffic::new(host)),
            ..Self::default()
        }
    }

    pub(super) fn gets_traffic(&self) -> bool {
        self.present && self.traffic.as_ref().is_some_and(Traffic::is_sure)
    }

    /// Nothing runs there, and a balancer would send requests to what is started.
    pub(super) fn would_get_traffic(&self) -> bool {
        self.traffic.as_ref().is_some_and(|one| one.open)
    }

    pub(super) fn may_fail_to_drain(&self) -> bool {
        self.traffic.as_ref().is_some_and(|one| one.deaf)
    }

    /// An operator keeps it out of traffic.
    pub(super) fn is_an_operators(&self) -> bool {
        self.traffic
            .as_ref()
            .is_some_and(|one| !one.flows && !one.cut)
    }

    pub(super) fn is_drained_for(&self, action: ActionKind) -> bool {
        match action {
            ActionKind::Activate => self.place == Where::Drained { back: false },
            _ => self.place == Where::Drained { back: true },
        }
    }

    /// Only what works, or is as it was before us, and only what we took out.
    pub(super) fn may_get_traffic(&self, now: i64, min_ready_ms: i64) -> bool {
        let cut = self.traffic.as_ref().is_some_and(|one| one.cut);
        let unswitched = self.place == Where::Drained { back: false };
        let as_it_was = match self.place {
            Where::Back { .. } => self.sick,
            Where::Old | Where::OnTarget => self.failing_polls >= 3 || self.restarted,
            _ => false,
        };
        cut && (unswitched || as_it_was || self.works(now, min_ready_ms))
    }

    pub(super) fn is_available(&self, now: i64, min_ready_ms: i64) -> bool {
        let owes = self.owes && self.place == Where::Confirmed;
        !owes && self.traffic.as_ref().is_none_or(Traffic::is_sure) && self.works(now, min_ready_ms)
    }

    pub(super) fn is_at_peace(&self) -> bool {
        matches!(
            self.place,
            Where::Old
                | Where::OnTarget
                | Where::AnnouncedBeside
                | Where::Confirmed
                | Where::Back { .. }
        )
    }

    fn works(&self, now: i64, min_ready_ms: i64) -> bool {
        self.present
            && self.is_at_peace()
            && !self.stray
            && self
                .passing_since
                .is_some_and(|since| now - since >= min_ready_ms)
    }

    /// Whether the hook before its switch has ended well.
    pub(super) fn is_prepared(&self) -> bool {
        self.prepared
    }

    pub(super) fn is_in_hand(&self) -> bool {
        (self.stray && self.place != Where::Leaving)
            || (self.present
                && self.place != Where::Leaving
                && self.traffic.as_ref().is_some_and(|one| one.cut))
            || matches!(
                self.place,
                Where::Drained { .. }
                    | Where::Announced
                    | Where::Unproved
                    | Where::Failed
                    | Where::GoingBack { .. }
                    | Where::GivenUp { .. }
            )
    }

    pub(super) fn is_running(&self) -> bool {
        self.looked && (self.present || self.is_in_hand())
    }

    /// How many run on its host, and how many of them are on their way out.
    pub(super) fn running_and_leaving(&self) -> (i64, i64) {
        let announced = self.place == Where::AnnouncedBeside;
        let beside = i64::from(self.beside.is_some() || announced);
        let leaves = self.beside.as_ref().is_some_and(|one| one.leaving);
        (
            i64::from(self.is_running()) + beside,
            i64::from(self.place == Where::Leaving) + i64::from(leaves),
        )
    }

    pub(super) fn is_absent(&self) -> bool {
        self.looked && !self.present && !self.is_in_hand()
    }

    /// Whether its host could be worked on when it was last looked at.
    pub(super) fn can_be_reached(&self) -> bool {
        self.reached
    }

    pub(super) fn was_absent(&self) -> bool {
        self.before == Some(Runs::Nothing)
    }

    pub(super) fn costs_nothing(&self) -> bool {
        self.stray || self.restarted || self.failing_polls >= 3
    }

    pub(super) fn is_new(&self) -> bool {
        self.ran_target || !matches!(self.place, Where::Old | Where::Back { .. })
    }

    pub(super) fn is_on_target(&self) -> bool {
        matches!(self.place, Where::OnTarget | Where::Confirmed)
            || (self.ran_target && matches!(self.place, Where::Old | Where::Back { .. }))
    }

    pub(super) fn may_go_forward(&self) -> bool {
        matches!(self.place, Where::Old | Where::OnTarget)
    }

    pub(super) fn is_broken_for_good(&self) -> bool {
        self.place == Where::GivenUp { broken: true }
    }

    /// Another controller: nothing that was seen counts.
    pub(super) fn forget(&mut self, retry: bool) {
        self.looked = false;
        self.prepared = false;
        self.stray = false;
        self.forget_health();
        if retry && matches!(self.place, Where::Back { .. }) {
            self.place = Where::Old;
        }
    }

    pub(super) fn forget_health(&mut self) {
        (self.passing_since, self.failing_polls, self.restarted) = (None, 0, false);
    }

    pub(super) fn write(
        &mut self,
        event: &Event,
        target: &RevisionRef,
        kind: RolloutKind,
        goes_back: bool,
        spare: bool,
    ) {
        match event {
            Event::HostObserved {
                sight,
                traffic,
                sibling,
                ..
            } => {
                let (sight, traffic) =
                    self.see_both(sight, traffic.as_ref(), sibling.as_deref(), target);
                self.look(&sight, target, kind, goes_back);
                self.compare_the_other();
                let present = self.present;
                if let Some(noted) = self.traffic.as_mut().filter(|_| self.beside.is_none()) {
                    noted.look(traffic.as_ref(), present);
                }
            }
            Event::HealthChanged {
                health,
                sibling: true,
                ..
            } => {
                if let Some(other) = &mut self.beside {
                    other.hear(health);
                }
            }
            Event::HealthChanged { health, .. } => {
                self.forget_health();
                match health {
                    Health::Ready { since } => self.passing_since = Some(since.as_millis()),
                    Health::NotReady { failed_polls } => self.failing_polls = *failed_polls,
                    Health::Restarted => self.restarted = true,
                    Health::Unknown => {}
                }
            }
            Event::HostRebooted { .. } => {
                if self.place == Where::Unproved && self.is_before_beside() {
                    self.only_the_other_is_left();
                    self.place = Where::Old;
                }
                self.forget_health();
            }
            Event::ActionStarted { action, .. } => self.begin(*action, spare),
            Event::ActionEnded {
                action, outcome, ..
            } => self.end(*action, outcome),
            Event::InstanceMarked { mark, .. } => {
                self.place = match (mark, self.place) {
                    (Mark::Failed { .. }, _) => Where::Failed,
                    (Mark::Reverted, Where::GoingBack { failed }) => Where::Back { failed },
                    (Mark::Reverted, place) => place,
                    (Mark::Broken { .. }, _) => Where::GivenUp { broken: true },
                };
            }
            _ => {}
        }
    }

    fn begin(&mut self, action: ActionKind, spare: bool) {
        match action {
            ActionKind::Activate => {
                if self.place != (Where::Drained { back: false }) {
                    self.sick = self.present && self.passing_since.is_none();
                }
                (self.place, self.present) = (Where::Unproved, true);
                self.unanswered = true;
                self.forget_health();
            }
            ActionKind::Revert => {
                let failed = self.place == Where::Failed;
                self.place = Where::GoingBack { failed };
                self.forget_health();
            }
            ActionKind::BeforeInstance => self.place = Where::Announced,
            ActionKind::BeforeStart => self.place = Where::AnnouncedBeside,
            ActionKind::Drain if spare && self.is_at_peace() && self.present => {
                self.place = Where::Leaving;
                if let Some(traffic) = &mut self.traffic {
                    traffic.cut = true;
                }
            }
            ActionKind::Stop => self.place = Where::Leaving,
            ActionKind::Start => self.begin_beside(),
            ActionKind::DrainSibling | ActionKind::StopSibling | ActionKind::AttachSibling => {
                self.sibling(action, None);
            }
            ActionKind::Drain => self.drain(),
            ActionKind::Attach if self.place == (Where::Drained { back: false }) => {
                self.place = Where::Old;
            }
            ActionKind::Stage => self.prepared = false,
            ActionKind::Confirm
            | ActionKind::Attach
            | ActionKind::AfterInstance
            | ActionKind::Prune => {}
        }
    }

    fn drain(&mut self) {
        match self.place {
            Where::Old | Where::OnTarget => {
                self.sick = self.present && self.passing_since.is_none();
                self.place = Where::Drained { back: false };
            }
            Where::Confirmed => self.place = Where::Drained { back: true },
            _ => {}
        }
        if let Some(traffic) = &mut self.traffic {
            traffic.cut = true;
        }
    }

    fn end(&mut self, action: ActionKind, outcome: &ActionOutcome) {
        if let Some(traffic) = &mut self.traffic {
            traffic.end(action, outcome);
        }
        match (action, outcome) {
            (ActionKind::Start, outcome) => self.end_beside(outcome),
            (
                ActionKind::DrainSibling | ActionKind::StopSibling | ActionKind::AttachSibling,
                outcome,
            ) => self.sibling(action, Some(outcome)),
            (ActionKind::Revert, ActionOutcome::Done { .. }) if self.is_before_beside() => {
                self.only_the_other_is_left();
                if let Where::GoingBack { failed } = self.place {
                    self.place = Where::Back { failed };
                }
            }
            (ActionKind::BeforeInstance | ActionKind::BeforeStart, outcome) => {
                (self.place, self.prepared) = (Where::Old, is_done(outcome));
                // It is left alone from then on.
                self.reached &= self.prepared;
            }
            (ActionKind::AfterInstance, ActionOutcome::Done { .. }) => self.owes = false,
            (ActionKind::AfterInstance, _) => self.place = Where::Failed,
            (ActionKind::Drain, ActionOutcome::Done { .. }) => {}
            (ActionKind::Drain, _) if self.place == Where::Leaving => {
                self.place = Where::GivenUp { broken: true };
            }
            (ActionKind::Stop, ActionOutcome::Done { .. }) => {
                (self.place, self.present, self.stray) = (Where::Old, false, false);
                (self.before, self.ran_target) = (Some(Runs::Nothing), false);
            }
            (ActionKind::Stop, ActionOutcome::Lost { .. }) => {
                self.place = Where::GivenUp { broken: false };
            }
            (ActionKind::Stop, _) => self.place = Where::GivenUp { broken: true },
            (ActionKind::Drain, ActionOutcome::Declined { .. }) => self.place = Where::Old,
            (ActionKind::Drain, _) if self.place == (Where::Drained { back: false }) => {
                self.place = Where::Back { failed: true };
            }
            (ActionKind::Attach, ActionOutcome::Done { .. }) => {}
            (ActionKind::Attach, _) if self.place == Where::Confirmed => {
                self.place = Where::Failed;
            }
            (ActionKind::Attach, _) => self.place = Where::GivenUp { broken: true },
            (
                ActionKind::Activate,
                ActionOutcome::Declined { .. } | ActionOutcome::Refused { .. },
            ) => {
                (self.place, self.present) = (Where::Old, !self.was_absent());
                self.reached &= matches!(outcome, ActionOutcome::Declined { .. });
            }
            (ActionKind::Activate, ActionOutcome::Done { .. }) => {
                (self.stray, self.unanswered) = (false, false);
            }
            (ActionKind::Stage, outcome) => self.reached &= is_done(outcome),
            (ActionKind::Confirm, ActionOutcome::Done { .. }) => {
                (self.place, self.owes) = (Where::Confirmed, self.hooked);
            }
            (ActionKind::Activate | ActionKind::Confirm, _) => {
                (self.place, self.stray) = (Where::Failed, false);
            }
            (ActionKind::Revert, ActionOutcome::Done { started }) => {
                self.stray = false;
                self.present = !self.was_absent();
                if (started.is_none() || self.sick || self.was_absent())
                    && let Where::GoingBack { failed } = self.place
                {
                    self.place = Where::Back { failed };
                }
            }
            (ActionKind::Revert, ActionOutcome::Lost { .. }) => {
                self.place = Where::GivenUp { broken: false };
            }
            (ActionKind::Revert, outcome) if !is_done(outcome) => {
                self.place = Where::GivenUp { broken: true };
            }
            _ => {}
        }
    }
}
