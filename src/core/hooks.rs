//! Programs of the operator's own around a rollout and around each switch: `[services.*.hooks]`.
//!
//! The hooks of an instance are actions of that instance (`before_instance`, `after_instance`), under the same rules as
//! its switch. The hooks of the rollout are decided here: `before_rollout` before anything else, and the last one when
//! the rollout is about to come to rest. Once the last one has begun, what the rollout comes to is settled.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decide::Draft;
use super::decision::{Verdict, WaitReason};
use super::event::{ActionKind, Outcome, PauseCause};
use super::instance::{Instance, Stage};
use super::time::millis;

/// So much of what a hook wrote is told on one line.
const TOLD: usize = 400;

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookKind {
    /// Once, before any host is touched; its failure ends the rollout.
    BeforeRollout,
    /// When the rollout is complete; its failure changes nothing.
    AfterRollout,
    /// When the rollout ends otherwise, or pauses because of failures; its failure changes nothing.
    OnFailure,
    /// Before an instance is taken out of traffic or switched; its failure leaves the instance as it is.
    BeforeInstance,
    /// Once the new one is confirmed and in traffic; its failure is the instance's.
    AfterInstance,
}

impl HookKind {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 5] = [
        Self::BeforeRollout,
        Self::BeforeInstance,
        Self::AfterInstance,
        Self::AfterRollout,
        Self::OnFailure,
    ];

    /// As inventories and events spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeRollout => "before_rollout",
            Self::AfterRollout => "after_rollout",
            Self::OnFailure => "on_failure",
            Self::BeforeInstance => "before_instance",
            Self::AfterInstance => "after_instance",
        }
    }
}

impl HookKind {
    /// Whether it runs for each instance, and not for the rollout.
    pub fn is_of_an_instance(self) -> bool {
        matches!(self, Self::BeforeInstance | Self::AfterInstance)
    }
}

impl ActionKind {
    /// The hook that it runs.
    pub fn hook(self) -> Option<HookKind> {
        match self {
            Self::BeforeInstance | Self::BeforeStart => Some(HookKind::BeforeInstance),
            Self::AfterInstance => Some(HookKind::AfterInstance),
            _ => None,
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookEnd {
    /// How.
    pub result: HookResult,
    /// How long it ran.
    #[serde(with = "millis")]
    pub took: Duration,
    /// The end of what it wrote, without secrets and without what a terminal would obey.
    pub output: String,
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum HookResult {
    /// By itself.
    Exited {
        /// 0: well.
        status: i32,
    },
    /// By a signal that was not ours.
    Killed,
    /// It took longer than its timeout and was killed.
    TimedOut,
    /// It was not begun, or nobody knows what became of it.
    NotRun {
        /// Why, with the way out.
        reason: String,
    },
    /// The inventory does not have it any more: whoever took it out wants the rollout to go on without it.
    Removed,
}

impl HookEnd {
    /// One that was not begun.
    pub fn not_run(reason: impl Into<String>) -> Self {
        Self {
            result: HookResult::NotRun {
                reason: reason.into(),
            },
            took: Duration::ZERO,
            output: String::new(),
        }
    }

    /// Whether it ended well.
    pub fn is_well(&self) -> bool {
        matches!(
            self.result,
            HookResult::Exited { status: 0 } | HookResult::Removed
        )
    }

    /// How it ended, after its name: `ended with exit status 3`.
    pub fn how(&self) -> String {
        match &self.result {
            HookResult::Exited { status: 0 } => "ended well".to_owned(),
            HookResult::Exited { status } => format!("ended with exit status {status}"),
            HookResult::Killed => "was killed by a signal".to_owned(),
            HookResult::TimedOut => format!(
                "took longer than its timeout and was killed after {:.1} s",
                self.took.as_secs_f64()
            ),
            HookResult::NotRun { reason } => format!("could not be run: {reason}"),
            HookResult::Removed => "is not in the inventory any more, and was not run".to_owned(),
        }
    }

    /// The end of what it wrote, on one line; nothing when that is nothing.
    pub fn told(&self) -> Option<String> {
        let lines = self.output.lines().map(str::trim);
        let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        let line = lines.join(" | ");
        let skipped = line.chars().count().saturating_sub(TOLD);
        (!line.is_empty()).then(|| line.chars().skip(skipped).collect())
    }

    /// How it ended and what it wrote: `ended with exit status 3: the fleet is frozen`.
    pub fn in_words(&self) -> String {
        match self.told() {
            None => self.how(),
            Some(told) => format!("{}: {told}", self.how()),
        }
    }
}

/// What a rollout comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rest", content = "outcome", rename_all = "snake_case")]
pub enum Rest {
    /// It waits for somebody.
    Paused,
    /// It is over.
    Ended(Outcome),
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused => f.pad("paused"),
            Self::Ended(outcome) => outcome.fmt(f),
        }
    }
}

impl Rest {
    fn verdict(self) -> Verdict {
        match self {
            Self::Paused => Verdict::Paused,
            Self::Ended(outcome) => Verdict::End(outcome),
        }
    }
}

/// Where a rollout is with its own hooks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HookState {
    /// The one that runs.
    pub running: Option<HookKind>,
    /// Whether `before_rollout` ended well: then it does not run again.
    pub is_open: bool,
    /// What the rollout comes to, once its last hook has begun.
    pub rest: Option<Rest>,
    /// Those that failed, since a controller last began to work on it.
    pub failures: BTreeMap<HookKind, HookEnd>,
}

impl HookState {
    /// A hook of the rollout began; nothing when it cannot.
    pub(super) fn start(
        &mut self,
        hook: HookKind,
        rest: Option<Rest>,
        hooks: &BTreeSet<HookKind>,
    ) -> Option<()> {
        let fits = match hook {
            HookKind::BeforeRollout => !self.is_open && rest.is_none(),
            HookKind::AfterRollout => rest == Some(Rest::Ended(Outcome::Completed)),
            HookKind::OnFailure => rest.is_some_and(|rest| rest != Rest::Ended(Outcome::Completed)),
            HookKind::BeforeInstance | HookKind::AfterInstance => false,
        };
        let may = fits && self.running.is_none() && self.rest.is_none() && hooks.contains(&hook);
        may.then(|| (self.running, self.rest) = (Some(hook), rest))
    }

