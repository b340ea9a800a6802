//! What a rollout would do: [`decide`] with an optimistic outcome, looped. Not a second planner.

use std::collections::BTreeSet;
use std::time::Duration;

use super::decide::decide;
use super::decision::{Action, Verdict};
use super::event::{ActionKind, ActionOutcome, Event, Runs, Sight, Started};
use super::health::Health;
use super::ids::{BootId, HostName};
use super::rollout::{Expects, IllegalEvent, RolloutState, Stage};
use super::spec::Spec;
use super::time::Timestamp;
use super::traffic_state::TrafficSight;

/// What is known of a host before a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Which host.
    pub host: HostName,
    /// What it looked like.
    pub sight: Sight,
    /// Whether its instance is ready; ignored where there is none.
    pub ready: bool,
}

/// What a rollout would do, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Every switch.
    pub steps: Vec<PlannedStep>,
    /// Hosts that are not touched, and why; those that run the target already are not named.
    pub skipped: Vec<(HostName, String)>,
}

/// One switch of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStep {
    /// Where.
    pub host: HostName,
    /// What runs there before.
    pub from: Runs,
    /// How.
    pub method: Method,
    /// Switches with the same number are under way together; from 1.
    pub wave: u32,
    /// How many gates are open by then.
    pub gate: usize,
}

/// How an instance comes to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// There is none yet.
    Start,
    /// Stop the old, start the new.
    InPlace,
    /// Start the new beside the old, then stop the old.
    SideBySide,
    /// Start it on a spare host, and stop it there at the end.
    Spare,
    /// It runs the target, or is not touched.
    None,
}

impl Method {
    /// The word that `plan` prints, in JSON too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::InPlace => "in-place",
            Self::SideBySide => "side-by-side",
            Self::Spare => "spare",
            Self::None => "none",
        }
    }
}

/// More turns than any rollout needs: a plan that does not end is a mistake of ours, not a reason to hang.
const TURNS_PER_HOST: usize = 16;

/// Plans a rollout in which everything goes well.
///
/// # Errors
/// When an event does not fit, which is a mistake of ours.
pub fn plan(spec: &Spec, known: &[Known]) -> Result<Plan, IllegalEvent> {
    // What is ready now has been so for long.
    let mut now = Timestamp::from_millis(1) + spec.min_ready;
    // Hooks end well, and change no order; a plan has no hour.
    let spec = &Spec {
        hooks: BTreeSet::new(),
        window: None,
        ..spec.clone()
    };
    let first = Event::RolloutStarted {
        spec: Box::new(spec.clone()),
        by: String::new(),
        cause: None,
    };
    let mut state = RolloutState::start(now, &first)?;
    let mut plan = Plan::default();
    for Known { host, sight, ready } in known {
        state.apply(
            now,
            &Event::HostObserved {
                host: host.clone(),
                sight: sight.clone(),
                // Everything goes well, and so its traffic comes and goes as it should.
                traffic: spec.balanced.then(|| TrafficSight {
                    attached: BTreeSet::from([String::new()]),
                    ..TrafficSight::default()
                }),
                sibling: None,
            },
        )?;
        match sight {
            Sight::Unreachable { reason } | Sight::Refused { reason } => {
                plan.skipped.push((host.clone(), reason.clone()));
            }
            Sight::Reachable { .. } => {}
        }
        let health = match ready {
            true => Health::Ready {
                since: Timestamp::LONG_AGO,
            },
            false => Health::NotReady {
                failed_polls: super::health::FAILED_AFTER,
            },
        };
        state.apply(
            now,
            &Event::HealthChanged {
                host: host.clone(),
                health,
                sibling: false,
            },
        )?;
    }
    let mut wave = 0;
    for _ in 0..TURNS_PER_HOST * (known.len() + 1) {
        for Known { host, .. } in known {
            state.saw(host, now + Duration::from_secs(3600));
        }
        let decision = decide(&state, now);
        match decision.verdict {
            Some(Verdict::ReachStep(step)) => {
                state.apply(now, &Event::StepReached { step })?;
                let by = String::new();
                state.apply(now, &Event::StepApproved { step, by })?;
                continue;
            }
            Some(Verdict::OpenStep(step)) => {
                state.apply(now, &Event::StepOpened { step })?;
                continue;
            }
            Some(_) => break,
            None => {}
        }
        let actions: Vec<_> = decision
            .actions
            .into_iter()
            .filter_map(|action| match action {
                Action::Run { host, kind } => Some((host, kind)),
                Action::Mark { .. } => None,
            })
            .collect();
        if actions.is_empty() {
            let Some(wake_at) = decision.wake_at else {
                break;
            };
            now = wake_at;
            continue;
        }
        wave += u32::from(
            actions
                .iter()
                .any(|(_, kind)| matches!(kind, ActionKind::Activate | ActionKind::Start)),
        );
        for (host, kind) in &actions {
            plan.steps.extend(step(&mut state, now, host, *kind, wave)?);
        }
        for (host, kind) in actions {
            end_well(&mut state, now, host, kind)?;
        }
    }
    Ok(plan)
}

