//! One host of the service in a rollout: where it stands, and the questions that decisions ask of it.

use std::time::Duration;

use super::event::{ActionKind, Runs, Started};
use super::health::Health;
use super::ids::{HostName, RevisionRef};
use super::sibling::Sibling;
use super::spec::HostSpec;
use super::time::Timestamp;
use super::traffic_state::TrafficState;

/// One host of the service in a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Which host.
    pub host: HostName,
    /// Whether this rollout may touch it.
    pub selected: bool,
    /// Whether its host carries the service only during a rollout.
    pub spare: bool,
    /// Its place by `order`: lower goes first.
    pub rank: u32,
    /// For each failure domain, the place of its value there.
    pub values: Vec<usize>,
    /// Whether it can be worked on; nothing before it was looked at.
    pub reach: Option<Reach>,
    /// What it ran when it was first looked at; nothing when nobody knows.
    pub before: Option<Runs>,
    /// What it runs as far as is known; while it is in work, what it is being switched to.
    pub runs: Option<Runs>,
    /// Whether it ran the target when it was first looked at; a restart starts it anew all the same.
    pub ran_target: bool,
    /// Whether it was not ready when its switch was decided.
    pub sick_before: bool,
    /// Whether it runs what another rollout switched it to and nobody ever confirmed: in flight, not available.
    pub unproven: bool,
    /// Its health; nothing before the first poll.
    pub health: Option<Health>,
    /// Until when the last look at its health may be relied upon. Not part of the events: after a crash nothing is fresh.
    pub fresh_until: Timestamp,
    /// Where the rollout is with it.
    pub stage: Stage,
    /// The action that was started and has not ended.
    pub open: Option<ActionKind>,
    /// Whether the hook before its switch ended well, so that it can be switched as soon as it may be.
    pub prepared: bool,
    /// Whether the hook after its switch has still to end well.
    pub hook_due: bool,
    /// Whether old revisions were removed from it, or that was tried.
    pub pruned: bool,
    /// Where it stands with its balancers; nothing for a service without traffic of its own.
    pub traffic: Option<TrafficState>,
    /// The other instance on its host, side by side.
    pub sibling: Option<Sibling>,
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
    /// The switch was decided; the hook before it runs, and nothing was done yet.
    Preparing {
        /// Whether the new one is to be started beside what runs: that goes on serving.
        beside: bool,
    },
    /// The switch was decided; it is being taken out of traffic first, or is out.
    Draining {
        /// What the instance was when that was decided.
        expects: Expects,
        /// How the target was started that runs there; set on the way back from it.
        started: Option<Started>,
    },
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
        /// Why it failed; nothing when the rollout goes back and it had not failed.
        failure: Option<String>,
    },
    /// What ran before was started again and has to become available.
    Recovering {
        /// When it was started.
        since: Timestamp,
        /// How it was started.
        started: Started,
        /// Why it failed; nothing when the rollout goes back and it had not failed.
        failure: Option<String>,
    },
    /// It runs again what ran before.
    Reverted {
        /// Why it failed; nothing when the rollout goes back and it had not failed.
        failure: Option<String>,
    },
    /// Its spare host is not needed any more: it is being taken out of traffic, and stopped.
    Retiring,
    /// Its spare host runs nothing any more.
    Retired,
    /// It could not be put back, or stopped: somebody must look.
    Broken {
        /// Why.
        reason: String,
    },
    /// Its host was lost while it was in work, and is left to its dead-man's switch.
    Lost {
        /// Why.
        reason: String,
    },
}

/// What an instance is believed to be when its switch is decided; the switch is declined when a fresh look differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expects {
    /// Nothing runs there.
    Absent,
    /// Broken, or never proven: it costs no availability.
    Broken,
    /// Neither absent nor broken: it counts as lost from now on.
    Running,
}

impl Instance {
    pub(super) fn new(host: &HostSpec, balanced: bool) -> Self {
        Self {
            host: host.name.clone(),
            selected: host.selected,
            spare: host.spare,
            rank: host.rank,
            values: host.values.clone(),
            reach: None,
            before: None,
            runs: None,
            ran_target: false,
            sick_before: false,
            unproven: false,
            health: None,
            fresh_until: Timestamp::LONG_AGO,
            stage: Stage::Pending,
            open: None,
            prepared: false,
            hook_due: false,
            pruned: false,
            traffic: balanced.then(|| TrafficState::new(host.taken_out.as_ref())),
            sibling: None,
        }
    }

    /// Whether nothing runs there, for certain.
    pub fn is_absent(&self) -> bool {
        self.runs == Some(Runs::Nothing)
    }

    /// Whether it runs that revision; names do not matter.
    pub fn is_on(&self, wanted: &RevisionRef) -> bool {
        self.runs.as_ref().is_some_and(|runs| runs.is(wanted))
    }

    /// Whether nothing ran there when it was first looked at, for certain.
    pub fn was_absent(&self) -> bool {
        self.before == Some(Runs::Nothing)
    }

    /// Whether it can be worked on.
    pub fn is_reachable(&self) -> bool {
        self.reach == Some(Reach::Reachable)
    }

    /// Whether its first look is complete: the host was seen, and what runs there was asked for its health once.
    pub fn is_looked_at(&self) -> bool {
        let other_too = self.sibling.as_ref().is_none_or(|one| one.health.is_some());
        self.reach.is_some() && (self.health.is_some() || self.is_absent()) && other_too
    }

