//! Instances that fail: for what, what becomes of them, and of the rollout.

use super::decision::{Action, Verdict};
use super::event::{ActionKind, ActionOutcome, Event, Mark, Outcome, PauseCause, Started};
use super::health::Health;
use super::ids::BootId;
use super::rollout::Stage;
use super::scene::{Scene, name, spec_of};

#[test]
fn a_failed_instance_is_put_back_and_the_rollout_pauses() {
    let mut scene = Scene::staged(spec_of(4, 0, 1), "oooo");
    scene.done(0, ActionKind::Activate);
    scene.wait(51);
    let expected = Mark::Failed {
        reason: "not ready within 60s".to_owned(),
    };
    let actions = scene.decide().actions;
    assert_eq!(
        actions,
        [Action::Mark {
            host: name(0),
            mark: expected.clone()
        }],
        "51 s and 10 s are more than 60"
    );
    scene.happen(Event::InstanceMarked {
        host: name(0),
        mark: expected,
    });
    let cause = PauseCause::Failures { failed: 1 };
    assert_eq!(scene.decide().verdict, Some(Verdict::Pause(cause.clone())));
    scene.happen(Event::PauseRequested { cause });
    assert_eq!(scene.runs(ActionKind::Revert), [0]);
    scene.done(0, ActionKind::Revert);
    assert_eq!(
        scene.decide().actions,
        [],
        "it is not back before it is available"
    );
    scene.ready(0);
    scene.wait(10);
    let back = Action::Mark {
        host: name(0),
        mark: Mark::Reverted,
    };
    assert_eq!(scene.decide().actions, [back]);
    scene.happen(Event::InstanceMarked {
        host: name(0),
        mark: Mark::Reverted,
    });
    assert_eq!(scene.decide().verdict, Some(Verdict::Paused));
    let counts = scene.counts();
    assert_eq!(
        (counts.available, counts.up_to_date, counts.failed),
        (4, 0, 1)
    );
}

#[test]
fn what_an_instance_is_failed_for() {
    type Move = fn(&mut Scene);
    let cases: [(&str, Move, Option<&str>); 7] = [
        ("not ready, still in time", |s| s.wait(50), None),
        (
            "not ready, too late to be available in time",
            |s| s.wait(51),
            Some("not ready within 60s"),
        ),
        (
            "ready too late",
            |s| {
                s.wait(55);
                s.ready(0);
            },
            Some("ready too late to be available within 60s"),
        ),
        (
            "ready in time, unready again, deadline not passed",
            |s| {
                s.ready(0);
                s.wait(5);
                s.health(0, Health::NotReady { failed_polls: 4 });
            },
            None,
        ),
        (
            "restarted by itself while settling",
            |s| s.health(0, Health::Restarted),
            Some("a unit restarted by itself after rollctl had started it"),
        ),
        (
            "five failed polls after it had been available",
            |s| {
                s.ready(0);
                s.wait(10);
                s.done(0, ActionKind::Confirm);
                s.health(0, Health::NotReady { failed_polls: 5 });
            },
            Some("it became unready after it had been available"),
        ),
        (
            "four failed polls after it had been available",
            |s| {
                s.ready(0);
                s.wait(10);
                s.done(0, ActionKind::Confirm);
                s.health(0, Health::NotReady { failed_polls: 4 });
            },
            None,
        ),
    ];
    for (sentence, then, expected) in cases {
        let mut scene = Scene::staged(spec_of(1, 0, 1), "o");
        scene.done(0, ActionKind::Activate);
        then(&mut scene);
        let found = scene
            .decide()
            .actions
            .into_iter()
            .find_map(|action| match action {
                Action::Mark {
                    mark: Mark::Failed { reason },
                    ..
                } => Some(reason),
                _ => None,
            });
        assert_eq!(found.as_deref(), expected, "{sentence}");
    }
}

#[test]
fn the_deadline_runs_from_the_start_and_not_while_the_old_one_stops() {
    let mut scene = Scene::staged(spec_of(1, 0, 1), "o");
    scene.begin(0, ActionKind::Activate);
    scene.wait(55);
    let started = Started {
        boot: BootId::new("b"),
        units: Vec::new(),
    };
    scene.end(
        0,
        ActionKind::Activate,
        ActionOutcome::Done {
            started: Some(started),
        },
    );
    scene.wait(50);
    assert_eq!(scene.decide().actions, [], "50 of 60 s: still in time");
    scene.ready(0);
    scene.wait(10);
    assert_eq!(scene.runs(ActionKind::Confirm), [0]);
}

#[test]
fn only_what_was_touched_can_stall_a_rollout() {
    let mut scene = Scene::new(spec_of(2, 0, 1), "oo");
    scene.begin(0, ActionKind::Stage);
    scene.wait(600);
    let shipping = scene.decide().verdict;
    assert_eq!(shipping, None, "a slow upload takes nothing down");
    scene.end(0, ActionKind::Stage, ActionOutcome::Done { started: None });
    scene.begin(0, ActionKind::Activate);
    scene.wait(600);
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::Pause(PauseCause::Stalled))
    );
}

#[test]
fn a_revert_that_fails_ends_the_rollout() {
    let mut scene = Scene::staged(spec_of(3, 0, 1), "ooo");
    scene.begin(0, ActionKind::Activate);
    scene.end(
        0,
        ActionKind::Activate,
        ActionOutcome::Failed {
            reason: "exit 1".into(),
        },
    );
    scene.happen(Event::PauseRequested {
        cause: PauseCause::Failures { failed: 1 },
    });
    scene.begin(0, ActionKind::Revert);
    scene.end(
        0,
        ActionKind::Revert,
        ActionOutcome::Failed {
            reason: "disk full".into(),
        },
    );
    let reason = "exit 1; putting it back failed: disk full".to_owned();
    assert_eq!(scene.stage_of(0), Stage::Broken { reason });
    assert_eq!(scene.decide().verdict, Some(Verdict::End(Outcome::Failed)));
}

#[test]
fn one_that_was_sick_before_is_back_when_it_was_started() {
    let mut scene = Scene::staged(spec_of(2, 0, 1), "ob");
    scene.done(1, ActionKind::Activate);
    scene.happen(Event::InstanceMarked {
        host: name(1),
        mark: Mark::Failed {
            reason: "no".into(),
        },
    });
    scene.done(1, ActionKind::Revert);
    assert_eq!(
        scene.stage_of(1),
        Stage::Reverted {
            failure: Some("no".into())
        }
    );
    assert_eq!(scene.counts().failed, 0, "it was sick before: not by us");
    scene.health(1, Health::NotReady { failed_polls: 3 });
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::StoodStill)),
        "it stands in the way of the other, and does not pause the rollout"
    );
}
