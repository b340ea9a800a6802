//! Which hosts are switched, in which order, how many at once; and events that cannot happen.

use super::event::{ActionKind, ActionOutcome, Event, Mark, Runs, Sight};
use super::health::Health;
use super::scene::{START, Scene, name, spec_of};
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
fn events_that_cannot_happen_are_refused() {
    let scene = Scene::new(spec_of(1, 0, 1), "o");
    let at = Timestamp::from_millis(START);
    for event in [
        Event::HostObserved {
            host: name(0),
            sight: Sight::reachable(Runs::Nothing),
            traffic: None,
            sibling: None,
        },
        Event::HostObserved {
            host: name(7),
            sight: Sight::reachable(Runs::Nothing),
            traffic: None,
            sibling: None,
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
