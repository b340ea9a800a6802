//! Tables: situations, and what is decided in them.

use super::decide::decide;
use super::decision::{Action, Verdict, WaitReason};
use super::event::{
    ActionKind, ActionOutcome, Event, Mark, Outcome, PauseCause, Runs, Sight, Started,
};
use super::health::Health;
use super::ids::BootId;
use super::rollout::{Reach, RolloutState, Stage};
use super::scene::{START, Scene, name, spec_of, v1};
use super::spec::Spec;
use super::time::Timestamp;

#[test]
fn which_hosts_are_switched_first() {
    let activate = |hosts: &str, unavailable| {
        let spec = spec_of(u32::try_from(hosts.len()).unwrap(), 0, unavailable);
        Scene::staged(spec, hosts).runs(ActionKind::Activate)
    };
    for (sentence, hosts, unavailable, expected) in [
        ("as many as may be unavailable", "oooo", 2, vec![0, 1]),
        (
            "a first release starts everywhere at once",
            "------",
            1,
            vec![0, 1, 2, 3, 4, 5],
        ),
        (
            "a broken one goes first and spends no availability",
            "oobo",
            1,
            vec![2],
        ),
        (
            "broken ones count in flight: R1 still holds",
            "obbo",
            1,
            vec![1],
        ),
        (
            "an unavailable one uses up the budget of the others",
            "oofo",
            1,
            vec![2],
        ),
        ("unknown is protected, not broken", "ouoo", 1, vec![1]),
        (
            "unknown beside a full budget waits like any other",
            "oufo",
            1,
            vec![],
        ),
        (
            "an absent one starts although nothing else may",
            "o-fo",
            1,
            vec![1],
        ),
        (
            "a host that cannot be reached is unavailable and not touched",
            "oxoo",
            1,
            vec![],
        ),
        ("what runs the target is left alone", "nono", 2, vec![1, 3]),
        ("all may be unavailable at once", "ooo", 3, vec![0, 1, 2]),
    ] {
        assert_eq!(
            activate(hosts, unavailable),
            expected,
            "{sentence}: {hosts} with {unavailable}"
        );
    }
}

#[test]
fn the_deployments_example_of_a_crash_loop() {
    // rolling.go: 10 replicas, 2 may be unavailable, 3 surge, and the new version crashes. With fixed hosts and nothing
    // to carry a surge, S is 0; the two new ones that crash keep the budget, whatever else becomes free.
    let mut scene = Scene::staged(spec_of(10, 3, 2), "oooooooooo");
    assert_eq!(scene.runs(ActionKind::Activate), [0, 1]);
    for host in [0, 1] {
        scene.done(host, ActionKind::Activate);
        scene.health(host, Health::NotReady { failed_polls: 3 });
    }
    let counts = scene.counts();
    assert_eq!(
        (
            counts.running,
            counts.up_to_date,
            counts.available,
            counts.in_flight
        ),
        (10, 2, 8, 2)
    );
    assert_eq!(
        scene.runs(ActionKind::Activate),
        [] as [u32; 0],
        "unavailable new ones consume the budget"
    );
    scene.health(5, Health::NotReady { failed_polls: 3 });
    assert_eq!(
        scene.runs(ActionKind::Activate),
        [] as [u32; 0],
        "not even for a broken old one: R1"
    );
}

#[test]
fn there_is_no_barrier_between_batches() {
    let mut scene = Scene::staged(spec_of(6, 0, 2), "oooooo");
    scene.done(0, ActionKind::Activate);
    scene.done(1, ActionKind::Activate);
    scene.ready(0);
    scene.wait(9);
    assert_eq!(
        scene.runs(ActionKind::Confirm),
        [] as [u32; 0],
        "ready for 9 s is not available"
    );
    scene.wait(1);
    assert_eq!(scene.runs(ActionKind::Confirm), [0]);
    scene.begin(0, ActionKind::Confirm);
    assert_eq!(
        scene.runs(ActionKind::Activate),
        [] as [u32; 0],
        "not before it is confirmed"
    );
    scene.end(
        0,
        ActionKind::Confirm,
        ActionOutcome::Done { started: None },
    );
    assert_eq!(
        scene.runs(ActionKind::Activate),
        [2],
        "the second of the first two is still settling"
    );
}

