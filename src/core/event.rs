//! Everything that can happen in a rollout. Events are appended to the ledger and never changed.
//!
//! An event carries what folding needs and what a person asks for later; never a secret, a probe's body or a
//! journal's line. What a hook wrote is kept: it is the operator's own word.

pub use super::action::{ActionKind, ActionOutcome};
use serde::{Deserialize, Serialize};

use super::health::Health;
use super::hooks::{HookEnd, HookKind, Rest};
use super::ids::{BootId, HostName, InvocationId, RevisionRef, RolloutId, UnitName};
use super::journal_line::JournalLine;
use super::spec::Spec;
use super::time::Timestamp;
use super::traffic_state::TrafficSight;
use super::window::Windowed;

/// One fact about a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A controller started the rollout. Always the first event.
    RolloutStarted {
        /// What it is to reach.
        spec: Box<Spec>,
        /// `user@machine`.
        by: String,
        /// Why, in the words of who started it.
        cause: Option<String>,
    },
    /// A host was looked at for the first time in this rollout.
    HostObserved {
        /// Which.
        host: HostName,
        /// What was seen.
        sight: Sight,
        /// Where its balancers have it; nothing for a service without traffic of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traffic: Option<TrafficSight>,
        /// Another instance beside what it runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sibling: Option<Box<SiblingSight>>,
    },
    /// An instance's health changed.
    HealthChanged {
        /// Where.
        host: HostName,
        /// To what.
        health: Health,
        /// Whether it is that of the other instance on the host.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sibling: bool,
    },
    /// A host rebooted by itself: its instance starts its wait anew, and that counts against nobody.
    HostRebooted {
        /// Which.
        host: HostName,
        /// How its units run after the boot.
        started: Started,
    },
    /// An instance was still at work for somebody when the time to drain it was over.
    DrainCutShort {
        /// Where.
        host: HostName,
        /// Sessions that were still open.
        sessions: u64,
    },
    /// An action was decided; the host is touched only after this is in the ledger.
    ActionStarted {
        /// Where.
        host: HostName,
        /// What.
        action: ActionKind,
    },
    /// An action came to an end.
    ActionEnded {
        /// Where.
        host: HostName,
        /// What.
        action: ActionKind,
        /// How.
        outcome: ActionOutcome,
    },
    /// The scheduler drew a conclusion about an instance.
    InstanceMarked {
        /// Where.
        host: HostName,
        /// Which.
        mark: Mark,
    },
    /// A controller goes on with a rollout that paused or whose controller died: every host is looked at anew.
    RolloutResumed {
        /// `user@machine`.
        by: String,
        /// Whether what failed is tried again: so after a pause, but not after a controller's death.
        retry: bool,
        /// What it has to do with the service's window now; nothing: there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window: Option<Windowed>,
        /// Whether nobody watches: a timer went on with it (`--unattended`).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unattended: bool,
    },
    /// As many instances are on the target and available as the step asks for: its bake begins.
    StepReached {
        /// Which, from 0.
        step: usize,
    },
    /// Somebody approved of the step that the rollout stands at.
    StepApproved {
        /// Which, from 0.
        step: usize,
        /// `user@machine`.
        by: String,
    },
    /// The rollout goes on past the step.
    StepOpened {
        /// Which, from 0.
        step: usize,
    },
    /// Every host goes back to what it ran before the rollout.
    RollbackStarted {
        /// Why.
        cause: RollbackCause,
    },
    /// The rollout starts nothing more, finishes what is in flight and ends where it stands.
    AbortRequested {
        /// `user@machine`.
        by: String,
    },
    /// The rollout starts nothing more and finishes what is in flight.
    PauseRequested {
        /// Why: a person, a signal, or a policy.
        cause: PauseCause,
    },
    /// A hook of the rollout was decided; it runs only after this is in the ledger.
    HookStarted {
        /// Which.
        hook: HookKind,
        /// What the rollout comes to after it; nothing before it has begun.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rest: Option<Rest>,
    },
    /// A hook came to an end.
    HookEnded {
        /// Which.
        hook: HookKind,
        /// Of which instance; nothing: of the rollout.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<HostName>,
        /// How.
        end: HookEnd,
    },
    /// A line of a host's journal, in a rollout that was read back from the hosts because its ledger was lost.
    ReadBack {
        /// Which host.
        host: HostName,
        /// What it says.
        line: Box<JournalLine>,
    },
    /// Nothing is in flight any more; the rollout waits for somebody.
    RolloutPaused,
    /// Another rollout of the service takes its place.
    RolloutSuperseded {
        /// Which.
        by: RolloutId,
    },
    /// The rollout is over.
    RolloutEnded {
        /// How.
        outcome: Outcome,
    },
}

