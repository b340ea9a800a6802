//! Facts into sentences. Pure; one word per thing (contract, section 1).
//!
//! Text that came from a host is escaped here, so that whatever prints a sentence may do so as it is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::action_words::{begun, ended};
use super::count::counted;
use super::escape::printable;
use super::hooks::hook_ended;
use super::signers::signed_by;
use super::time::{clock, span};
use crate::core::event::{
    Event, Mark, Outcome, PauseCause, RecordedEvent, RollbackCause, Runs, SiblingSight, Sight,
};
use crate::core::health::Health;
use crate::core::ids::{HostName, RevisionName, RolloutId};
use crate::core::journal_line::JournalLine;
use crate::core::rollout::RolloutState;
use crate::core::spec::{RolloutKind, Spec};
use crate::core::traffic_state::TrafficSight;
use crate::core::window::Windowed;

/// What a sentence needs to know beside the event.
pub trait About {
    /// What the rollout is to reach; nothing when its first event is missing.
    fn spec(&self) -> Option<&Spec>;
    /// What a host ran before the rollout, as far as is known.
    fn before(&self, host: &HostName) -> Option<&Runs>;
    /// Whether every host goes back to what it ran before.
    fn goes_back(&self) -> bool;
}

impl About for RolloutState {
    fn spec(&self) -> Option<&Spec> {
        Some(&self.spec)
    }

    fn before(&self, host: &HostName) -> Option<&Runs> {
        self.instance(host)?.before.as_ref()
    }

    fn goes_back(&self) -> bool {
        Self::goes_back(self)
    }
}

/// The same, learned from the events alone: also those of a damaged or unfinished rollout.
#[derive(Debug, Clone, Default)]
pub struct Story {
    spec: Option<Spec>,
    before: BTreeMap<HostName, Runs>,
    goes_back: bool,
}

impl Story {
    /// Takes the next event.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::RolloutStarted { spec, .. } => self.spec = Some((**spec).clone()),
            Event::HostObserved {
                host,
                sight: Sight::Reachable { runs, .. },
                ..
            } => {
                self.before.insert(host.clone(), runs.clone());
            }
            Event::RollbackStarted { .. } => self.goes_back = true,
            _ => {}
        }
    }
}

impl About for Story {
    fn spec(&self) -> Option<&Spec> {
        self.spec.as_ref()
    }

    fn before(&self, host: &HostName) -> Option<&Runs> {
        self.before.get(host)
    }

    fn goes_back(&self) -> bool {
        self.goes_back
    }
}

/// An event in a sentence, without its time: `web-03: switching from `v1.4.1` to `v1.4.2``.
pub fn sentence(recorded: &RecordedEvent, about: &dyn About) -> String {
    let id = recorded.rollout;
    let service = || match about.spec() {
        Some(spec) => format!("rollout {id} of `{}`", spec.service),
        None => format!("rollout {id}"),
    };
    match &recorded.event {
        Event::RolloutStarted { spec, by, cause } => started(id, spec, by, cause.as_deref()),
        Event::HostObserved {
            host,
            sight,
            traffic,
            sibling,
        } => {
            let beside = sibling.as_deref().map_or_else(String::new, beside);
            let out = out_at(sight, traffic.as_ref());
            format!("{host}: {}{out}{beside}", seen(sight))
        }
        Event::HealthChanged {
            host,
            health,
            sibling,
        } => {
            let other = if *sibling { "the other one: " } else { "" };
            format!("{host}: {other}{}", health_in_words(*health))
        }
        Event::HostRebooted { host, .. } => {
            format!("{host}: rebooted by itself; its instance has to prove itself anew")
        }
        Event::DrainCutShort { host, sessions } => format!(
            "{host}: drain_timeout is over, {} cut off",
            match sessions {
                1 => "1 session is".to_owned(),
                many => format!("{many} sessions are"),
            }
        ),
        Event::ActionStarted { host, action } => {
            format!("{host}: {}", begun(*action, host, about))
        }
        Event::ActionEnded {
            host,
            action,
            outcome,
        } => format!("{host}: {}", ended(*action, outcome, host, about)),
        Event::InstanceMarked { host, mark } => format!("{host}: {}", marked(mark, host, about)),
        Event::RolloutResumed { by, unattended, .. } => {
            let unwatched = if *unattended { ", unattended" } else { "" };
            format!("{} goes on, by {}{unwatched}", service(), printable(by))
        }
        Event::StepReached { step } => format!("{}: {}", service(), step_reached(*step, about)),
        Event::StepApproved { step, by } => format!(
            "{}: step {} approved by {}",
            service(),
            step + 1,
            printable(by)
        ),
        Event::StepOpened { step } => format!("{}: goes on past step {}", service(), step + 1),
        Event::RollbackStarted { cause } => format!(
            "{}: {}; every host goes back to what it ran before",
            service(),
            rollback_in_words(cause)
        ),
        Event::AbortRequested { by } => format!(
            "{}: aborted by {}; finishing what is in flight",
            service(),
            printable(by)
        ),
        Event::PauseRequested { cause } => format!("{}: {}", service(), pausing(cause, about)),
        Event::HookStarted { hook, .. } => format!("{}: running its {hook} hook", service()),
        Event::HookEnded { hook, host, end } => {
            let whose = host.as_ref().map_or_else(service, ToString::to_string);
            format!("{whose}: {hook} hook {}", hook_ended(end))
        }
        Event::ReadBack { host, line } => format!("{host}: {}", line_in_words(line)),
        Event::RolloutPaused => format!("{} paused", service()),
        Event::RolloutSuperseded { by } => format!("{} gave way to rollout {by}", service()),
        Event::RolloutEnded { outcome } => format!("{} {}", service(), outcome_in_words(*outcome)),
    }
}

