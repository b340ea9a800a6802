//! How a rollout turns: steps, domains, order, going back, aborting, going on. One sentence per situation.

use super::budget::Quantity;
use super::decision::{Verdict, WaitReason};
use super::event::*;
use super::fleet::{Domain, OnFailure};
use super::health::Health;
use super::ids::HostName;
use super::rollout::{RolloutPhase, Stage};
use super::scene::{Scene, spec_of, v1, v2};
use super::spec::{DomainBudget, Gate, RolloutKind, Spec};
use super::time::Timestamp;
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

/// A letter per host: its zone.
fn with_zones(
    unavailable: u32,
    zones: &str,
    at_once: Option<u32>,
    inside: Option<Quantity>,
) -> Spec {
    let letters: Vec<String> = zones.chars().map(String::from).collect();
    let domain = Domain {
        label: "zone".into(),
        at_once,
        max_unavailable: inside,
    };
    let (budget, places) = DomainBudget::resolve(&domain, letters.iter().map(String::as_str));
    let mut spec = spec_of(u32::try_from(letters.len()).unwrap(), 0, unavailable);
    for (host, place) in spec.hosts.iter_mut().zip(places) {
        host.values = vec![place];
    }
    spec.domains = vec![budget];
    spec
}

fn with_policy(hosts: u32, unavailable: u32, on_failure: OnFailure) -> Spec {
    Spec {
        on_failure,
        ..spec_of(hosts, 0, unavailable)
    }
}

const NONE: [u32; 0] = [];

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

#[test]
fn domains_have_budgets_of_their_own() {
    let percent = |share| Some(Quantity::Percent(share));
    for (sentence, zones, hosts, unavailable, at_once, inside, expected) in [
        (
            "without limits",
            "aabb",
            "oooo",
            4,
            None,
            None,
            vec![0, 1, 2, 3],
        ),
        (
            "one zone at once",
            "abab",
            "oooo",
            4,
            Some(1),
            None,
            vec![0, 2],
        ),
        (
            "two zones at once",
            "abcabc",
            "oooooo",
            6,
            Some(2),
            None,
            vec![0, 3, 1, 4],
        ),
        (
            "half of each zone",
            "aaaabbbb",
            "oooooooo",
            8,
            None,
            percent(50),
            vec![0, 1, 4, 5],
        ),
        (
            "rounded down",
            "aaabbb",
            "oooooo",
            6,
            None,
            percent(50),
            vec![0, 3],
        ),
        (
            "but at least one",
            "abab",
            "oooo",
            4,
            None,
            percent(10),
            vec![0, 1],
        ),
        (
            "the service's budget holds too",
            "aabb",
            "oooo",
            1,
            None,
            percent(50),
            vec![0],
        ),
        (
            "one unavailable uses up its zone",
            "aabb",
            "fooo",
            3,
            None,
            percent(50),
            vec![0, 2],
        ),
        (
            "a broken one spends nothing inside",
            "aabb",
            "bbob",
            4,
            None,
            percent(50),
            vec![0, 1, 3],
        ),
        (
            "absent ones wait for their zone",
            "abab",
            "----",
            4,
            Some(1),
            None,
            vec![0, 2],
        ),
        (
            "absent in a zone at work, others wait",
            "aabb",
            "-oo-",
            4,
            Some(1),
            None,
            vec![0, 1],
        ),
    ] {
        let spec = with_zones(unavailable, zones, at_once, inside);
        let found = Scene::staged(spec, hosts).runs(ActionKind::Activate);
        assert_eq!(found, expected, "{sentence}: {hosts} in {zones}");
    }
}

#[test]
fn a_zone_in_which_one_failed_stays_in_work_until_it_is_put_back() {
    let spec = Spec {
        max_failures: 4,
        ..with_zones(2, "abab", Some(1), None)
    };
    let mut scene = Scene::staged(spec, "oooo");
    assert_eq!(scene.runs(ActionKind::Activate), [0, 2]);
    scene.done(0, ActionKind::Activate);
    scene.fail(0);
    scene.begin(0, ActionKind::Revert);
    assert_eq!(scene.runs(ActionKind::Activate), [2], "zone b waits");
    let in_the_way = WaitReason::OtherValues {
        label: "zone".into(),
        in_work: vec!["a".into()],
        at_once: 1,
    };
    assert!(scene.decide().waiting_on.contains(&in_the_way));
}

