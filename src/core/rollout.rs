//! The state of a rollout: what has happened, folded.

use std::collections::BTreeMap;

use super::event::{
    ActionKind, ActionOutcome, Event, Mark, Outcome, PauseCause, Runs, Sight, Started,
};
use super::health::Health;
use super::ids::{HostName, RolloutId};
use super::spec::Spec;
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
    /// Whether SSH reaches it; nothing before it was looked at.
    pub reach: Option<Reach>,
    /// What it ran when it was first looked at.
    pub before: Runs,
    /// What it runs, as far as is known; while it is in work, what it is being switched to.
    pub runs: Runs,
    /// How it was when its first health was known: not ready then is sick before.
    pub sick_before: bool,
    /// Its health.
    pub health: Health,
    /// Until when the last look at its health may be relied upon. Not part of the events: after a crash nothing is fresh.
    pub fresh_until: Timestamp,
    /// Where the rollout is with it.
    pub stage: Stage,
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
    /// It answers but cannot take part, or its staging failed; nothing of its instance was touched.
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
        /// When the switch was decided.
        since: Timestamp,
        /// How it was started.
        started: Started,
    },
    /// It proved itself; that is being read back.
    Confirming {
        /// When the switch was decided.
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
        started: Option<Started>,
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
    /// Neither absent nor broken: it is counted as lost from now on.
    Running,
}
