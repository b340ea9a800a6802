//! The last words of a rollout: what became of it, what failed and why, the state of the fleet, what to do next.

use std::collections::BTreeMap;

use super::hooks::hook_lines;
use super::notice::Notice;
use super::sink::To;
use super::state::failed;
use super::time::span;
use super::way_out::{is_budget_in_the_way, left_on_target, next, reached};
use super::words::{cause_in_words, hosts, rollback_in_words};
use crate::core::event::{Event, Outcome, PauseCause, RecordedEvent, RollbackCause, Runs};
use crate::core::hooks::{HookEnd, HookKind};
use crate::core::ids::HostName;
use crate::core::rollout::{Instance, Reach, RolloutState, Stage};
use crate::core::time::Timestamp;
use crate::ports::{JournalExcerpt, ProbeAnswer, Progress};

/// Hosts that are told about one by one; `describe` has the rest.
const HOSTS_TOLD: usize = 20;

/// How a rollout ended, ready to be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Whether it reached what it was to reach.
    pub completed: bool,
    /// The text.
    pub notice: Notice,
}

impl Ending {
    /// A result goes to stdout, an error to stderr.
    pub(crate) fn stream(&self) -> To {
        if self.completed {
            To::Stdout
        } else {
            To::Stderr
        }
    }

    /// The text for people.
    pub fn text(&self, colour: bool) -> String {
        if self.completed {
            self.notice.text(colour)
        } else {
            self.notice.error_text(colour)
        }
    }
}

/// Remembers what was found out about instances that failed; such things are shown, never stored.
#[derive(Debug, Default)]
pub struct Diagnoses(BTreeMap<HostName, (Option<ProbeAnswer>, JournalExcerpt)>);

impl Diagnoses {
    /// Takes what was found out, if it is that.
    pub fn hear(&mut self, progress: &Progress) {
        if let Progress::Diagnosis {
            host,
            last_probe,
            journal,
        } = progress
        {
            self.0
                .insert(host.clone(), (last_probe.clone(), journal.clone()));
        }
    }

    /// The last words, when the event is the last one.
    pub fn ending(&self, recorded: &RecordedEvent, state: &RolloutState) -> Option<Ending> {
        let (completed, message) = match &recorded.event {
            Event::RolloutEnded { outcome } => (
                *outcome == Outcome::Completed
                    && failed(state) == 0
                    && !state.hooks.failures.contains_key(&HookKind::AfterRollout),
                ended(*outcome, recorded, state),
            ),
            Event::RolloutPaused => (false, paused(recorded, state)),
            Event::RolloutSuperseded { by } => (
                false,
                format!("{} gave way to rollout {by}", of(recorded, state)),
            ),
            _ => return None,
        };
        let details = self.details(recorded, state);
        let all_is_well = completed && details.is_empty();
        Some(Ending {
            completed,
            notice: Notice {
                message,
                details,
                state: (!all_is_well).then(|| fleet(state, recorded.at)),
                hint: next(recorded, state),
            },
        })
    }

    fn details(&self, recorded: &RecordedEvent, state: &RolloutState) -> Vec<String> {
        let told: Vec<_> = state
            .instances
            .iter()
            .filter(|instance| instance.selected)
            .filter_map(|instance| Some((instance, trouble(instance)?)))
            .collect();
        let mut lines: Vec<_> = state.hooks.failures.iter().flat_map(hook_lines).collect();
        for (instance, trouble) in told.iter().take(HOSTS_TOLD) {
            self.detail(instance, trouble, &mut lines);
        }
        if told.len() > HOSTS_TOLD {
            lines.push(format!(
                "... and {} more; `rollctl describe {}` tells all",
                told.len() - HOSTS_TOLD,
                recorded.rollout
            ));
        }
        lines
    }

    fn detail(&self, instance: &Instance, trouble: &str, lines: &mut Vec<String>) {
        let host = &instance.host;
        let Some((probe, journal)) = self.0.get(host) else {
            lines.push(format!("{host}: {trouble}"));
            return;
        };
        let probe = probe.as_ref().map_or_else(String::new, |probe| {
            format!("; last probe: {}", probe.shown)
        });
        lines.push(format!("{host}: {trouble}{probe}"));
        let indent = " ".repeat(host.as_str().chars().count() + 2);
        match journal {
            JournalExcerpt::NotReadable => lines.push(format!("{indent}journal: not readable")),
            JournalExcerpt::Lines(told) if told.is_empty() => {
                lines.push(format!("{indent}journal: no lines of this invocation"));
            }
            JournalExcerpt::Lines(told) => {
                let labels = std::iter::once("journal: ").chain(std::iter::repeat("         "));
                lines.extend(
                    labels
                        .zip(told)
                        .map(|(label, line)| format!("{indent}{label}{}", line.trim_end())),
                );
            }
        }
    }
}