#[test]
fn order_goes_before_zones_and_zones_before_the_inventory() {
    let mut spec = with_zones(6, "abab", None, None);
    for (host, rank) in spec.hosts.iter_mut().zip([1, 0, 1, 0]) {
        host.rank = rank;
    }
    assert_eq!(
        Scene::staged(spec.clone(), "oooo").runs(ActionKind::Activate),
        [1, 3, 0, 2]
    );
    assert_eq!(
        Scene::staged(spec, "ob-o").runs(ActionKind::Activate),
        [2, 1, 3, 0],
        "absent and broken first"
    );
}

#[test]
fn what_happens_over_max_failures() {
    for (policy, expected) in [
        (
            OnFailure::Rollback,
            Some(Verdict::RollBack(RollbackCause::Failures { failed: 1 })),
        ),
        (
            OnFailure::Pause,
            Some(Verdict::Pause(PauseCause::Failures { failed: 1 })),
        ),
        (OnFailure::Continue, None),
    ] {
        let mut scene = Scene::staged(with_policy(3, 1, policy), "ooo");
        scene.done(0, ActionKind::Activate);
        scene.fail(0);
        assert_eq!(scene.decide().verdict, expected, "{policy:?}");
    }
}

#[test]
fn a_stall_over_what_was_touched_follows_the_policy() {
    for (policy, expected) in [
        (
            OnFailure::Rollback,
            Verdict::RollBack(RollbackCause::Stalled),
        ),
        (OnFailure::Pause, Verdict::Pause(PauseCause::Stalled)),
        (OnFailure::Continue, Verdict::Pause(PauseCause::Stalled)),
    ] {
        let mut scene = Scene::staged(with_policy(2, 1, policy), "oo");
        scene.begin(0, ActionKind::Activate);
        scene.wait(599);
        assert_eq!(scene.decide().verdict, None);
        scene.wait(1);
        assert_eq!(scene.decide().verdict, Some(expected), "{policy:?}");
    }
}

/// Three of five are new, the fourth has failed and is put back; now everything goes back.
fn on_the_way_back(hosts: &str) -> Scene {
    let mut scene = Scene::staged(with_policy(5, 1, OnFailure::Rollback), hosts);
    for host in [0, 1, 2] {
        scene.update(host);
        scene.done(host, ActionKind::Prune);
    }
    scene.done(3, ActionKind::Activate);
    scene.fail(3);
    let failed = 1;
    scene.happen(Event::RollbackStarted {
        cause: RollbackCause::Failures { failed },
    });
    scene
}

#[test]
fn going_back_is_held_by_the_same_rules() {
    let mut scene = on_the_way_back("ooooo");
    assert_eq!(
        scene.runs(ActionKind::Revert),
        [3],
        "the failed one at once; the others wait for it"
    );
    scene.revert(3);
    assert_eq!(scene.runs(ActionKind::Revert), [0]);
    scene.begin(0, ActionKind::Revert);
    assert_eq!(scene.runs(ActionKind::Revert), NONE);
    scene.reverted(0);
    assert_eq!(scene.runs(ActionKind::Revert), [1]);
    assert_eq!(
        scene.runs(ActionKind::Activate),
        NONE,
        "nothing goes forward any more"
    );
    for host in [1, 2] {
        scene.revert(host);
    }
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::RolledBack))
    );
}

#[test]
fn one_that_has_not_proved_itself_goes_back_at_once() {
    let mut scene = Scene::staged(with_policy(4, 2, OnFailure::Rollback), "oooo");
    scene.done(0, ActionKind::Activate);
    scene.done(1, ActionKind::Activate);
    scene.fail(0);
    let failed = 1;
    scene.happen(Event::RollbackStarted {
        cause: RollbackCause::Failures { failed },
    });
    assert_eq!(scene.runs(ActionKind::Revert), [0, 1]);
}

