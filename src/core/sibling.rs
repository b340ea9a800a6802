//! The other instance on a host, side by side: the old one until the new one has proved itself, or what an earlier rollout
//! has left beside it. Contract, section 3: a host runs at most two.

use std::time::Duration;

use super::event::{ActionOutcome, Runs, SiblingSight, Started};
use super::health::Health;
use super::ids::RevisionRef;
use super::instance::Instance;
use super::time::Timestamp;
use super::traffic_state::{TrafficSight, TrafficState};

/// The other instance on a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Sibling {
    /// What it runs; nothing when nobody knows.
    pub runs: Option<Runs>,
    /// How it was started, where that is known.
    pub started: Option<Started>,
    /// Its health; nothing before the first poll.
    pub health: Option<Health>,
    /// Until when the last look at its health may be relied upon.
    pub fresh_until: Timestamp,
    /// Whether nobody ever confirmed it.
    pub unproven: bool,
    /// Whether it is decided to be stopped: it is not available any more.
    pub leaving: bool,
    /// Why it could not be stopped.
    pub stuck: Option<String>,
    /// Where it stands with its balancers; nothing for a service without traffic of its own.
    pub traffic: Option<TrafficState>,
}

impl Sibling {
    /// As a look at the host shows it.
    fn seen(sight: &SiblingSight, traffic: Option<TrafficState>) -> Self {
        Self {
            runs: Some(sight.runs.clone()),
            started: sight.started.clone(),
            health: None,
            fresh_until: Timestamp::LONG_AGO,
            unproven: sight.unproven,
            leaving: false,
            stuck: None,
            traffic,
        }
    }

    /// Whether it was ready without a break for `min_ready`, is not to be stopped, and traffic reaches it.
    pub fn is_available(&self, now: Timestamp, min_ready: Duration) -> bool {
        self.works(now, min_ready) && self.is_attached()
    }

    /// Whether traffic reaches it; so it is where we do not see to that.
    pub fn is_attached(&self) -> bool {
        self.traffic.as_ref().is_none_or(TrafficState::is_attached)
    }

    /// Whether it runs that revision; names do not matter.
    pub fn is_on(&self, wanted: &RevisionRef) -> bool {
        self.runs.as_ref().is_some_and(|runs| runs.is(wanted))
    }

    /// Whether it would be available with its traffic.
    pub fn works(&self, now: Timestamp, min_ready: Duration) -> bool {
        let ready =
            matches!(self.health, Some(Health::Ready { since }) if now.since(since) >= min_ready);
        ready && !self.leaving && !self.unproven
    }

    /// Whether it has to be taken out of traffic before it is stopped.
    pub fn is_to_drain(&self) -> bool {
        self.traffic.as_ref().is_some_and(|traffic| traffic.flows)
    }

    /// Whether we took it out of traffic.
    pub fn is_taken_out(&self) -> bool {
        self.traffic
            .as_ref()
            .is_some_and(|traffic| traffic.taken_out)
    }

    /// Whether it takes up room and nothing else: nobody confirmed it, it is broken, or nothing reaches it.
    pub fn is_of_no_use(&self) -> bool {
        let unattached = |traffic: &TrafficState| traffic.attached == Some(false);
        self.unproven
            || self.health.is_some_and(Health::is_broken)
            || self.traffic.as_ref().is_some_and(unattached)
    }
}

impl Instance {
    /// Whether its host serves: it, or the other one there.
    pub fn serves(&self, now: Timestamp, min_ready: Duration) -> bool {
        self.is_available(now, min_ready) || self.has_available_sibling(now, min_ready)
    }

    /// What serves on its host, if anything does: what it runs, or else the other one; within, nothing when nobody knows.
    pub fn what_serves(&self, now: Timestamp, min_ready: Duration) -> Option<Option<&Runs>> {
        if self.is_available(now, min_ready) {
            return Some(self.runs.as_ref());
        }
        let sibling = self.sibling.as_ref();
        let serving = sibling.filter(|one| one.is_available(now, min_ready))?;
        Some(serving.runs.as_ref())
    }

