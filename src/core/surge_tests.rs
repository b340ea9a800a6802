//! Spare hosts: when they get an instance, when they lose it again, and what they must not do to the others.

use super::decision::{Verdict, WaitReason};
use super::event::*;
use super::fleet::OnFailure;
use super::health::Health;
use super::scene::{NONE, Scene, name, spec_of, v1};
use super::spec::{HostSpec, Spec};

/// A release to `hosts` ordinary hosts, then `spares` spare ones.
fn spec_with(hosts: u32, spares: u32, surge: u32, unavailable: u32) -> Spec {
    let mut spec = spec_of(hosts, surge, unavailable);
    let places = hosts..hosts + spares;
    spec.hosts.extend(places.map(|n| HostSpec::spare(name(n))));
    spec
}

/// Stopped, and that was read back.
fn stopped(scene: &mut Scene, host: u32) {
    scene.done(host, ActionKind::Stop);
}

#[test]
fn a_spare_host_lets_a_fleet_roll_with_nothing_unavailable() {
    let mut scene = Scene::staged(spec_with(3, 1, 1, 0), "ooo-");
    // The surge first: nothing may go down before it is available.
    assert_eq!(scene.runs(ActionKind::Activate), [3]);
    scene.done(3, ActionKind::Activate);
    assert_eq!(scene.runs(ActionKind::Activate), NONE);
    scene.ready(3);
    scene.wait(10);
    scene.done(3, ActionKind::Confirm);
    for host in 0..3 {
        let counts = scene.counts();
        assert_eq!((counts.running, counts.available), (4, 4));
        assert_eq!(scene.runs(ActionKind::Activate), [host]);
        assert_eq!(scene.runs(ActionKind::Stop), NONE, "it is still needed");
        scene.done(host, ActionKind::Activate);
        assert_eq!(scene.counts().available, 3);
        assert_eq!(scene.runs(ActionKind::Activate), NONE);
        scene.ready(host);
        scene.wait(10);
        scene.done(host, ActionKind::Confirm);
    }
    for host in scene.runs(ActionKind::Prune) {
        scene.done(host, ActionKind::Prune);
    }
    assert_eq!(scene.runs(ActionKind::Stop), [3]);
    assert_eq!(scene.decide().verdict, None);
    stopped(&mut scene, 3);
    assert_eq!(scene.counts().running, 3);
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::Completed))
    );
}

#[test]
fn how_many_spare_hosts_get_an_instance() {
    // hosts, spare hosts, surge, unavailable, what was seen -> what is started or replaced at once
    for (hosts, spares, surge, unavailable, seen, expected) in [
        (3, 2, 2, 0, "ooo--", vec![3, 4]),
        (3, 2, 1, 0, "ooo--", vec![3]),
        // Both budgets at once.
        (3, 1, 1, 1, "ooo-", vec![3, 0]),
        (3, 2, 2, 1, "ooo--", vec![3, 4, 0]),
        // Not more than there is left to be replaced.
        (3, 2, 2, 0, "onn--", vec![3]),
        (3, 2, 2, 0, "nnn--", vec![]),
        // A first release starts everywhere at once, and needs none.
        (3, 1, 1, 0, "----", vec![0, 1, 2]),
        // Room is kept for hosts that lack their instance; the surge comes on top of them.
        (3, 2, 1, 0, "oo---", vec![2, 3]),
        // What cannot be reached may run.
        (3, 2, 1, 0, "ooox-", vec![]),
        (3, 2, 2, 0, "ooox-", vec![4]),
        // A broken one needs no surge, and its replacement is within R1.
        (3, 1, 1, 0, "nnb-", vec![]),
        (3, 1, 1, 1, "nnb-", vec![2]),
        // No surge.
        (3, 2, 0, 1, "ooo--", vec![0]),
    ] {
        let mut scene = Scene::staged(spec_with(hosts, spares, surge, unavailable), seen);
        let found = scene.runs(ActionKind::Activate);
        assert_eq!(
            found, expected,
            "{seen} with surge {surge} and unavailable {unavailable}"
        );
    }
}

#[test]
fn what_is_still_being_shipped_to_a_spare_host_holds_up_nobody() {
    let mut scene = Scene::new(spec_with(2, 1, 1, 1), "oo-");
    assert_eq!(scene.runs(ActionKind::Stage), [2, 0, 1]);
    scene.done(0, ActionKind::Stage);
    scene.begin(2, ActionKind::Stage);
    assert_eq!(scene.runs(ActionKind::Activate), [0]);
}

