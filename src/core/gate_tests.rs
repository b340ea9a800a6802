//! Steps: when a gate is reached, what opens it, and how many it lets through.

use super::decision::{Verdict, WaitReason};
use super::event::*;
use super::scene::{Scene, spec_of};
use super::spec::{Gate, RolloutKind, Spec};
use std::time::Duration;

fn gate(to: u32, bake: u64, approve: bool) -> Gate {
    Gate {
        to,
        bake: Duration::from_secs(bake),
        approve,
    }
}

fn with_steps(hosts: u32, unavailable: u32, steps: Vec<Gate>) -> Spec {
    Spec {
        steps,
        ..spec_of(hosts, 0, unavailable)
    }
}

#[test]
fn a_gate_lets_no_more_be_new_than_it_says() {
    for (sentence, hosts, steps, expected) in [
        ("the first step", "oooo", vec![gate(1, 0, false)], vec![0]),
        ("two of four", "oooo", vec![gate(2, 0, false)], vec![0, 1]),
        (
            "what is new already counts",
            "nooo",
            vec![gate(2, 0, false)],
            vec![1],
        ),
        (
            "absent ones wait at the gate too, once anything ran",
            "o-ooo",
            vec![gate(1, 0, false)],
            vec![1],
        ),
        (
            "a first release starts everywhere",
            "----",
            vec![gate(1, 0, false)],
            vec![0, 1, 2, 3],
        ),
        (
            "an unknown host may have run: then it is no first release",
            "---x",
            vec![gate(1, 0, false)],
            vec![0],
        ),
    ] {
        let spec = with_steps(u32::try_from(hosts.len()).unwrap(), 3, steps);
        let found = Scene::staged(spec, hosts).runs(ActionKind::Activate);
        assert_eq!(found, expected, "{sentence}: {hosts}");
    }
}

#[test]
fn a_rollback_skips_steps() {
    let spec = Spec {
        kind: RolloutKind::Rollback,
        ..with_steps(4, 2, vec![gate(1, 600, true)])
    };
    assert_eq!(
        Scene::staged(spec, "oooo").runs(ActionKind::Activate),
        [0, 1]
    );
}

#[test]
fn a_step_opens_after_its_bake_and_its_approval() {
    let mut scene = Scene::staged(with_steps(3, 2, vec![gate(1, 60, true)]), "ooo");
    scene.update(0);
    assert_eq!(scene.decide().verdict, Some(Verdict::ReachStep(0)));
    scene.happen(Event::StepReached { step: 0 });
    let until = scene.moment() + Duration::from_secs(60);
    let decision = scene.decide();
    assert!(
        decision
            .waiting_on
            .contains(&WaitReason::Baking { step: 0, until })
    );
    assert_eq!(decision.wake_at, Some(until));
    scene.wait(60);
    let decision = scene.decide();
    assert_eq!(decision.verdict, None);
    assert!(
        decision
            .waiting_on
            .contains(&WaitReason::Approval { step: 0 })
    );
    scene.wait(3_600);
    assert_eq!(
        scene.decide().verdict,
        None,
        "waiting for somebody is no standstill"
    );
    let by = "anna".to_owned();
    scene.happen(Event::StepApproved { step: 0, by });
    assert_eq!(scene.decide().verdict, Some(Verdict::OpenStep(0)));
    scene.happen(Event::StepOpened { step: 0 });
    assert_eq!(scene.runs(ActionKind::Activate), [1, 2]);
}

#[test]
fn a_step_opens_when_all_that_still_can_are_available() {
    // Three are asked for; one of the three hosts cannot be reached.
    let mut scene = Scene::staged(with_steps(3, 2, vec![gate(3, 0, false)]), "oox");
    scene.update(0);
    scene.update(1);
    assert_eq!(scene.decide().verdict, Some(Verdict::ReachStep(0)));
}

#[test]
fn a_failure_while_a_step_bakes_has_it_bake_anew() {
    let spec = Spec {
        max_failures: 1,
        ..with_steps(4, 2, vec![gate(1, 60, false)])
    };
    let mut scene = Scene::staged(spec, "oooo");
    scene.update(0);
    scene.happen(Event::StepReached { step: 0 });
    scene.wait(50);
    scene.fail(0);
    assert_eq!(scene.state.gate.reached_at, None);
    scene.revert(0);
    assert_eq!(
        scene.runs(ActionKind::Activate),
        [1],
        "another one proves the step"
    );
}

#[test]
fn the_last_step_bakes_too() {
    let mut scene = Scene::staged(with_steps(1, 1, vec![gate(1, 60, false)]), "o");
    scene.update(0);
    scene.happen(Event::StepReached { step: 0 });
    scene.done(0, ActionKind::Prune);
    assert_eq!(scene.decide().verdict, None);
    scene.wait(60);
    assert_eq!(scene.decide().verdict, Some(Verdict::OpenStep(0)));
    scene.happen(Event::StepOpened { step: 0 });
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::Completed))
    );
}