    /// Whether rollctl has it in hand: it is not available, whatever a probe says.
    pub fn is_in_hand(&self) -> bool {
        !matches!(
            self.stage,
            Stage::Pending
                | Stage::Staging
                | Stage::Staged
                | Stage::Preparing { beside: true }
                | Stage::Updated { .. }
                | Stage::Reverted { .. }
                | Stage::Retired
        )
    }

    /// Whether something is under way there, or has to be finished; what is given up is not.
    pub fn is_in_work(&self) -> bool {
        self.open.is_some()
            || self.stage == Stage::Staging
            || (self.is_in_hand() && !self.is_given_up())
    }

    /// Whether nothing more is done about it in this rollout, though it is not as it should be.
    pub fn is_given_up(&self) -> bool {
        matches!(self.stage, Stage::Broken { .. } | Stage::Lost { .. })
    }

    /// Whether it was ready without a break for `min_ready`, is not in rollctl's hand, traffic reaches it, and the hook
    /// after its switch ended well.
    pub fn is_available(&self, now: Timestamp, min_ready: Duration) -> bool {
        self.is_proven(now, min_ready) && self.is_attached() && !self.owes_hook()
    }

    /// Whether nothing more can be asked of it: it is available, or only an operator keeps traffic from it.
    pub fn is_settled(&self, now: Timestamp, min_ready: Duration) -> bool {
        self.is_proven(now, min_ready) && (self.is_attached() || self.is_kept_out())
    }

    fn is_proven(&self, now: Timestamp, min_ready: Duration) -> bool {
        let ready =
            matches!(self.health, Some(Health::Ready { since }) if now.since(since) >= min_ready);
        ready && !self.is_in_hand() && !self.is_absent() && !self.unproven
    }

    /// Whether traffic reaches it wherever it is meant to; so it is where we do not see to that.
    pub fn is_attached(&self) -> bool {
        self.traffic.as_ref().is_none_or(TrafficState::is_attached)
    }

    /// Whether an operator took it out of traffic: there it stays.
    pub fn is_kept_out(&self) -> bool {
        self.traffic.as_ref().is_some_and(TrafficState::is_kept_out)
    }

    /// Whether a rollout took it out of traffic and has not put it back.
    pub fn is_taken_out(&self) -> bool {
        !self.is_absent()
            && self
                .traffic
                .as_ref()
                .is_some_and(|traffic| traffic.taken_out)
    }

    /// Whether it has to be taken out of traffic before anything is done to it; also where nothing runs, since a balancer
    /// would send requests to what is started there before it has proved itself.
    pub fn is_to_drain(&self) -> bool {
        self.traffic.as_ref().is_some_and(|traffic| traffic.flows)
    }

    /// Whether it is out of traffic because of us, and works, or is as it was: it is to be put back.
    pub fn is_to_attach(&self, now: Timestamp, min_ready: Duration) -> bool {
        // What was not switched and is broken now was put out of traffic by us all the same; and where its health is what
        // says no to the balancer, it is nothing else that makes it look broken.
        let as_it_was = match self.stage {
            Stage::Reverted { .. } => self.sick_before,
            Stage::Pending | Stage::Staged => self.is_broken() && !self.unproven,
            _ => false,
        };
        self.is_taken_out() && !self.is_in_hand() && (as_it_was || self.is_proven(now, min_ready))
    }

    /// Whether it was observed failing three polls in a row.
    pub fn is_broken(&self) -> bool {
        self.health.is_some_and(Health::is_broken)
    }

    /// Whether it runs the target, or is on its way there or back from it.
    pub fn is_new(&self) -> bool {
        self.ran_target
            || !matches!(
                self.stage,
                Stage::Pending | Stage::Staging | Stage::Staged | Stage::Reverted { .. }
            )
    }

    /// Whether it runs the target, confirmed or from before.
    pub fn is_on_target(&self) -> bool {
        matches!(self.stage, Stage::Updated { .. })
            || (self.ran_target && !self.is_in_hand() && self.is_reachable())
    }

    /// Whether it counts as new, though nobody can prove any more that it works: given up, or it ran the target and
    /// cannot be reached since.
    pub fn is_beyond_proof(&self) -> bool {
        self.is_given_up()
            || self.is_kept_out()
            || (self.is_new() && !self.is_in_hand() && !self.is_on_target())
    }

    /// Whether it failed by us in this rollout, put back or not; and why.
    pub fn failure(&self) -> Option<&str> {
        match &self.stage {
            Stage::Failed { reason } | Stage::Broken { reason } | Stage::Lost { reason } => {
                Some(reason)
            }
            Stage::Reverting { failure }
            | Stage::Recovering { failure, .. }
            | Stage::Reverted { failure } => failure.as_deref(),
            _ => None,
        }
    }

    /// Whether this rollout has ever switched it.
    pub fn was_touched(&self) -> bool {
        self.is_in_hand()
            || matches!(
                self.stage,
                Stage::Updated { started: Some(_) } | Stage::Reverted { .. } | Stage::Retired
            )
    }

    /// Whether something runs on a spare host, so that it has to be stopped before the rollout is over.
    pub fn is_surplus(&self) -> bool {
        self.spare && self.is_reachable() && !self.is_absent()
    }

    /// Whether something runs that has to be stopped before the rollout is over: on a spare host, or beside another.
    pub fn has_surplus(&self) -> bool {
        self.is_surplus() || (self.is_reachable() && self.sibling.is_some())
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