#[test]
fn a_broken_new_one_goes_back_though_the_budget_is_spent() {
    let mut scene = on_the_way_back("ooooo");
    scene.begin(3, ActionKind::Revert);
    scene.health(2, Health::NotReady { failed_polls: 3 });
    assert_eq!(scene.runs(ActionKind::Revert), [2]);
}

#[test]
fn what_the_rollout_added_goes_last_and_only_if_enough_remain() {
    let mut scene = Scene::staged(with_policy(3, 1, OnFailure::Rollback), "-oo");
    scene.update(0);
    scene.update(1);
    scene.done(2, ActionKind::Activate);
    scene.fail(2);
    let failed = 1;
    scene.happen(Event::RollbackStarted {
        cause: RollbackCause::Failures { failed },
    });
    assert_eq!(scene.runs(ActionKind::Revert), [2]);
    scene.revert(2);
    assert_eq!(
        scene.runs(ActionKind::Revert),
        [1],
        "what served before goes first"
    );
    scene.revert(1);
    assert_eq!(scene.runs(ActionKind::Revert), [0], "two remain, two must");
    scene.health(1, Health::NotReady { failed_polls: 5 });
    assert_eq!(scene.runs(ActionKind::Revert), NONE);
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::Failed)),
        "it stays, and somebody must look"
    );
}

#[test]
fn a_restart_that_fails_puts_nothing_else_back() {
    let spec = Spec {
        kind: RolloutKind::Restart,
        ..with_policy(3, 1, OnFailure::Rollback)
    };
    let mut scene = Scene::staged(spec, "nnn");
    assert_eq!(scene.runs(ActionKind::Activate), [0]);
    scene.update(0);
    scene.done(1, ActionKind::Activate);
    scene.fail(1);
    let failed = 1;
    scene.happen(Event::RollbackStarted {
        cause: RollbackCause::Failures { failed },
    });
    scene.revert(1);
    assert_eq!(scene.runs(ActionKind::Revert), NONE);
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::RolledBack))
    );
}

#[test]
fn one_that_cannot_be_put_back_stops_what_goes_forward_but_not_what_goes_back() {
    for (policy, expected) in [
        (OnFailure::Continue, NONE.to_vec()),
        (OnFailure::Rollback, vec![0]),
    ] {
        let mut scene = Scene::staged(with_policy(4, 2, policy), "oooo");
        scene.update(0);
        scene.done(1, ActionKind::Activate);
        scene.fail(1);
        if policy == OnFailure::Rollback {
            let failed = 1;
            scene.happen(Event::RollbackStarted {
                cause: RollbackCause::Failures { failed },
            });
        }
        scene.begin(1, ActionKind::Revert);
        let reason = "no space".to_owned();
        scene.end(1, ActionKind::Revert, ActionOutcome::Failed { reason });
        assert_eq!(scene.runs(ActionKind::Activate), NONE, "{policy:?}");
        assert_eq!(scene.runs(ActionKind::Revert), expected, "{policy:?}");
        for host in expected {
            scene.revert(host);
        }
        if policy == OnFailure::Continue {
            scene.done(0, ActionKind::Prune);
        }
        assert_eq!(
            scene.decide().verdict,
            Some(Verdict::End(Outcome::Failed)),
            "{policy:?}"
        );
    }
}

#[test]
fn an_abort_finishes_what_is_in_flight() {
    let mut scene = Scene::staged(spec_of(4, 0, 2), "oooo");
    scene.done(0, ActionKind::Activate);
    scene.happen(Event::AbortRequested { by: "anna".into() });
    assert_eq!(scene.runs(ActionKind::Activate), NONE);
    assert!(scene.decide().waiting_on.contains(&WaitReason::Aborting));
    scene.ready(0);
    scene.wait(10);
    assert_eq!(scene.runs(ActionKind::Confirm), [0]);
    scene.done(0, ActionKind::Confirm);
    scene.done(0, ActionKind::Prune);
    assert_eq!(scene.decide().verdict, Some(Verdict::End(Outcome::Aborted)));
}

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
    };
    assert!(scene.state.apply(scene.moment(), &resumed).is_err());
}