fn of(recorded: &RecordedEvent, state: &RolloutState) -> String {
    format!("rollout {} of `{}`", recorded.rollout, state.spec.service)
}

fn ended(outcome: Outcome, recorded: &RecordedEvent, state: &RolloutState) -> String {
    let of = of(recorded, state);
    let (done, all) = reached(state);
    let target = &state.spec.target;
    let took = span(recorded.at.since(state.started_at));
    let selected = if all == state.ordinary().count() {
        ""
    } else {
        " selected hosts"
    };
    match outcome {
        Outcome::Completed if failed(state) > 0 => format!(
            "{of} ended: {}; {done} of {all}{selected} on `{target}`",
            failures(state)
        ),
        Outcome::Completed if state.hooks.failures.contains_key(&HookKind::AfterRollout) => {
            format!(
                "{of} is complete, {done} of {all}{selected} on `{target}`; its after_rollout hook failed"
            )
        }
        Outcome::Completed => {
            format!("{of} completed: {done} of {all}{selected} on `{target}` in {took}")
        }
        Outcome::StoodStill => {
            let why = match is_budget_in_the_way(state) {
                true => {
                    "only unreachable, sick or failed hosts are left, and the budget does not allow more".to_owned()
                }
                false if failed(state) > 0 => failures(state),
                false => "none of the hosts that are left can take part".to_owned(),
            };
            format!("{of} cannot go on: {done} of {all}{selected} on `{target}`; {why}")
        }
        Outcome::RolledBack => {
            format!(
                "{of} was rolled back: {}; every host runs what it ran before",
                went_back(state)
            )
        }
        Outcome::Aborted => {
            format!("{of} was aborted where it stood: {done} of {all}{selected} on `{target}`")
        }
        Outcome::Refused => {
            let how = state.hooks.failures.get(&HookKind::BeforeRollout);
            let how = how.map_or_else(|| "failed".to_owned(), HookEnd::how);
            format!("{of} did not begin, nothing was touched: its before_rollout hook {how}")
        }
        Outcome::Failed => {
            let (what, left) = (given_up(state), left_on_target(state));
            match state.goes_back() {
                true => format!(
                    "{of} failed: {}; {what}, somebody must look; {left} still on `{target}`",
                    went_back(state)
                ),
                false => format!(
                    "{of} failed: {what}, somebody must look; {done} of {all}{selected} on `{target}`"
                ),
            }
        }
    }
}

/// `2 of 12 instances failed on `v1.4.2``.
fn failures(state: &RolloutState) -> String {
    let (_, all) = reached(state);
    format!(
        "{} of {all} instances failed on `{}`",
        failed(state),
        state.spec.target
    )
}

/// Why it went back.
fn went_back(state: &RolloutState) -> String {
    match &state.rollback {
        Some(RollbackCause::Stalled) => stalled(state),
        // One that failed and was put back itself is counted too, whatever failed after it turned.
        _ => failures(state),
    }
}

fn stalled(state: &RolloutState) -> String {
    format!(
        "nothing moved on for {} (progress_deadline)",
        span(state.spec.progress_deadline)
    )
}

/// What kept a rollout that failed from coming to an end that somebody would call one.
fn given_up(state: &RolloutState) -> String {
    let broken = count(state, |one| matches!(one.stage, Stage::Broken { .. }));
    let lost = count(state, |one| matches!(one.stage, Stage::Lost { .. }));
    match (broken, lost) {
        (0, 0) => "some hosts could not go back".to_owned(),
        (0, lost) => format!("{} lost while in work", hosts(lost)),
        (1, 0) if state.instances.iter().any(is_spare_and_broken) => {
            "what a spare host carries could not be stopped".to_owned()
        }
        (broken, 0) => format!("{} could not be put back", hosts(broken)),
        (broken, lost) => format!(
            "{} could not be put back, {} lost while in work",
            hosts(broken),
            hosts(lost)
        ),
    }
}

fn is_spare_and_broken(instance: &Instance) -> bool {
    instance.spare && matches!(instance.stage, Stage::Broken { .. })
}