    /// Whether the other one on its host serves, so that it may go freely.
    pub fn has_available_sibling(&self, now: Timestamp, min_ready: Duration) -> bool {
        let sibling = self.sibling.as_ref();
        sibling.is_some_and(|sibling| sibling.is_available(now, min_ready))
    }

    /// It is started beside what runs: that becomes its sibling.
    pub(super) fn step_aside(&mut self, target: Runs) {
        let new = self.traffic.as_ref().map(TrafficState::beside);
        self.sibling = Some(Sibling {
            runs: self.runs.replace(target),
            started: self.started().cloned(),
            health: self.health.replace(Health::Unknown),
            fresh_until: std::mem::replace(&mut self.fresh_until, Timestamp::LONG_AGO),
            unproven: std::mem::take(&mut self.unproven),
            leaving: false,
            stuck: None,
            traffic: std::mem::replace(&mut self.traffic, new),
        });
    }

    /// Whether what ran before still runs, beside: to go back is only to stop what is new.
    pub fn has_before_beside(&self) -> bool {
        let before = self.before.as_ref().and_then(Runs::revision);
        let beside = self.sibling.as_ref().and_then(|one| one.runs.as_ref());
        before
            .zip(beside)
            .is_some_and(|(before, beside)| beside.is(before))
    }

    /// Takes in where both have their traffic, and the other one itself.
    pub(super) fn observe_both(
        &mut self,
        own: Option<&TrafficSight>,
        other: Option<&SiblingSight>,
    ) {
        let Some(other) = other else {
            self.sibling = None;
            return self.observe_traffic(own);
        };
        let traffic = match (&mut self.traffic, own, &other.traffic) {
            (Some(traffic), Some(own), Some(beside)) => Some(traffic.see_both(own, beside)),
            (Some(traffic), _, _) => {
                traffic.forget();
                Some(TrafficState::new(None))
            }
            (None, _, _) => None,
        };
        self.sibling = Some(Sibling::seen(other, traffic));
    }

    /// It was stopped, and its sibling is what the host runs.
    pub(super) fn step_back(&mut self) {
        if let Some(sibling) = self.sibling.take() {
            self.runs = sibling.runs;
            self.health = sibling.health;
            self.fresh_until = sibling.fresh_until;
            self.unproven = sibling.unproven;
            self.traffic = sibling.traffic;
        }
    }

    /// Where it leads that the sibling was taken out of traffic, or could not be.
    pub(super) fn sibling_drained(&mut self, outcome: &ActionOutcome, reason: String) {
        if let Some(sibling) = &mut self.sibling {
            if let Some(traffic) = &mut sibling.traffic {
                traffic.drained();
            }
            if !matches!(outcome, ActionOutcome::Done { .. }) {
                sibling.leaving = false;
                sibling.stuck = Some(format!("it could not be taken out of traffic: {reason}"));
            }
        }
    }

    /// Where it leads that the sibling was stopped, or could not be.
    pub(super) fn sibling_stopped(&mut self, outcome: &ActionOutcome, reason: String) {
        match outcome {
            ActionOutcome::Done { .. } => self.sibling = None,
            _ => {
                if let Some(sibling) = &mut self.sibling {
                    sibling.stuck = Some(format!("it could not be stopped: {reason}"));
                }
            }
        }
    }

    /// Where it leads that the sibling was put back into traffic, or could not be.
    pub(super) fn sibling_attached(&mut self, done: bool, reason: String) {
        let Some(sibling) = &mut self.sibling else {
            return;
        };
        match (&mut sibling.traffic, done) {
            (Some(traffic), true) => traffic.put_in(),
            (Some(traffic), false) => {
                traffic.half_in();
                sibling.stuck = Some(format!("it could not be put back into traffic: {reason}"));
            }
            (None, _) => {}
        }
    }
}