/// A line of a host's journal: `from `v1` to `v2`: confirmed (by ann@desk)`.
fn line_in_words(line: &JournalLine) -> String {
    let name = |name: Option<&RevisionName>| match name {
        Some(name) => format!("`{name}`"),
        None => "nothing".to_owned(),
    };
    format!(
        "from {} to {}: {} (by {}; read back from its journal)",
        name(line.from.as_ref()),
        name(line.to.as_ref()),
        printable(&line.outcome),
        printable(&line.by)
    )
}

/// How a rollout ended, after its name.
pub fn outcome_in_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::StoodStill => "ended: only unreachable, sick or failed hosts are in the way",
        Outcome::RolledBack => "failed and was rolled back: every host runs what it ran before",
        Outcome::Aborted => "was aborted where it stood",
        Outcome::Refused => "did not begin: its before_rollout hook failed",
        Outcome::Failed => "failed: an instance could not be put back, somebody must look",
    }
}

/// Why a rollout goes back.
pub fn rollback_in_words(cause: &RollbackCause) -> String {
    match cause {
        RollbackCause::Failures { failed } => {
            cause_in_words(&PauseCause::Failures { failed: *failed })
        }
        RollbackCause::Stalled => cause_in_words(&PauseCause::Stalled),
    }
}

fn step_reached(step: usize, about: &dyn About) -> String {
    let gate = about.spec().and_then(|spec| spec.steps.get(step));
    let number = step + 1;
    match gate {
        Some(gate) => {
            let bake = match gate.bake.is_zero() {
                true => String::new(),
                false => format!("; it stays shut for {}", span(gate.bake)),
            };
            let approve = match (gate.approve, about.spec()) {
                (true, Some(spec)) => format!(
                    "; then somebody has to approve: `rollctl approve {}`",
                    spec.service
                ),
                _ => String::new(),
            };
            format!("step {number} reached ({} new){bake}{approve}", gate.to)
        }
        None => format!("step {number} reached"),
    }
}

/// Why a rollout pauses.
pub fn cause_in_words(cause: &PauseCause) -> String {
    match cause {
        PauseCause::Failures { failed: 1 } => "1 instance failed".to_owned(),
        PauseCause::Failures { failed } => format!("{failed} instances failed"),
        PauseCause::Asked { by } => format!("asked by {}", printable(by)),
        PauseCause::Stalled => "nothing moved on for the whole progress_deadline".to_owned(),
        PauseCause::WindowClosed { opens_at: Some(at) } => {
            format!(
                "its window has closed; the next one opens at {}",
                clock(*at)
            )
        }
        PauseCause::WindowClosed { opens_at: None } => "its window has closed".to_owned(),
    }
}