    /// It ended; nothing when it did not run.
    pub(super) fn end(&mut self, hook: HookKind, end: &HookEnd) -> Option<()> {
        if self.running != Some(hook) {
            return None;
        }
        self.running = None;
        if !end.is_well() {
            self.failures.insert(hook, end.clone());
        } else if hook == HookKind::BeforeRollout {
            self.is_open = true;
        }
        Some(())
    }

    /// Whether `before_rollout` failed: nothing is started.
    pub fn is_refused(&self) -> bool {
        self.failures.contains_key(&HookKind::BeforeRollout)
    }

    /// Another controller goes on: what ran is not known to have ended, and what the rollout comes to is open again.
    pub(super) fn forget(&mut self) {
        *self = Self {
            is_open: self.is_open,
            ..Self::default()
        };
    }
}

impl Instance {
    /// Whether `after_instance` has still to end well: until then the new one is not available.
    pub fn owes_hook(&self) -> bool {
        self.hook_due && matches!(self.stage, Stage::Updated { started: Some(_) })
    }
}

impl Draft<'_> {
    /// Whether a hook of the rollout runs, has to run first, or was the last that there was to do. Refused by the first,
    /// a rollout starts nothing and finishes what another left in flight.
    pub(super) fn stands_at_hook(&mut self) -> bool {
        let state = self.state;
        if let Some(hook) = state.hooks.running {
            self.decision.waiting_on.push(WaitReason::Hook { hook });
            return true;
        }
        if let Some(rest) = state.hooks.rest {
            self.decision.verdict = Some(rest.verdict());
            return true;
        }
        let hook = HookKind::BeforeRollout;
        let is_due = state.spec.hooks.contains(&hook)
            && !state.hooks.is_open
            && !state.hooks.is_refused()
            && !state.goes_back()
            && state.abort.is_none()
            && state.pause.is_none();
        if is_due {
            self.decision.verdict = Some(Verdict::RunHook { hook, rest: None });
        }
        is_due
    }

    /// Puts the last hook before the rest that the rollout is about to come to, where there is one for it.
    pub(super) fn run_last_hook(&mut self) {
        let (hook, rest) = match self.decision.verdict {
            Some(Verdict::End(outcome @ Outcome::Completed)) => {
                (HookKind::AfterRollout, Rest::Ended(outcome))
            }
            Some(Verdict::End(outcome)) => (HookKind::OnFailure, Rest::Ended(outcome)),
            // A pause that somebody asked for is no failure, nor that of a window.
            Some(Verdict::Paused)
                if matches!(
                    self.state.pause,
                    Some(PauseCause::Failures { .. } | PauseCause::Stalled)
                ) =>
            {
                (HookKind::OnFailure, Rest::Paused)
            }
            _ => return,
        };
        if self.state.spec.hooks.contains(&hook) {
            let rest = Some(rest);
            self.decision.verdict = Some(Verdict::RunHook { hook, rest });
        }
    }

    /// Whether `before_instance` has to run before the instance is switched.
    pub(super) fn awaits_hook(&self, instance: &Instance) -> bool {
        let has_hook = self.state.spec.hooks.contains(&HookKind::BeforeInstance);
        has_hook && !instance.prepared && !self.state.goes_back()
    }
}
