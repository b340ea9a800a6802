//! What the checker notes of the other instance on a host, side by side.

use super::books::{Book, Where};
use super::is_done;
use super::traffic::Traffic;
use crate::core::event::{ActionKind, ActionOutcome, Runs, SiblingSight, Sight, Unproven};
use crate::core::health::Health;
use crate::core::ids::RevisionRef;
use crate::core::traffic_state::TrafficSight;

#[derive(Debug, Clone, Default)]
pub(super) struct Beside {
    /// What ran before the rollout.
    pub(super) is_before: bool,
    /// Nobody ever confirmed it.
    pub(super) stray: bool,
    /// Decided to be stopped.
    pub(super) leaving: bool,
    pub(super) passing_since: Option<i64>,
    pub(super) failing_polls: u32,
    pub(super) restarted: bool,
    pub(super) traffic: Option<Traffic>,
}

impl Beside {
    pub(super) fn works(&self, now: i64, min_ready_ms: i64) -> bool {
        let passes = self.passing_since;
        !self.stray && !self.leaving && passes.is_some_and(|since| now - since >= min_ready_ms)
    }

    pub(super) fn is_available(&self, now: i64, min_ready_ms: i64) -> bool {
        self.works(now, min_ready_ms) && self.traffic.as_ref().is_none_or(Traffic::is_sure)
    }

    /// Nothing is lost with it.
    fn is_worthless(&self) -> bool {
        let unattached = |traffic: &Traffic| !traffic.is_sure();
        self.stray
            || self.restarted
            || self.failing_polls >= 3
            || self.traffic.as_ref().is_some_and(unattached)
    }

    pub(super) fn hear(&mut self, health: &Health) {
        (self.passing_since, self.failing_polls, self.restarted) = (None, 0, false);
        match health {
            Health::Ready { since } => self.passing_since = Some(since.as_millis()),
            Health::NotReady { failed_polls } => self.failing_polls = *failed_polls,
            Health::Restarted => self.restarted = true,
            Health::Unknown => {}
        }
    }
}

impl Book {
    /// One is started beside it.
    pub(super) fn begin_beside(&mut self) {
        let back = self.place == Where::Confirmed;
        let new = self.traffic.as_ref().map(Traffic::of_new);
        self.beside = Some(Beside {
            is_before: !back,
            stray: std::mem::take(&mut self.stray),
            leaving: false,
            passing_since: self.passing_since,
            failing_polls: self.failing_polls,
            restarted: self.restarted,
            traffic: std::mem::replace(&mut self.traffic, new),
        });
        if back {
            self.place = Where::GoingBack { failed: false };
        } else {
            self.sick = self.passing_since.is_none();
            self.place = Where::Unproved;
            self.unanswered = true;
        }
        self.forget_health();
    }

    pub(super) fn end_beside(&mut self, outcome: &ActionOutcome) {
        let back = matches!(self.place, Where::GoingBack { .. });
        match outcome {
            ActionOutcome::Done { .. } => self.unanswered = false,
            ActionOutcome::Lost { .. } if back => self.place = Where::GivenUp { broken: false },
            _ if back => self.place = Where::GivenUp { broken: true },
            ActionOutcome::Declined { .. } | ActionOutcome::Refused { .. } => {
                self.place = Where::Old;
                self.only_the_other_is_left();
            }
            _ => self.place = Where::Failed,
        }
    }

    /// The host's main instance is the other one from now on.
    pub(super) fn only_the_other_is_left(&mut self) {
        if let Some(other) = self.beside.take() {
            self.passing_since = other.passing_since;
            self.failing_polls = other.failing_polls;
            self.restarted = other.restarted;
            self.stray = other.stray;
            self.traffic = other.traffic;
        }
    }

    pub(super) fn is_before_beside(&self) -> bool {
        self.beside.as_ref().is_some_and(|other| other.is_before)
    }

