//! Exit codes by what was read back, and when nothing is to be recorded.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::core::budget::{Budget, Quantity};
use crate::core::event::{ActionKind, ActionOutcome, Event, Mark, Started};
use crate::core::fleet::OnFailure;
use crate::core::health::Health;
use crate::core::hooks::HookEnd;
use crate::core::ids::{BootId, Digest, RolloutId, ServiceName};
use crate::core::revision::Architecture;
use crate::core::rollout::RolloutState;
use crate::core::spec::HostSpec;
use crate::core::time::Timestamp;
use crate::ports::HostErrorKind;
use crate::ports::{HostError, HostFacts};

fn revision(name: &str) -> RevisionRef {
    RevisionRef {
        name: RevisionName::parse(name).unwrap(),
        digest: Digest::new(name.repeat(4)),
    }
}

fn on(name: &str) -> Runs {
    match name {
        "-" => Runs::Nothing,
        name => Runs::Revision {
            revision: revision(name),
        },
    }
}

fn spec(hosts: usize) -> Spec {
    Spec {
        service: ServiceName::new("web"),
        kind: RolloutKind::Release,
        target: revision("v2"),
        from: Some(revision("v1")),
        budget: Budget::resolve(2, Quantity::Count(0), Quantity::Count(1)),
        hosts: (0..hosts)
            .map(|n| HostSpec::new(HostName::new(format!("h{n}")), true))
            .collect(),
        min_ready: Duration::from_secs(1),
        deadline: Duration::from_secs(10),
        progress_deadline: Duration::from_secs(100),
        max_failures: 0,
        on_failure: OnFailure::Pause,
        max_uploads: 1,
        steps: Vec::new(),
        domains: Vec::new(),
        side_by_side: false,
        balanced: false,
        hooks: Default::default(),
        signed_by: Vec::new(),
        unattended: false,
        window: None,
    }
}

fn facts(runs: Runs) -> HostFacts {
    HostFacts {
        runs,
        port: None,
        beside: None,
        unadopted: None,
        unproven: None,
        units: Vec::new(),
        boot: BootId::new("b"),
        architecture: Architecture("x86_64".into()),
        revisions: BTreeMap::new(),
        owner: None,
        epoch: None,
    }
}

/// Hosts as letters: `u` was updated, `n` ran the target before, `r` was put back, `s` was sick before and put back,
/// `x` could not be reached, `o` was left as it was. Then what each is read back to run; `?`: it no longer answers.
fn finished(letters: &str, read: &[&str], end: Event) -> Finished {
    let at = Timestamp::from_millis(1_000);
    let first = Event::RolloutStarted {
        spec: Box::new(spec(letters.len())),
        by: "t".into(),
        cause: None,
    };
    let mut state = RolloutState::start(at, &first).unwrap();
    let mut happen = |event| state.apply(at, &event).unwrap();
    let mut sights = Sights::new();
    for (n, letter) in letters.chars().enumerate() {
        let host = HostName::new(format!("h{n}"));
        let sight = match letter {
            'x' => Sight::Unreachable {
                reason: "gone".into(),
            },
            'n' => Sight::reachable(on("v2")),
            _ => Sight::reachable(on("v1")),
        };
        happen(Event::HostObserved {
            host: host.clone(),
            sight,
            traffic: None,
            sibling: None,
        });
        let health = match letter {
            's' => Health::NotReady { failed_polls: 3 },
            _ => Health::Ready {
                since: Timestamp::LONG_AGO,
            },
        };
        happen(Event::HealthChanged {
            host: host.clone(),
            health,
            sibling: false,
        });
        let mut done = |action: ActionKind| {
            let switched = matches!(action, ActionKind::Activate | ActionKind::Revert);
            let started = switched.then(|| Started {
                boot: BootId::new("b"),
                units: Vec::new(),
            });
            happen(Event::ActionStarted {
                host: host.clone(),
                action,
            });
            happen(Event::ActionEnded {
                host: host.clone(),
                action,
                outcome: ActionOutcome::Done { started },
            });
        };
        if "urs".contains(letter) {
            done(ActionKind::Stage);
            done(ActionKind::Activate);
        }
        if letter == 'u' {
            done(ActionKind::Confirm);
        }
        if "rs".contains(letter) {
            happen(Event::InstanceMarked {
                host: host.clone(),
                mark: Mark::Failed {
                    reason: "no".into(),
                },
            });
            let mut done = |action| {
                happen(Event::ActionStarted {
                    host: host.clone(),
                    action,
                });
                happen(Event::ActionEnded {
                    host: host.clone(),
                    action,
                    outcome: ActionOutcome::Done {
                        started: Some(Started {
                            boot: BootId::new("b"),
                            units: Vec::new(),
                        }),
                    },
                });
            };
            done(ActionKind::Revert);
        }
        if letter == 'r' {
            happen(Event::InstanceMarked {
                host: host.clone(),
                mark: Mark::Reverted,
            });
        }
        let seen = match read[n] {
            "?" => Err(HostError {
                kind: HostErrorKind::Unreachable,
                message: "gone".into(),
                hint: None,
            }),
            name => Ok(facts(on(name))),
        };
        sights.insert(host, seen);
    }
    happen(end);
    Finished {
        rollout: RolloutId(1),
        state,
        sights,
    }
}

