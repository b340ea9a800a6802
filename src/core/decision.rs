//! What [`decide`](super::decide::decide) answers, as plain values.

use super::event::{ActionKind, Mark, Outcome, PauseCause, RollbackCause};
use super::hooks::{HookKind, Rest};
use super::ids::HostName;
use super::time::Timestamp;

/// The answer of [`decide`](super::decide::decide).
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// What to do now, in this order; empty is a normal answer.
    pub actions: Vec<Action>,
    /// Why nothing more starts.
    pub waiting_on: Vec<WaitReason>,
    /// When the answer could change without a new event.
    pub wake_at: Option<Timestamp>,
    /// What becomes of the rollout as a whole.
    pub verdict: Option<Verdict>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// An effect on a host.
    Run {
        /// Where.
        host: HostName,
        /// What.
        kind: ActionKind,
    },
    /// A conclusion that is to be recorded.
    Mark {
        /// Where.
        host: HostName,
        /// Which.
        mark: Mark,
    },
}

/// What becomes of the rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It starts nothing more and finishes what is in flight.
    Pause(PauseCause),
    /// Every host goes back to what it ran before.
    RollBack(RollbackCause),
    /// As many are on the target and available as the step asks for.
    ReachStep(usize),
    /// The step's bake and approval are over.
    OpenStep(usize),
    /// A hook of the rollout is to run.
    RunHook {
        /// Which.
        hook: HookKind,
        /// What the rollout comes to after it; nothing before it has begun.
        rest: Option<Rest>,
    },
    /// Nothing is in flight any more.
    Paused,
    /// It is over.
    End(Outcome),
}

/// Why nothing more starts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitReason {
    /// These hosts were not looked at yet.
    FirstLook {
        /// Which.
        hosts: Vec<HostName>,
    },
    /// An action is under way.
    Working {
        /// Where.
        host: HostName,
        /// What.
        action: ActionKind,
    },
    /// A started instance has to prove itself.
    Settling {
        /// Which.
        host: HostName,
        /// When it will be available if it stays ready; nothing while it is not ready.
        until: Option<Timestamp>,
        /// When it will have failed.
        deadline: Timestamp,
    },
    /// An instance is ready, but not for `min_ready` yet.
    MinReady {
        /// Which.
        host: HostName,
        /// Until when.
        until: Timestamp,
    },
    /// Taking one more down would break the unavailability budget (R2).
    NoHeadroom {
        /// How many are available now.
        available: u32,
        /// How few may be.
        min_available: u32,
        /// Which are not available.
        unavailable: Vec<HostName>,
    },
    /// As many new instances are in flight as may be (R1).
    InFlight {
        /// How many.
        in_flight: u32,
        /// How many may be.
        limit: u32,
    },
    /// As many instances run as may (R3).
    NoRoom {
        /// How many run.
        running: u32,
        /// How many may.
        max_total: u32,
    },
    /// The last look at these instances is too old to take another down.
    Stale {
        /// Which.
        hosts: Vec<HostName>,
    },
    /// The gate lets no more be new before as many are available (contract, section 3: steps are the only gates).
    Gate {
        /// Which step, from 0.
        step: usize,
        /// How many may be new before it opens.
        to: u32,
        /// How many of the new ones are available.
        available: u32,
    },
    /// The gate was reached and stays shut for a while.
    Baking {
        /// Which step, from 0.
        step: usize,
        /// Until when.
        until: Timestamp,
    },
    /// The gate was reached, and somebody has to approve.
    Approval {
        /// Which step, from 0.
        step: usize,
    },
    /// As many values of a failure domain are in work as may be (R4).
    OtherValues {
        /// The domain's label.
        label: String,
        /// The values in work.
        in_work: Vec<String>,
        /// How many may be.
        at_once: u32,
    },
    /// Taking one more down would break the budget inside a value of a failure domain (R4).
    NoHeadroomInside {
        /// The domain's label.
        label: String,
        /// Its value.
        value: String,
        /// How many are available in it.
        available: u32,
        /// How few may be.
        min_available: u32,
    },
    /// A hook of the rollout runs.
    Hook {
        /// Which.
        hook: HookKind,
    },
    /// A pause was asked for, and something is still in flight.
    Pausing,
    /// The rollout was aborted, and something is still in flight.
    Aborting,
    /// Every host goes back to what it ran before.
    GoingBack,
}