fn step(
    state: &mut RolloutState,
    now: Timestamp,
    host: &HostName,
    kind: ActionKind,
    wave: u32,
) -> Result<Option<PlannedStep>, IllegalEvent> {
    state.apply(
        now,
        &Event::ActionStarted {
            host: host.clone(),
            action: kind,
        },
    )?;
    let Some(instance) = state.instance(host) else {
        return Ok(None);
    };
    let Stage::Activating { expects, .. } = instance.stage else {
        return Ok(None);
    };
    let beside = kind == ActionKind::Start;
    Ok(Some(PlannedStep {
        host: host.clone(),
        from: instance.before.clone().unwrap_or(Runs::Nothing),
        method: match expects {
            _ if beside => Method::SideBySide,
            Expects::Absent if instance.spare => Method::Spare,
            Expects::Absent => Method::Start,
            Expects::Broken | Expects::Running => Method::InPlace,
        },
        wave,
        gate: state.gate.step,
    }))
}

fn end_well(
    state: &mut RolloutState,
    now: Timestamp,
    host: HostName,
    kind: ActionKind,
) -> Result<(), IllegalEvent> {
    let switched = matches!(kind, ActionKind::Activate | ActionKind::Start);
    let started = switched.then(|| Started {
        boot: BootId::new(""),
        units: Vec::new(),
    });
    let outcome = ActionOutcome::Done { started };
    state.apply(
        now,
        &Event::ActionEnded {
            host: host.clone(),
            action: kind,
            outcome,
        },
    )?;
    if switched {
        state.apply(
            now,
            &Event::HealthChanged {
                host,
                health: Health::Ready { since: now },
                sibling: false,
            },
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scene::{spec_of, v1};
    use super::*;

    fn runs(runs: Runs, ready: bool) -> impl Fn(&HostName) -> Known {
        move |host| Known {
            host: host.clone(),
            sight: Sight::reachable(runs.clone()),
            ready,
        }
    }

    #[test]
    fn a_plan_names_the_order_and_what_goes_together() {
        let spec = spec_of(5, 0, 2);
        let old = runs(Runs::Revision { revision: v1() }, true);
        let sick = runs(Runs::Revision { revision: v1() }, false);
        let absent = runs(Runs::Nothing, false);
        let names: Vec<_> = spec.hosts.iter().map(|host| host.name.clone()).collect();
        let known = [
            old(&names[0]),
            old(&names[1]),
            sick(&names[2]),
            old(&names[3]),
            absent(&names[4]),
        ];
        let plan = plan(&spec, &known).unwrap();
        let steps: Vec<_> = plan
            .steps
            .iter()
            .map(|step| (step.host.as_str(), step.method.as_str(), step.wave))
            .collect();
        // Five desired, three must be available, three are: the absent and the sick one come first.
        let expected = [
            ("h04", "start", 1),
            ("h02", "in-place", 1),
            ("h00", "in-place", 2),
            ("h01", "in-place", 2),
            ("h03", "in-place", 3),
        ];
        assert_eq!(steps, expected);
        assert_eq!(plan.skipped, []);
    }

    #[test]
    fn traffic_that_comes_and_goes_changes_no_order() {
        let spec = spec_of(4, 0, 2);
        let old = runs(Runs::Revision { revision: v1() }, true);
        let known: Vec<_> = spec.hosts.iter().map(|host| old(&host.name)).collect();
        let balanced = Spec {
            balanced: true,
            ..spec.clone()
        };
        assert_eq!(
            plan(&balanced, &known).unwrap(),
            plan(&spec, &known).unwrap()
        );
    }

    #[test]
    fn side_by_side_uses_each_budget_that_there_is() {
        for (surge, unavailable, expected) in [
            (
                1,
                0,
                [
                    ("side-by-side", 1),
                    ("side-by-side", 2),
                    ("side-by-side", 3),
                ],
            ),
            (0, 1, [("in-place", 1), ("in-place", 2), ("in-place", 3)]),
            (
                1,
                1,
                [("side-by-side", 1), ("in-place", 1), ("in-place", 2)],
            ),
        ] {
            let spec = Spec {
                side_by_side: true,
                ..spec_of(3, surge, unavailable)
            };
            let old = runs(Runs::Revision { revision: v1() }, true);
            let known: Vec<_> = spec.hosts.iter().map(|host| old(&host.name)).collect();
            let plan = plan(&spec, &known).unwrap();
            let steps: Vec<_> = plan
                .steps
                .iter()
                .map(|step| (step.method.as_str(), step.wave))
                .collect();
            assert_eq!(steps, expected, "surge {surge}, unavailable {unavailable}");
        }
    }

    #[test]
    fn a_host_that_cannot_be_reached_is_named_and_counts_as_unavailable() {
        let spec = spec_of(3, 0, 1);
        let old = runs(Runs::Revision { revision: v1() }, true);
        let names: Vec<_> = spec.hosts.iter().map(|host| host.name.clone()).collect();
        let gone = Known {
            host: names[1].clone(),
            sight: Sight::Unreachable {
                reason: "connection refused".into(),
            },
            ready: false,
        };
        let plan = plan(&spec, &[old(&names[0]), gone, old(&names[2])]).unwrap();
        assert_eq!(
            plan.steps,
            [],
            "one is unavailable already and only one may be"
        );
        assert_eq!(
            plan.skipped,
            [(names[1].clone(), "connection refused".to_owned())]
        );
    }
}