/// Why a rollout pauses, goes back or is being ended; nothing while it simply goes on.
pub fn why_in_words(state: &RolloutState) -> Option<String> {
    let back = state.rollback.as_ref().map(|cause| {
        let why = rollback_in_words(cause);
        match state.pause {
            Some(_) => format!("on its way back, since {why}"),
            None => why,
        }
    });
    let abort = state
        .abort
        .as_ref()
        .map(|by| format!("asked by {}", printable(by)));
    let parts: Vec<String> = [state.pause.as_ref().map(cause_in_words), abort, back]
        .into_iter()
        .flatten()
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What an instance's health is, after its host's name.
pub fn health_in_words(health: Health) -> String {
    match health {
        Health::Unknown => "health not known: nobody could ask".to_owned(),
        Health::NotReady { failed_polls: 1 } => "not ready".to_owned(),
        Health::NotReady { failed_polls } => format!("not ready, {failed_polls} polls in a row"),
        Health::Ready { .. } => "ready".to_owned(),
        Health::Restarted => "restarted by itself".to_owned(),
    }
}

/// What runs, in backticks, or that nothing does.
pub fn runs_in_words(runs: &Runs) -> String {
    match runs {
        Runs::Nothing => "nothing".to_owned(),
        Runs::Revision { revision } => format!("`{revision}`"),
    }
}

/// Up to three names, then how many more: `web-03, web-04, web-05 and 9 more`.
pub fn names(hosts: &[HostName]) -> String {
    let shown = hosts.len().min(3);
    let list = |hosts: &[HostName]| {
        hosts
            .iter()
            .map(HostName::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match hosts {
        [] => "no host".to_owned(),
        [rest @ .., last] if !rest.is_empty() && hosts.len() == shown => {
            format!("{} and {last}", list(rest))
        }
        _ if hosts.len() == shown => list(hosts),
        _ => format!("{} and {} more", list(&hosts[..shown]), hosts.len() - shown),
    }
}

/// `1 host`, `12 hosts`.
pub fn hosts(count: usize) -> String {
    counted(count, "host")
}

fn started(id: RolloutId, spec: &Spec, by: &str, cause: Option<&str>) -> String {
    let selected = spec.hosts.iter().filter(|host| host.selected).count();
    let all = spec.hosts.len();
    let target = &spec.target;
    let what = match spec.kind {
        RolloutKind::Release => format!("release of `{target}`"),
        RolloutKind::Rollback => format!("rollback to `{target}`"),
        RolloutKind::Restart => format!("restart of `{target}`"),
    };
    let from = match &spec.from {
        Some(from) if from.digest != target.digest => format!(" from `{from}`"),
        _ => String::new(),
    };
    let on = if selected == all {
        hosts(all)
    } else {
        format!("{selected} of {}", hosts(all))
    };
    let budget = spec.budget;
    let surge = match budget.max_surge {
        0 => String::new(),
        surge => format!(", at most {surge} more than that running"),
    };
    let why = cause.map_or_else(String::new, |cause| format!(" ({})", printable(cause)));
    let outside = match spec.window {
        Some(Windowed::Overridden) => "; whatever its window says",
        Some(Windowed::Within { .. }) | None => "",
    };
    let unwatched = if spec.unattended { ", unattended" } else { "" };
    let signed = match spec.signed_by.is_empty() {
        true => String::new(),
        false => format!("; signed by {}", signed_by(&spec.signed_by)),
    };
    format!(
        "rollout {id} of `{}`: {what}{from} on {on}, at most {} unavailable{surge}; by {}{unwatched}{why}{signed}{outside}",
        spec.service,
        budget.max_unavailable,
        printable(by)
    )
}

fn seen(sight: &Sight) -> String {
    match sight {
        Sight::Reachable {
            runs: Runs::Nothing,
            ..
        } => "runs nothing of the service yet".to_owned(),
        Sight::Reachable { runs, .. } => format!("runs {}", runs_in_words(runs)),
        Sight::Unreachable { reason } => {
            format!("unreachable, left alone: {}", printable(reason))
        }
        Sight::Refused { reason } => {
            format!("cannot take part, left alone: {}", printable(reason))
        }
    }
}

/// What runs there beside.
fn beside(other: &SiblingSight) -> String {
    let revision = match other.runs.revision() {
        Some(revision) => format!("`{revision}`"),
        None => "another one".to_owned(),
    };
    let unproven = if other.unproven {
        ", never confirmed"
    } else {
        ""
    };
    format!("; {revision} runs beside it{unproven}")
}

/// Which balancers send nothing to what runs there.
fn out_at(sight: &Sight, traffic: Option<&TrafficSight>) -> String {
    let runs = !matches!(
        sight,
        Sight::Reachable {
            runs: Runs::Nothing,
            ..
        }
    );
    let detached = traffic.iter().flat_map(|seen| &seen.detached);
    let places: Vec<_> = detached.map(|place| format!("`{place}`")).collect();
    match runs && !places.is_empty() {
        true => format!(", out of traffic at {}", places.join(", ")),
        false => String::new(),
    }
}

pub(super) fn target(about: &dyn About) -> Cow<'static, str> {
    match about.spec() {
        Some(spec) => Cow::Owned(format!("`{}`", spec.target)),
        None => Cow::Borrowed("the target"),
    }
}

pub(super) fn before(host: &HostName, about: &dyn About) -> Cow<'static, str> {
    match about.before(host) {
        Some(Runs::Revision { revision }) => Cow::Owned(format!("`{revision}`")),
        Some(Runs::Nothing) => Cow::Borrowed("nothing"),
        None => Cow::Borrowed("what ran before"),
    }
}

pub(super) fn had_nothing(host: &HostName, about: &dyn About) -> bool {
    about.before(host) == Some(&Runs::Nothing)
}

fn marked(mark: &Mark, host: &HostName, about: &dyn About) -> String {
    match mark {
        Mark::Failed { reason } => format!("failed: {}", printable(reason)),
        Mark::Reverted => format!("{} is back and available", before(host, about)),
        Mark::Broken { reason } => format!(
            "could not be put back, somebody must look: {}",
            printable(reason)
        ),
    }
}

fn pausing(cause: &PauseCause, about: &dyn About) -> String {
    let why = match (cause, about.spec()) {
        (PauseCause::Stalled, Some(spec)) => {
            format!(
                "nothing moved on for {} (progress_deadline)",
                span(spec.progress_deadline)
            )
        }
        _ => cause_in_words(cause),
    };
    format!("{why}; nothing new starts, what is in flight is finished")
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
