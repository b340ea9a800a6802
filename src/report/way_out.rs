//! What a person may type next: the last words of a rollout and `status` say it alike.

use super::state::failed;
use crate::core::event::{Event, Outcome, PauseCause, RecordedEvent};
use crate::core::hooks::HookKind;
use crate::core::ids::{RevisionName, ServiceName};
use crate::core::rollout::{Instance, Reach, RolloutState, Stage};
use crate::core::spec::RolloutKind;

/// What the advice rests on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WayOut<'a> {
    pub(crate) service: &'a ServiceName,
    pub(crate) kind: RolloutKind,
    /// The service's revision before the rollout.
    pub(crate) from: Option<&'a RevisionName>,
    /// The rollout's target.
    pub(crate) to: &'a RevisionName,
    /// Instances that failed by us.
    pub(crate) failed: usize,
    /// Whether every host goes back to what it ran before.
    pub(crate) goes_back: bool,
}

impl<'a> WayOut<'a> {
    /// Of a rollout as it stands.
    pub(crate) fn of(state: &'a RolloutState) -> Self {
        let spec = &state.spec;
        Self {
            service: &spec.service,
            kind: spec.kind,
            from: spec.from.as_ref().map(|from| &from.name),
            to: &spec.target.name,
            failed: failed(state),
            goes_back: state.goes_back(),
        }
    }

    /// What goes on with a paused rollout.
    pub(crate) fn resume_paused(&self) -> String {
        let resume = format!("`rollctl resume {}`", self.service);
        match self.failed {
            _ if self.goes_back => format!("{resume} goes on going back"),
            0 => format!("{resume} goes on"),
            1 => format!("{resume} retries the failed instance"),
            _ => format!("{resume} retries the failed instances"),
        }
    }

    /// What goes on with a rollout whose controller died.
    pub(crate) fn resume_interrupted(&self) -> String {
        let goes_on = match self.goes_back {
            true => "goes on going back",
            false => "goes on",
        };
        format!(
            "`rollctl resume {}` looks at the hosts and {goes_on}",
            self.service
        )
    }

    /// `; `rollctl rollback web --to v1.4.1` returns to `v1.4.1``, where there is something to return to.
    pub(crate) fn or_back(&self) -> String {
        let service = self.service;
        match self.from {
            Some(from)
                if from != self.to && self.kind != RolloutKind::Rollback && !self.goes_back =>
            {
                format!("; `rollctl rollback {service} --to {from}` returns to `{from}`")
            }
            _ => String::new(),
        }
    }
}

/// What begins the same thing anew once it is over: `resume` or `abort`, which somebody may have typed last, would not.
fn once_more(state: &RolloutState) -> String {
    let (service, target) = (&state.spec.service, &state.spec.target);
    match state.spec.kind {
        RolloutKind::Release => format!("release `{target}` once more"),
        RolloutKind::Rollback => format!("`rollctl rollback {service} --to {target}`"),
        RolloutKind::Restart => format!("`rollctl restart {service}`"),
    }
}

/// How many instances a rollout that goes back has not brought back.
pub(crate) fn left_on_target(state: &RolloutState) -> usize {
    let is_left = |one: &&Instance| matches!(one.stage, Stage::Updated { started: Some(_) });
    state.instances.iter().filter(is_left).count()
}

/// How many of the selected hosts run the target, and how many are selected.
pub(crate) fn reached(state: &RolloutState) -> (usize, usize) {
    let on_target = |one: &Instance| {
        one.selected
            && matches!(one.stage, Stage::Updated { .. })
            && one
                .runs
                .as_ref()
                .is_some_and(|runs| runs.is(&state.spec.target))
    };
    let count =
        |which: &dyn Fn(&Instance) -> bool| state.ordinary().filter(|one| which(one)).count();
    (count(&on_target), count(&|one| one.selected))
}

/// Whether a host that could take part is left: then a larger budget would help.
pub(crate) fn is_budget_in_the_way(state: &RolloutState) -> bool {
    state
        .ordinary()
        .filter(|one| one.selected && !matches!(one.stage, Stage::Updated { .. }))
        // What failed is not tried again, however large the budget.
        .filter(|one| one.failure().is_none())
        .any(|one| one.is_reachable() && !matches!(one.reach, Some(Reach::Refused { .. })))
}

/// What to type once a rollout has come to rest.
pub(crate) fn next(recorded: &RecordedEvent, state: &RolloutState) -> Option<String> {
    let service = &state.spec.service;
    let way_out = WayOut::of(state);
    let back = way_out.or_back();
    match &recorded.event {
        Event::RolloutPaused if matches!(state.pause, Some(PauseCause::WindowClosed { .. })) => {
            Some(format!(
                "`rollctl resume {service} --wait` goes on when it opens; with `--outside-window` at once{back}"
            ))
        }
        Event::RolloutPaused => Some(format!("{}{back}", way_out.resume_paused())),
        Event::RolloutEnded { outcome } => match outcome {
            Outcome::Completed
                if state.hooks.failures.contains_key(&HookKind::AfterRollout)
                    && missing(state).is_none() =>
            {
                Some(
                    "hosts stay as they are; run the hook by hand if it has to have run".to_owned(),
                )
            }
            Outcome::Completed => missing(state).map(|hint| match failed(state) {
                0 => hint,
                _ => format!("{hint}{back}"),
            }),
            Outcome::StoodStill => Some(stood_still(state, &back)),
            Outcome::RolledBack => {
                let better = match state.spec.kind {
                    RolloutKind::Release => "release a better version; ",
                    RolloutKind::Rollback | RolloutKind::Restart => "",
                };
                Some(format!(
                    "{better}`rollctl describe {}` tells all that happened",
                    recorded.rollout
                ))
            }
            Outcome::Refused => Some(format!("{} when the hook lets it", once_more(state))),
            Outcome::Aborted => Some(format!(
                "hosts stay on what they run; to bring the others on, {}{back}",
                once_more(state)
            )),
            Outcome::Failed => Some(format!(
                "look at these hosts first; `rollctl status {service}` shows what runs where{}",
                WayOut {
                    // It did not get all the way: the same way is asked for again.
                    goes_back: false,
                    ..way_out
                }
                .or_back()
            )),
        },
        _ => None,
    }
}

/// What helps when only unreachable, sick or failed hosts are in the way.
fn stood_still(state: &RolloutState, back: &str) -> String {
    let better = match (failed(state), state.spec.kind) {
        (1.., RolloutKind::Release) => "release a better version, or ",
        _ => "",
    };
    let more = match is_budget_in_the_way(state) {
        true => ", or allow more with `--max-unavailable`",
        false => "",
    };
    // Where nothing is new there is nothing to return from.
    let back = match reached(state) {
        (0, _) => "",
        _ => back,
    };
    format!(
        "{better}mend these hosts, or leave them out with `--exclude HOST` or `out_of_service = true`{more}; \
         then {}{back}",
        once_more(state)
    )
}

/// How hosts that were skipped, or failed, get there later.
fn missing(state: &RolloutState) -> Option<String> {
    let (done, all) = reached(state);
    if done >= all {
        return None;
    }
    let service = &state.spec.service;
    Some(match state.spec.kind {
        RolloutKind::Restart => {
            format!("`rollctl restart {service} --hosts HOST` restarts one that is missing")
        }
        // What only some hosts were to get is not the service's revision.
        _ if all < state.ordinary().count() => {
            format!(
                "to bring the hosts that are missing up to date, {}",
                once_more(state)
            )
        }
        _ => format!(
            "`rollctl release {service} --same` brings the hosts that are missing up to date"
        ),
    })
}
