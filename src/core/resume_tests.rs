//! Another controller goes on: what it makes of what it sees.

use super::decision::Verdict;
use super::event::*;
use super::fleet::OnFailure;
use super::health::Health;
use super::ids::HostName;
use super::rollout::{RolloutPhase, Stage};
use super::scene::{Scene, spec_of, v1, v2, with_policy};
use super::spec::Spec;
use super::time::Timestamp;

#[test]
fn what_a_new_controller_makes_of_what_it_sees() {
    // Stage when the controller died, what the host is seen to run, whether a pause came before; the stage after.
    for (was, seen, retry, expected) in [
        ("pending", "v1", false, "Pending"),
        ("staged", "v1", false, "Pending"),
        ("activating", "v1", false, "Pending"),
        ("activating", "v2", false, "Settling"),
        ("activating", "gone", false, "Lost"),
        ("settling", "v2", false, "Settling"),
        ("settling", "v1", false, "Pending"),
        ("settling", "gone", false, "Lost"),
        ("updated", "v2", false, "Updated"),
        ("updated", "v1", false, "Pending"),
        ("updated", "gone", false, "Updated"),
        ("failed", "v2", false, "Failed"),
        ("failed", "v1", false, "Recovering"),
        ("reverting", "v2", false, "Failed"),
        ("reverting", "v1", false, "Recovering"),
        ("reverting", "gone", false, "Lost"),
        ("reverted", "v1", false, "Reverted"),
        ("reverted", "v1", true, "Pending"),
    ] {
        let mut scene = Scene::staged(spec_of(1, 0, 1), "o");
        if was == "pending" {
            scene = Scene::new(spec_of(1, 0, 1), "o");
        }
        if was == "activating" {
            scene.begin(0, ActionKind::Activate);
        } else if was == "updated" {
            scene.update(0);
        } else if !["pending", "staged"].contains(&was) {
            scene.done(0, ActionKind::Activate);
        }
        if ["failed", "reverting", "reverted"].contains(&was) {
            scene.fail(0);
        }
        match was {
            "reverting" => scene.begin(0, ActionKind::Revert),
            "reverted" => scene.revert(0),
            _ => {}
        }
        scene.resume(retry);
        scene.sees(0, seen);
        let stage = format!("{:?}", scene.stage_of(0));
        assert!(stage.starts_with(expected), "{was}, seen {seen}: {stage}");
    }
}

#[test]
fn what_failed_before_a_death_is_not_forgotten() {
    let mut scene = Scene::staged(with_policy(2, 1, OnFailure::Rollback), "oo");
    scene.done(0, ActionKind::Activate);
    scene.fail(0);
    scene.resume(false);
    scene.sees(0, "v2");
    scene.sees(1, "v1");
    for host in [0, 1] {
        scene.health(host, Health::Unknown);
    }
    let failed = 1;
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::RollBack(RollbackCause::Failures { failed }))
    );
}

#[test]
fn what_another_controller_left_unproven_is_proved_or_replaced() {
    let old = Runs::Revision { revision: v1() };
    let sees = |scene: &mut Scene, n: u32, runs: Runs| {
        scene.happen(Event::HostObserved {
            host: HostName::new(format!("h{n:02}")),
            sight: Sight::Reachable {
                runs,
                started: Some(Scene::started()),
                unproven: Some(Unproven {
                    before: old.clone(),
                }),
            },
            traffic: None,
            sibling: None,
        });
    };
    let first = |spec: Spec| Scene::unseen(spec);
    // It runs what this rollout wants: it has to prove itself here, else it gets back what it ran.
    let mut scene = first(spec_of(1, 0, 1));
    let new = Runs::Revision { revision: v2() };
    sees(&mut scene, 0, new);
    assert!(matches!(scene.stage_of(0), Stage::Settling { .. }));
    assert_eq!(scene.state.instances[0].before, Some(old.clone()));
    // It runs something else that nobody ever confirmed: in flight, and the first to be replaced.
    let mut scene = first(spec_of(2, 0, 1));
    let stray = Runs::Revision { revision: v1() };
    scene.sees(0, "v1");
    sees(&mut scene, 1, stray);
    for host in [0, 1] {
        let since = Timestamp::LONG_AGO;
        scene.health(host, Health::Ready { since });
    }
    let counts = scene.counts();
    assert_eq!((counts.available, counts.in_flight), (1, 1));
    for host in scene.runs(ActionKind::Stage) {
        scene.done(host, ActionKind::Stage);
    }
    assert_eq!(scene.runs(ActionKind::Activate), [1]);
}

#[test]
fn a_paused_rollout_goes_on_and_one_that_is_over_does_not() {
    let mut scene = Scene::staged(spec_of(2, 0, 1), "oo");
    scene.happen(Event::RolloutPaused);
    assert_eq!(scene.state.phase, RolloutPhase::Paused);
    scene.resume(true);
    assert_eq!(scene.state.phase, RolloutPhase::Observing);
    let outcome = Outcome::Aborted;
    scene.happen(Event::RolloutEnded { outcome });
    let resumed = Event::RolloutResumed {
        by: "t".into(),
        retry: true,
        window: None,
        unattended: false,
    };
    assert!(scene.state.apply(scene.moment(), &resumed).is_err());
}