#[test]
fn shipping_runs_ahead_but_not_everywhere_at_once() {
    let mut scene = Scene::new(
        Spec {
            max_uploads: 3,
            ..spec_of(6, 0, 1)
        },
        "oooooo",
    );
    assert_eq!(scene.runs(ActionKind::Stage), [0, 1, 2]);
    for host in [0, 1, 2] {
        scene.begin(host, ActionKind::Stage);
    }
    scene.end(1, ActionKind::Stage, ActionOutcome::Done { started: None });
    assert_eq!(scene.runs(ActionKind::Stage), [3]);
    assert_eq!(
        scene.runs(ActionKind::Activate),
        [] as [u32; 0],
        "the one before it is still being shipped: the order is the plan's"
    );
    scene.end(0, ActionKind::Stage, ActionOutcome::Done { started: None });
    assert_eq!(
        scene.runs(ActionKind::Activate),
        [0],
        "what is shipped can be switched, whoever comes later"
    );
}

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

#[test]
fn how_a_rollout_comes_to_rest() {
    for (sentence, hosts, unavailable, expected) in [
        (
            "all run the target",
            "nnn",
            1,
            Some(Verdict::End(Outcome::Completed)),
        ),
        (
            "all that can be reached run the target",
            "nxn",
            1,
            Some(Verdict::End(Outcome::Completed)),
        ),
        (
            "not one host could be worked on",
            "xx",
            1,
            Some(Verdict::End(Outcome::StoodStill)),
        ),
        (
            "a host that cannot be reached uses up the budget",
            "nxo",
            1,
            Some(Verdict::End(Outcome::StoodStill)),
        ),
        ("one failed poll may pass by itself", "nfxo", 1, None),
        ("nobody knows yet how one is", "nuxo", 1, None),
    ] {
        let spec = spec_of(u32::try_from(hosts.len()).unwrap(), 0, unavailable);
        let mut scene = Scene::staged(spec, hosts);
        let decision = scene.decide();
        assert_eq!(decision.actions, [], "{sentence}");
        assert_eq!(decision.verdict, expected, "{sentence}");
    }
}

#[test]
fn waiting_without_end_is_ended_by_the_progress_deadline() {
    let mut scene = Scene::staged(spec_of(3, 0, 1), "ufo");
    assert_eq!(
        scene.decide().verdict,
        None,
        "both may become available by themselves"
    );
    scene.wait(600);
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::StoodStill))
    );
}

#[test]
fn nothing_is_decided_before_every_host_was_looked_at() {
    let first = Event::RolloutStarted {
        spec: Box::new(spec_of(2, 0, 2)),
        by: "t".into(),
        cause: None,
    };
    let state = RolloutState::start(Timestamp::from_millis(START), &first).unwrap();
    let mut scene = Scene { state, now: START };
    scene.happen(Event::HostObserved {
        host: name(0),
        sight: Sight::reachable(Runs::Nothing),
        traffic: None,
    });
    let waiting = WaitReason::FirstLook {
        hosts: vec![name(1)],
    };
    assert_eq!(scene.decide().waiting_on, [waiting]);
    scene.happen(Event::HostObserved {
        host: name(1),
        sight: Sight::reachable(Runs::Revision { revision: v1() }),
        traffic: None,
    });
    assert_eq!(scene.decide().actions, [], "its health was not asked yet");
    scene.health(1, Health::Unknown);
    assert_eq!(scene.runs(ActionKind::Stage), [0, 1]);
}

#[test]
fn a_takedown_waits_for_fresh_looks_at_what_it_rests_on() {
    let mut scene = Scene::staged(spec_of(3, 0, 1), "ooo");
    let now = Timestamp::from_millis(scene.now);
    scene.state.saw(&name(0), now);
    scene.state.saw(&name(1), now);
    scene
        .state
        .saw(&name(2), Timestamp::from_millis(scene.now - 1));
    let decision = decide(&scene.state, now);
    assert_eq!(decision.actions, []);
    assert_eq!(
        decision.waiting_on,
        [WaitReason::Stale {
            hosts: vec![name(2)]
        }]
    );
    assert_eq!(decision.verdict, None, "a look will come");
}

#[test]
fn why_nothing_more_starts_can_be_said() {
    let mut scene = Scene::staged(spec_of(3, 0, 1), "ooo");
    scene.done(0, ActionKind::Activate);
    let deadline = Timestamp::from_millis(START + 60_000);
    let settling = WaitReason::Settling {
        host: name(0),
        until: None,
        deadline,
    };
    let waiting = scene.decide().waiting_on;
    assert!(waiting.contains(&settling), "{waiting:?}");
    assert!(
        waiting.contains(&WaitReason::InFlight {
            in_flight: 1,
            limit: 1
        }),
        "{waiting:?}"
    );
    scene.update_rest();
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::Completed))
    );
}