    pub(super) fn sibling(&mut self, action: ActionKind, outcome: Option<&ActionOutcome>) {
        let Some(other) = &mut self.beside else {
            return;
        };
        match (action, outcome) {
            (ActionKind::DrainSibling | ActionKind::StopSibling, None) => {
                other.leaving = true;
                if let Some(traffic) = &mut other.traffic {
                    traffic.cut = true;
                }
            }
            (ActionKind::AttachSibling, None) => other.leaving = false,
            (ActionKind::DrainSibling, Some(outcome)) => {
                other.leaving = is_done(outcome);
                if let Some(traffic) = &mut other.traffic {
                    traffic.flows = false;
                }
            }
            (ActionKind::StopSibling, Some(ActionOutcome::Done { .. })) => self.beside = None,
            (ActionKind::AttachSibling, Some(outcome)) if is_done(outcome) => {
                if let Some(traffic) = &mut other.traffic {
                    (traffic.flows, traffic.cut) = (true, false);
                }
            }
            _ => {}
        }
    }

    /// Whether the other one may be stopped: the one that stays serves, or nothing is lost.
    pub(super) fn may_lose_the_other(&self, now: i64, min_ready_ms: i64) -> bool {
        let Some(other) = &self.beside else {
            return false;
        };
        let stays =
            self.is_available(now, min_ready_ms) || (self.is_an_operators() && self.is_at_peace());
        other.leaving || stays || other.is_worthless()
    }

    /// It works, and has no traffic because of us.
    pub(super) fn may_attach_the_other(&self) -> bool {
        self.beside.as_ref().is_some_and(|other| {
            let is_cut = other.traffic.as_ref().is_some_and(|one| one.cut);
            is_cut && other.passing_since.is_some()
        })
    }

    /// Which of two instances the rollout is about, as a look shows them.
    pub(super) fn see_both(
        &mut self,
        sight: &Sight,
        own: Option<&TrafficSight>,
        other: Option<&SiblingSight>,
        target: &RevisionRef,
    ) -> (Sight, Option<TrafficSight>) {
        let (
            Some(seen),
            Sight::Reachable {
                runs,
                started,
                unproven,
            },
        ) = (other, sight)
        else {
            self.beside = None;
            return (sight.clone(), own.cloned());
        };
        let on_its_way_back = matches!(self.place, Where::GoingBack { .. } | Where::Back { .. });
        let exchanged = seen.runs.is(target) && !runs.is(target) && !on_its_way_back;
        let (main, beside) = match exchanged {
            true => (&seen.runs, runs),
            false => (runs, &seen.runs),
        };
        let (main_traffic, beside_traffic) = match exchanged {
            true => (seen.traffic.as_ref(), own),
            false => (own, seen.traffic.as_ref()),
        };
        let traffic = self.traffic.as_mut().map(|traffic| {
            let pair = main_traffic.zip(beside_traffic);
            pair.map_or_else(Traffic::default, |(main, beside)| {
                traffic.look_at_both(main, beside)
            })
        });
        self.beside = Some(Beside {
            is_before: false,
            stray: match exchanged {
                true => unproven.is_some(),
                false => seen.unproven,
            },
            traffic,
            ..Beside::default()
        });
        let main_sight = match exchanged {
            true => Sight::Reachable {
                runs: main.clone(),
                started: seen.started.clone().or_else(|| started.clone()),
                unproven: Some(Unproven {
                    before: beside.clone(),
                }),
            },
            false => sight.clone(),
        };
        self.other_runs = Some(beside.clone());
        (main_sight, None)
    }

    /// After the look at the main one: whether the other is what ran before.
    pub(super) fn compare_the_other(&mut self) {
        let runs = self.other_runs.take();
        let before = self.before.as_ref().and_then(Runs::revision);
        let same = runs
            .as_ref()
            .and_then(Runs::revision)
            .zip(before)
            .is_some_and(|(other, before)| other.digest == before.digest);
        if let Some(other) = &mut self.beside {
            other.is_before = same;
        }
    }
}