fn paused(recorded: &RecordedEvent, state: &RolloutState) -> String {
    let of = of(recorded, state);
    let target = &state.spec.target;
    let (done, all) = reached(state);
    if let Some(cause) = &state.rollback {
        let why = state
            .pause
            .as_ref()
            .map_or_else(String::new, |cause| format!(", {}", cause_in_words(cause)));
        return format!(
            "{of} paused on its way back{why}: {}; {} still on `{target}`",
            rollback_in_words(cause),
            left_on_target(state)
        );
    }
    match &state.pause {
        Some(PauseCause::Failures { .. }) => format!("{of} paused: {}", failures(state)),
        Some(PauseCause::Stalled) => {
            format!(
                "{of} paused: {}; {done} of {all} on `{target}`",
                stalled(state)
            )
        }
        Some(cause) => format!(
            "{of} paused, {}: {done} of {all} on `{target}`",
            cause_in_words(cause)
        ),
        None => format!("{of} paused: {done} of {all} on `{target}`"),
    }
}

fn count(state: &RolloutState, which: impl Fn(&Instance) -> bool) -> usize {
    state.instances.iter().filter(|one| which(one)).count()
}

/// What is wrong with an instance at the end; nothing when all is well.
fn trouble(instance: &Instance) -> Option<String> {
    let back = match &instance.before {
        Some(Runs::Revision { revision }) => format!("`{revision}` is back"),
        Some(Runs::Nothing) => "removed again".to_owned(),
        None => "put back".to_owned(),
    };
    let puts = match &instance.before {
        Some(Runs::Revision { revision }) => format!("puts `{revision}` back"),
        Some(Runs::Nothing) => "removes it again".to_owned(),
        None => "puts it back".to_owned(),
    };
    match (&instance.stage, &instance.reach) {
        (
            Stage::Reverted {
                failure: Some(reason),
            },
            _,
        ) if instance.sick_before => Some(format!("{reason} ({back}; it was sick before)")),
        (
            Stage::Reverted {
                failure: Some(reason),
            },
            _,
        ) => Some(format!("{reason} ({back})")),
        (Stage::Reverted { failure: None }, _) => None,
        (Stage::Lost { reason }, _) => Some(format!("{reason}; its dead-man's switch {puts}")),
        // There is nothing to put back there: the reason says what could not be done.
        (Stage::Broken { reason }, _) if instance.spare => Some(reason.clone()),
        (Stage::Broken { reason }, _) => Some(format!("could not be put back: {reason}")),
        (
            Stage::Failed { reason }
            | Stage::Reverting {
                failure: Some(reason),
            }
            | Stage::Recovering {
                failure: Some(reason),
                ..
            },
            _,
        ) => Some(format!("{reason} (not put back yet)")),
        (_, Some(Reach::Unreachable { reason })) => {
            Some(format!("unreachable, left alone: {reason}"))
        }
        (_, Some(Reach::Refused { reason })) => {
            Some(format!("cannot take part, left alone: {reason}"))
        }
        _ if instance.is_surplus() => {
            Some("still carries the service: too few others are available to stop it".to_owned())
        }
        _ if instance.is_broken() => Some("not ready".to_owned()),
        _ if instance.is_absent() || instance.is_attached() => None,
        _ => Some(out_of_traffic(instance)),
    }
}

/// Who keeps it out of traffic, and where.
fn out_of_traffic(instance: &Instance) -> String {
    let kept_out = instance.traffic.iter().flat_map(|one| &one.kept_out);
    let places: Vec<_> = kept_out.map(|place| format!("`{place}`")).collect();
    match instance.is_kept_out() {
        true => format!(
            "out of traffic at {}, as it was found: left so",
            places.join(", ")
        ),
        false => "taken out of traffic and not put back: the next rollout does".to_owned(),
    }
}

/// `fleet: 4 on `v1.4.2`, 6 on `v1.4.1`, 2 unavailable (3 allowed)`.
fn fleet(state: &RolloutState, now: Timestamp) -> String {
    let mut on: Vec<(String, usize)> = Vec::new();
    let mut unavailable = 0_u32;
    for instance in &state.instances {
        let Some(serving) = instance.what_serves(now, state.spec.min_ready) else {
            unavailable += u32::from(!instance.spare);
            continue;
        };
        let name = match serving.and_then(Runs::revision) {
            Some(revision) => format!("`{revision}`"),
            None => "an unknown revision".to_owned(),
        };
        match on.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => on.push((name, 1)),
        }
    }
    let target = format!("`{}`", state.spec.target);
    on.sort_by_key(|(name, _)| *name != target);
    let mut parts: Vec<String> = on
        .into_iter()
        .map(|(name, count)| format!("{count} on {name}"))
        .collect();
    parts.push(format!(
        "{unavailable} unavailable ({} allowed)",
        state.spec.budget.max_unavailable
    ));
    format!("fleet: {}", parts.join(", "))
}

#[cfg(test)]
#[path = "ending_tests.rs"]
mod tests;