#[test]
fn a_step_counts_no_spare_host() {
    let mut spec = spec_with(3, 1, 1, 1);
    spec.steps = super::spec::Gate::resolve(
        &[super::fleet::Step {
            to: super::budget::Quantity::Count(1),
            bake: std::time::Duration::from_secs(60),
            approve: false,
        }],
        3,
        3,
    );
    let mut scene = Scene::staged(spec, "ooo-");
    assert_eq!(scene.runs(ActionKind::Activate), [3, 0]);
    scene.update(3);
    assert_eq!(scene.decide().verdict, None, "the spare one proves no step");
    scene.update(0);
    assert_eq!(scene.decide().verdict, Some(Verdict::ReachStep(0)));
    scene.happen(Event::StepReached { step: 0 });
    assert_eq!(scene.runs(ActionKind::Activate), NONE);
    assert_eq!(scene.runs(ActionKind::Stop), NONE, "it bakes");
}

#[test]
fn a_spare_host_goes_only_within_the_budget() {
    let mut scene = Scene::staged(spec_with(1, 1, 1, 0), "o-");
    scene.update(1);
    scene.update(0);
    for host in [0, 1] {
        scene.done(host, ActionKind::Prune);
    }
    scene.health(0, Health::NotReady { failed_polls: 1 });
    let decision = scene.decide();
    assert_eq!((decision.actions, decision.verdict), (vec![], None));
    // It never comes back, and stays just short of having failed.
    scene.wait(600);
    scene.health(0, Health::NotReady { failed_polls: 3 });
    let decision = scene.decide();
    assert!(
        matches!(decision.verdict, Some(Verdict::End(_))),
        "{decision:?}"
    );
    assert!(
        decision
            .waiting_on
            .iter()
            .any(|reason| matches!(reason, WaitReason::NoHeadroom { .. })),
        "{decision:?}"
    );
}

#[test]
fn a_rollback_keeps_the_spare_host_until_the_others_are_back() {
    let spec = Spec {
        on_failure: OnFailure::Rollback,
        ..spec_with(2, 1, 1, 0)
    };
    let mut scene = Scene::staged(spec, "oo-");
    scene.update(2);
    scene.update(0);
    scene.done(1, ActionKind::Activate);
    scene.fail(1);
    let failed = 1;
    scene.happen(Event::RollbackStarted {
        cause: RollbackCause::Failures { failed },
    });
    assert_eq!(scene.runs(ActionKind::Revert), [1]);
    scene.revert(1);
    assert_eq!(scene.runs(ActionKind::Revert), [0]);
    assert_eq!(scene.runs(ActionKind::Stop), NONE);
    scene.revert(0);
    assert_eq!(scene.runs(ActionKind::Stop), [2]);
    stopped(&mut scene, 2);
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::RolledBack))
    );
}

#[test]
fn a_rollback_that_leaves_a_spare_host_in_use_has_failed() {
    let mut scene = Scene::staged(spec_with(2, 1, 1, 0), "oo-");
    scene.update(2);
    scene.happen(Event::RollbackStarted {
        cause: RollbackCause::Stalled,
    });
    scene.health(0, Health::NotReady { failed_polls: 3 });
    scene.wait(600);
    assert_eq!(scene.decide().verdict, Some(Verdict::End(Outcome::Failed)));
}

#[test]
fn an_abort_removes_it_and_a_pause_keeps_it() {
    let by = || "t".to_owned();
    let begun = || {
        let mut scene = Scene::staged(spec_with(2, 1, 1, 0), "oo-");
        scene.update(2);
        scene.done(2, ActionKind::Prune);
        scene
    };
    let mut scene = begun();
    scene.happen(Event::AbortRequested { by: by() });
    assert_eq!(scene.runs(ActionKind::Stop), [2]);
    stopped(&mut scene, 2);
    assert_eq!(scene.decide().verdict, Some(Verdict::End(Outcome::Aborted)));

    let mut scene = begun();
    scene.happen(Event::PauseRequested {
        cause: PauseCause::Asked { by: by() },
    });
    assert_eq!(scene.runs(ActionKind::Stop), NONE);
    assert_eq!(scene.decide().verdict, Some(Verdict::Paused));
}