impl Scene {
    fn update_rest(&mut self) {
        self.ready(0);
        self.wait(10);
        self.done(0, ActionKind::Confirm);
        for host in [1, 2] {
            self.update(host);
        }
        for host in [0, 1, 2] {
            self.done(host, ActionKind::Prune);
        }
    }
}

#[test]
fn a_declined_switch_leaves_everything_as_it_was() {
    let mut scene = Scene::staged(spec_of(2, 0, 1), "ob");
    assert_eq!(scene.runs(ActionKind::Activate), [1]);
    scene.begin(1, ActionKind::Activate);
    scene.end(
        1,
        ActionKind::Activate,
        ActionOutcome::Declined {
            reason: "it works".into(),
        },
    );
    assert_eq!(scene.stage_of(1), Stage::Staged);
    assert_eq!(
        scene.state.instance(&name(1)).unwrap().health,
        Some(Health::Unknown),
        "looked at anew"
    );
}

#[test]
fn a_host_that_refuses_its_switch_is_left_out_and_the_others_go_on() {
    let mut scene = Scene::staged(spec_of(3, 0, 1), "bo-");
    for host in [0, 2] {
        scene.begin(host, ActionKind::Activate);
        scene.end(
            host,
            ActionKind::Activate,
            ActionOutcome::Refused {
                reason: "gone".into(),
            },
        );
        let instance = scene.state.instance(&name(host)).unwrap().clone();
        assert_eq!(instance.failure(), None, "nothing was changed");
        assert_eq!(instance.runs, instance.before);
        assert!(!instance.was_touched());
        assert_eq!(
            instance.reach,
            Some(Reach::Refused {
                reason: "gone".into()
            })
        );
    }
    let counts = scene.counts();
    assert_eq!((counts.failed, counts.in_flight, counts.running), (0, 0, 2));
    scene.health(0, Health::NotReady { failed_polls: 3 });
    assert_eq!(scene.runs(ActionKind::Revert), [] as [u32; 0]);
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::StoodStill)),
        "one of three is available: it must stay"
    );
}

#[test]
fn a_host_whose_shipping_fails_is_left_out_and_named() {
    let mut scene = Scene::new(spec_of(2, 0, 1), "oo");
    scene.begin(0, ActionKind::Stage);
    scene.end(
        0,
        ActionKind::Stage,
        ActionOutcome::Refused {
            reason: "disk full".into(),
        },
    );
    let instance = scene.state.instance(&name(0)).unwrap();
    assert_eq!(
        instance.reach,
        Some(Reach::Refused {
            reason: "disk full".into()
        })
    );
    assert!(!instance.was_touched());
    assert_eq!(scene.runs(ActionKind::Stage), [1], "the others go on");
}

#[test]
fn a_reboot_restarts_the_wait() {
    let mut scene = Scene::staged(spec_of(1, 0, 1), "o");
    scene.done(0, ActionKind::Activate);
    scene.wait(45);
    let started = Started {
        boot: BootId::new("c"),
        units: vec![],
    };
    scene.happen(Event::HostRebooted {
        host: name(0),
        started,
    });
    scene.wait(45);
    assert_eq!(
        scene.decide().actions,
        [],
        "90 s after its start, 45 s after the boot"
    );
}

#[test]
fn events_that_cannot_happen_are_refused() {
    let scene = Scene::new(spec_of(1, 0, 1), "o");
    let at = Timestamp::from_millis(START);
    for event in [
        Event::HostObserved {
            host: name(0),
            sight: Sight::reachable(Runs::Nothing),
            traffic: None,
        },
        Event::HostObserved {
            host: name(7),
            sight: Sight::reachable(Runs::Nothing),
            traffic: None,
        },
        Event::ActionStarted {
            host: name(0),
            action: ActionKind::Activate,
        },
        Event::ActionStarted {
            host: name(0),
            action: ActionKind::Confirm,
        },
        Event::ActionStarted {
            host: name(0),
            action: ActionKind::Revert,
        },
        Event::ActionEnded {
            host: name(0),
            action: ActionKind::Stage,
            outcome: ActionOutcome::Done { started: None },
        },
        Event::InstanceMarked {
            host: name(0),
            mark: Mark::Reverted,
        },
    ] {
        let mut state = scene.state.clone();
        assert!(state.apply(at, &event).is_err(), "{event:?}");
        assert_eq!(
            state, scene.state,
            "a refused event changes nothing: {event:?}"
        );
    }
}