impl Event {
    /// The host that it is about.
    pub fn host(&self) -> Option<&HostName> {
        match self {
            Self::HostObserved { host, .. }
            | Self::HealthChanged { host, .. }
            | Self::HostRebooted { host, .. }
            | Self::DrainCutShort { host, .. }
            | Self::ActionStarted { host, .. }
            | Self::ActionEnded { host, .. }
            | Self::ReadBack { host, .. }
            | Self::InstanceMarked { host, .. } => Some(host),
            Self::HookEnded { host, .. } => host.as_ref(),
            Self::RolloutStarted { .. }
            | Self::RolloutResumed { .. }
            | Self::StepReached { .. }
            | Self::StepApproved { .. }
            | Self::StepOpened { .. }
            | Self::RollbackStarted { .. }
            | Self::AbortRequested { .. }
            | Self::PauseRequested { .. }
            | Self::HookStarted { .. }
            | Self::RolloutPaused
            | Self::RolloutSuperseded { .. }
            | Self::RolloutEnded { .. } => None,
        }
    }
}

/// An event with its place in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedEvent {
    /// Its rollout.
    pub rollout: RolloutId,
    /// Its number within the rollout, from 1, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
    /// SHA-256 over the event and the hash of the one before, 64 lower-case hex digits.
    pub hash: String,
}

/// What a host looked like when a controller began, or went on with, a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "sight", rename_all = "snake_case")]
pub enum Sight {
    /// It can be worked on.
    Reachable {
        /// What it runs.
        runs: Runs,
        /// How its units run; nothing where that was not asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started: Option<Started>,
        /// Set when it was switched to what it runs and that was never confirmed: its dead-man's switch is armed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unproven: Option<Unproven>,
    },
    /// SSH cannot reach it: not touched.
    Unreachable {
        /// Why, with the way out.
        reason: String,
    },
    /// It answers, but cannot take part (no systemd, no sudo, an unknown host key): not touched.
    Refused {
        /// Why, with the way out.
        reason: String,
    },
}

impl Sight {
    /// A host that can be worked on and has nothing unfinished.
    pub fn reachable(runs: Runs) -> Self {
        Self::Reachable {
            runs,
            started: None,
            unproven: None,
        }
    }
}

/// Another instance on a host, beside what the host is to run after a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiblingSight {
    /// What it runs.
    #[serde(flatten)]
    pub runs: Runs,
    /// How its unit runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Started>,
    /// Whether nobody ever confirmed it: its dead-man's switch is armed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unproven: bool,
    /// Where the balancers have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficSight>,
}

/// A switch that was not confirmed. The host puts it back by itself unless somebody confirms it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unproven {
    /// What it would put back.
    pub before: Runs,
}

/// What a host runs of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "runs", rename_all = "snake_case")]
pub enum Runs {
    /// No instance.
    Nothing,
    /// That revision; an adopted one when it was there before rollctl came.
    Revision {
        /// Which.
        revision: RevisionRef,
    },
}

impl Runs {
    /// Whether it is that revision; names do not matter.
    pub fn is(&self, wanted: &RevisionRef) -> bool {
        matches!(self, Self::Revision { revision } if revision.digest == wanted.digest)
    }

    /// The revision, if any.
    pub fn revision(&self) -> Option<&RevisionRef> {
        match self {
            Self::Nothing => None,
            Self::Revision { revision } => Some(revision),
        }
    }
}

/// How units were started, so that a later look can tell whether they still are the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The host's boot.
    pub boot: BootId,
    /// Every unit in the order of the service.
    pub units: Vec<StartedUnit>,
}

/// One unit as it was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedUnit {
    /// Its name.
    pub unit: UnitName,
    /// The invocation that we started.
    pub invocation: InvocationId,
    /// `NRestarts` right after the start.
    pub restarts: u32,
}

/// A conclusion about an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub enum Mark {
    /// It failed, by us: it is reverted and counted.
    Failed {
        /// Why, in words, without a probe's body.
        reason: String,
    },
    /// What ran before is available again.
    Reverted,
    /// Its revert ran and failed: somebody must look.
    Broken {
        /// Why.
        reason: String,
    },
}

/// Why a rollout goes back by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum RollbackCause {
    /// More than `max_failures` instances failed.
    Failures {
        /// How many.
        failed: u32,
    },
    /// No phase ended well for `progress_deadline`.
    Stalled,
}

/// Why a rollout pauses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum PauseCause {
    /// More than `max_failures` instances failed.
    Failures {
        /// How many.
        failed: u32,
    },
    /// The first signal, or a request.
    Asked {
        /// Who or what: `ctrl-c`, `SIGTERM`.
        by: String,
    },
    /// No phase ended well for `progress_deadline`.
    Stalled,
    /// The service's window has closed.
    WindowClosed {
        /// When the next one opens; nothing: not within 400 days.
        opens_at: Option<Timestamp>,
    },
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every selected host that could be worked on runs the target.
    Completed,
    /// Only unreachable, sick or failed hosts stood in the way.
    StoodStill,
    /// It failed, and every host that it had touched runs what it ran before.
    RolledBack,
    /// An instance could not be put back, or was lost: somebody must look.
    Failed,
    /// Somebody ended it where it stood.
    Aborted,
    /// Its `before_rollout` hook failed: nothing was touched.
    Refused,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Completed => "completed",
            Self::StoodStill => "stood_still",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
            Self::Refused => "refused",
        })
    }
}