#[test]
fn what_an_earlier_rollout_left_on_a_spare_host_serves_or_goes() {
    // It works: it carries the surge as it is, and is stopped last.
    let mut scene = Scene::staged(spec_with(2, 1, 1, 0), "ooo");
    assert_eq!(scene.runs(ActionKind::Activate), [0]);
    scene.update(0);
    scene.update(1);
    for host in [0, 1] {
        scene.done(host, ActionKind::Prune);
    }
    assert_eq!(scene.runs(ActionKind::Stop), [2]);

    // It does not: it goes first, and then the host carries the surge as any other.
    let mut scene = Scene::staged(spec_with(2, 1, 1, 0), "oob");
    assert_eq!(scene.runs(ActionKind::Activate), NONE);
    assert_eq!(scene.runs(ActionKind::Stop), [2]);
    stopped(&mut scene, 2);
    assert_eq!(scene.runs(ActionKind::Stage), [2]);
    scene.done(2, ActionKind::Stage);
    assert_eq!(scene.runs(ActionKind::Activate), [2]);
    scene.done(2, ActionKind::Activate);
    scene.fail(2);
    scene.begin(2, ActionKind::Revert);
    let instance = scene.state.instance(&name(2)).unwrap();
    assert_eq!(instance.runs, Some(Runs::Nothing), "not what it was");
}

#[test]
fn what_is_broken_on_a_spare_host_stays_as_long_as_others_in_flight_rely_upon_it() {
    // h00 is replaced in place because one more than desired runs, though that one is broken.
    let mut scene = Scene::staged(spec_with(2, 1, 1, 0), "bou");
    assert_eq!(scene.runs(ActionKind::Activate), [0]);
    scene.done(0, ActionKind::Activate);
    scene.health(2, Health::NotReady { failed_polls: 3 });
    assert_eq!(scene.runs(ActionKind::Stop), NONE);
    scene.ready(0);
    scene.wait(10);
    scene.done(0, ActionKind::Confirm);
    assert_eq!(scene.runs(ActionKind::Stop), [2]);
}

#[test]
fn a_stop_that_is_cut_off_is_looked_at_again() {
    for (seen, surplus) in [("v2", true), ("nothing", false)] {
        let mut scene = Scene::staged(spec_with(1, 1, 1, 0), "o-");
        scene.update(1);
        scene.update(0);
        scene.begin(1, ActionKind::Stop);
        scene.resume(false);
        scene.sees(0, "v2");
        scene.ready(0);
        match surplus {
            true => {
                scene.sees(1, "v2");
                scene.ready(1);
            }
            false => scene.happen(Event::HostObserved {
                host: name(1),
                sight: Sight::reachable(Runs::Nothing),
                traffic: None,
                sibling: None,
            }),
        }
        scene.wait(10);
        for host in scene.runs(ActionKind::Prune) {
            scene.done(host, ActionKind::Prune);
        }
        let expected = if surplus { vec![1] } else { vec![] };
        assert_eq!(scene.runs(ActionKind::Stop), expected, "{seen}");
    }
}

#[test]
fn a_stop_that_fails_is_somebodys_business() {
    let reason = || "no answer".to_owned();
    for (outcome, lost) in [
        (ActionOutcome::Failed { reason: reason() }, false),
        (ActionOutcome::Lost { reason: reason() }, true),
    ] {
        let mut scene = Scene::staged(spec_with(1, 1, 1, 0), "o-");
        scene.update(1);
        scene.update(0);
        scene.begin(1, ActionKind::Stop);
        scene.end(1, ActionKind::Stop, outcome);
        let instance = scene.state.instance(&name(1)).unwrap();
        assert!(instance.is_given_up());
        let failure = instance.failure().unwrap();
        assert_eq!(failure.contains("lost"), lost, "{failure}");
        assert_eq!(scene.counts().running, 2, "nobody knows better");
    }
}

#[test]
fn only_what_runs_on_a_spare_host_can_be_stopped() {
    let mut scene = Scene::staged(spec_with(1, 1, 1, 0), "o-");
    for host in [0, 1] {
        let stop = Event::ActionStarted {
            host: name(host),
            action: ActionKind::Stop,
        };
        let at = scene.moment();
        assert!(scene.state.apply(at, &stop).is_err(), "h{host:02}");
    }
    assert!(
        scene.state.instance(&name(0)).unwrap().runs == Some(Runs::Revision { revision: v1() })
    );
    assert_eq!(scene.runs(ActionKind::Activate), [1]);
}