#[test]
fn the_exit_code_is_what_was_read_back() {
    let ended = |outcome| Event::RolloutEnded { outcome };
    let completed = || ended(Outcome::Completed);
    let paused = || Event::RolloutPaused;
    for (sentence, letters, read, end, code) in [
        (
            "all run it",
            "un",
            ["v2", "v2"],
            completed(),
            ExitCode::Done,
        ),
        (
            "its hook refused it",
            "oo",
            ["v1", "v1"],
            ended(Outcome::Refused),
            ExitCode::Paused,
        ),
        (
            "one could not be reached",
            "ux",
            ["v2", "?"],
            completed(),
            ExitCode::Skipped,
        ),
        (
            "one that was updated runs something else in the end",
            "uu",
            ["v2", "v1"],
            completed(),
            ExitCode::Mixed,
        ),
        (
            "one that was updated does not answer in the end",
            "uu",
            ["v2", "?"],
            completed(),
            ExitCode::Mixed,
        ),
        (
            "one that was not touched does not answer in the end",
            "un",
            ["v2", "?"],
            completed(),
            ExitCode::Skipped,
        ),
        (
            "one failed and was put back, as was allowed",
            "ur",
            ["v2", "v1"],
            completed(),
            ExitCode::Mixed,
        ),
        (
            "one was sick before and could not take it",
            "us",
            ["v2", "v1"],
            completed(),
            ExitCode::Skipped,
        ),
        (
            "paused, all as it should be",
            "ur",
            ["v2", "v1"],
            paused(),
            ExitCode::Paused,
        ),
        (
            "paused, and what was put back runs something else",
            "ur",
            ["v2", "v2"],
            paused(),
            ExitCode::Mixed,
        ),
        (
            "stood still after some were changed",
            "uo",
            ["v2", "v1"],
            ended(Outcome::StoodStill),
            ExitCode::Skipped,
        ),
        (
            "stood still after one failed and another was changed",
            "ur",
            ["v2", "v1"],
            ended(Outcome::StoodStill),
            ExitCode::Mixed,
        ),
        (
            "stood still after all that were tried failed and were put back",
            "ro",
            ["v1", "v1"],
            ended(Outcome::StoodStill),
            ExitCode::RolledBack,
        ),
        (
            "stood still, nothing was changed",
            "oo",
            ["v1", "v1"],
            ended(Outcome::StoodStill),
            ExitCode::Paused,
        ),
        (
            "a revert failed",
            "ur",
            ["v2", "v1"],
            ended(Outcome::Failed),
            ExitCode::Mixed,
        ),
    ] {
        assert_eq!(
            exit_code(&finished(letters, &read, end)),
            code,
            "{sentence}"
        );
    }
}

#[test]
fn when_nothing_to_do_is_not_the_whole_truth() {
    let record = |outcome: &str| RolloutRecord {
        id: RolloutId(1),
        service: ServiceName::new("web"),
        kind: RolloutKind::Release,
        from: None,
        to: revision("v2").digest,
        outcome: outcome.to_owned(),
        started_at: Timestamp::from_millis(0),
        ended_at: None,
        by: "t".into(),
        partial: false,
    };
    for (sentence, from, partial, newest, settled) in [
        (
            "it is the service's revision",
            "v2",
            false,
            Some("completed"),
            true,
        ),
        (
            "a rollout is left paused",
            "v2",
            false,
            Some("paused"),
            false,
        ),
        (
            "its controller died",
            "v2",
            false,
            Some("interrupted"),
            false,
        ),
        (
            "brought there by parts: not yet the service's revision",
            "v1",
            false,
            Some("completed"),
            false,
        ),
        (
            "some hosts, which have it",
            "v1",
            true,
            Some("completed"),
            true,
        ),
        ("this ledger knows nothing of it", "-", false, None, false),
    ] {
        let mut spec = spec(2);
        spec.from = on(from).revision().cloned();
        spec.hosts[0].selected = !partial;
        let newest = newest.map(record);
        assert_eq!(is_settled(&spec, newest.as_ref()), settled, "{sentence}");
    }
}

#[test]
fn a_last_hook_that_failed_is_told_where_nothing_worse_is() {
    for (letters, read, code) in [
        ("un", ["v2", "v2"], ExitCode::Unexpected),
        ("ux", ["v2", "?"], ExitCode::Skipped),
    ] {
        let outcome = Outcome::Completed;
        let mut finished = finished(letters, &read, Event::RolloutEnded { outcome });
        let failure = HookEnd::not_run("no such file");
        let failures = &mut finished.state.hooks.failures;
        failures.insert(HookKind::AfterRollout, failure);
        assert_eq!(exit_code(&finished), code, "{letters}");
    }
}
