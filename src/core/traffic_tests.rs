//! Taking instances out of traffic and putting them back: what is waited for, and who decides.

use super::decision::Verdict;
use super::event::{
    ActionKind, ActionOutcome, Event, Outcome, PauseCause, RollbackCause, Runs, Sight,
};
use super::health::Health;
use super::rollout::Stage;
use super::scene::{NONE, Scene, balancer, name, spec_of};
use super::spec::Spec;

fn balanced(hosts: u32, unavailable: u32) -> Spec {
    Spec {
        balanced: true,
        max_failures: 1,
        ..spec_of(hosts, 0, unavailable)
    }
}

fn failed() -> ActionOutcome {
    ActionOutcome::Failed {
        reason: "no answer".into(),
    }
}

/// Out of traffic, switched, proved.
fn confirmed(scene: &mut Scene, host: u32) {
    scene.done(host, ActionKind::Drain);
    scene.update(host);
}

fn turn_back(scene: &mut Scene) {
    let cause = RollbackCause::Failures { failed: 2 };
    scene.happen(Event::RollbackStarted { cause });
}

/// What was put back is attached, and with that the rollout is over.
fn ends_with_an_attach(scene: &mut Scene) {
    assert_eq!(scene.runs(ActionKind::Attach), [0]);
    scene.done(0, ActionKind::Attach);
    assert_eq!(
        scene.decide().verdict,
        Some(Verdict::End(Outcome::RolledBack))
    );
}

#[test]
fn an_instance_is_drained_before_it_is_switched_and_attached_once_it_is_confirmed() {
    let mut scene = Scene::staged(balanced(2, 1), "oo");
    assert_eq!(scene.runs(ActionKind::Activate), NONE);
    assert_eq!(scene.runs(ActionKind::Drain), [0]);
    scene.begin(0, ActionKind::Drain);
    let counts = scene.counts();
    assert_eq!((counts.available, counts.in_flight), (1, 1));
    scene.end(0, ActionKind::Drain, ActionOutcome::Done { started: None });
    assert_eq!(scene.runs(ActionKind::Activate), [0]);
    scene.update(0);
    assert_eq!(scene.counts().available, 1, "confirmed, and out of traffic");
    assert_eq!(scene.runs(ActionKind::Attach), [0]);
    assert_eq!(scene.runs(ActionKind::Drain), NONE);
    scene.done(0, ActionKind::Attach);
    assert_eq!(scene.counts().available, 2);
    assert_eq!(scene.runs(ActionKind::Drain), [1]);
}

#[test]
fn what_an_operator_keeps_out_is_updated_and_stays_out() {
    let mut scene = Scene::staged(balanced(2, 1), "od");
    assert_eq!(scene.counts().available, 1);
    assert_eq!(scene.runs(ActionKind::Drain), NONE, "R2 protects the other");
    assert_eq!(scene.runs(ActionKind::Activate), [1], "nothing to drain");
    scene.update(1);
    assert_eq!(scene.runs(ActionKind::Attach), NONE);
    let counts = scene.counts();
    assert_eq!((counts.available, counts.in_flight), (1, 0));
}

#[test]
fn what_was_absent_gets_its_traffic_once_it_is_confirmed() {
    let mut scene = Scene::staged(balanced(1, 1), "-");
    scene.update(0);
    assert_eq!(scene.runs(ActionKind::Attach), [0]);
}

#[test]
fn a_balancer_that_does_not_answer_leaves_the_instance_as_it_was() {
    let mut scene = Scene::staged(balanced(2, 1), "oo");
    scene.begin(0, ActionKind::Drain);
    scene.end(0, ActionKind::Drain, failed());
    assert_eq!(scene.counts().failed, 1);
    assert_eq!(
        scene.runs(ActionKind::Attach),
        [0],
        "nobody knows how far it got"
    );
    scene.done(0, ActionKind::Attach);
    assert_eq!(scene.counts().available, 2);
}

#[test]
fn a_new_one_that_cannot_be_attached_goes_back_and_is_attached_then() {
    let mut scene = Scene::staged(balanced(2, 1), "oo");
    confirmed(&mut scene, 0);
    scene.begin(0, ActionKind::Attach);
    scene.end(0, ActionKind::Attach, failed());
    assert_eq!(
        scene.runs(ActionKind::Drain),
        [0],
        "it may have got half in"
    );
    scene.done(0, ActionKind::Drain);
    assert_eq!(scene.runs(ActionKind::Revert), [0]);
    scene.revert(0);
    assert_eq!(scene.runs(ActionKind::Attach), [0]);
    scene.begin(0, ActionKind::Attach);
    scene.end(0, ActionKind::Attach, failed());
    assert!(matches!(scene.stage_of(0), Stage::Broken { .. }));
}

#[test]
fn a_new_one_that_dies_is_taken_out_before_it_is_put_back() {
    let mut scene = Scene::staged(balanced(2, 1), "oo");
    confirmed(&mut scene, 0);
    scene.done(0, ActionKind::Attach);
    scene.fail(0);
    assert_eq!(scene.runs(ActionKind::Revert), NONE);
    assert_eq!(scene.runs(ActionKind::Drain), [0]);
    scene.begin(0, ActionKind::Drain);
    scene.end(0, ActionKind::Drain, failed());
    assert_eq!(
        scene.runs(ActionKind::Revert),
        [0],
        "a balancer that does not answer does not keep a broken version up"
    );
}

#[test]
fn a_pause_finishes_what_is_out_of_traffic() {
    let mut scene = Scene::staged(balanced(2, 1), "oo");
    scene.begin(0, ActionKind::Drain);
    let cause = PauseCause::Asked { by: "t".into() };
    scene.happen(Event::PauseRequested { cause });
    scene.end(0, ActionKind::Drain, ActionOutcome::Done { started: None });
    assert_eq!(scene.runs(ActionKind::Activate), [0]);
    scene.update(0);
    assert_eq!(scene.decide().verdict, None, "it has no traffic yet");
    scene.done(0, ActionKind::Attach);
    scene.done(0, ActionKind::Prune);
    assert_eq!(scene.decide().verdict, Some(Verdict::Paused));
}

#[test]
fn on_the_way_back_what_was_only_drained_gets_its_traffic_again() {
    let mut scene = Scene::staged(balanced(2, 1), "oo");
    scene.done(0, ActionKind::Drain);
    turn_back(&mut scene);
    ends_with_an_attach(&mut scene);
}

#[test]
fn going_back_drains_and_attaches_too() {
    let mut scene = Scene::staged(balanced(2, 1), "oo");
    confirmed(&mut scene, 0);
    scene.done(0, ActionKind::Attach);
    scene.done(0, ActionKind::Prune);
    turn_back(&mut scene);
    assert_eq!(scene.runs(ActionKind::Drain), [0]);
    scene.done(0, ActionKind::Drain);
    assert_eq!(scene.runs(ActionKind::Revert), [0]);
    scene.revert(0);
    ends_with_an_attach(&mut scene);
}

#[test]
fn another_controller_puts_back_what_the_first_took_out() {
    let mut scene = Scene::staged(balanced(2, 1), "oo");
    scene.done(0, ActionKind::Drain);
    scene.resume(false);
    scene.sees_detached(0, "v1");
    scene.sees(1, "v1");
    for host in [0, 1] {
        scene.health(host, Health::Unknown);
    }
    assert_eq!(scene.runs(ActionKind::Attach), NONE, "not ready yet");
    scene.ready(0);
    scene.wait(10);
    assert_eq!(scene.runs(ActionKind::Attach), [0]);
    let left: Vec<_> = scene.state.left_out().into_keys().collect();
    assert_eq!(left.len(), 1, "the next rollout is told");
}

#[test]
fn what_refuses_its_switch_once_it_is_drained_gets_its_traffic_again() {
    let drained = || {
        let mut scene = Scene::staged(balanced(1, 1), "o");
        scene.done(0, ActionKind::Drain);
        scene.begin(0, ActionKind::Activate);
        let reason = "full".to_owned();
        scene.end(0, ActionKind::Activate, ActionOutcome::Refused { reason });
        scene
    };
    let over = Some(Verdict::End(Outcome::StoodStill));
    let mut scene = drained();
    scene.ready(0);
    assert_eq!(scene.decide().verdict, None, "it may still work");
    scene.wait(10);
    assert_eq!(scene.runs(ActionKind::Attach), [0]);
    scene.done(0, ActionKind::Attach);
    assert_eq!(scene.decide().verdict, over);
    // One that never gets ready again is not waited for without end.
    let mut scene = drained();
    scene.health(0, Health::NotReady { failed_polls: 1 });
    assert_eq!(scene.decide().verdict, None);
    scene.wait(600);
    assert_eq!(scene.decide().verdict, over);
}

#[test]
fn nothing_is_started_where_a_balancer_would_send_requests_at_once() {
    let spec = Spec {
        balanced: true,
        ..spec_of(1, 0, 1)
    };
    let mut scene = Scene::unseen(spec);
    scene.happen(Event::HostObserved {
        host: name(0),
        sight: Sight::reachable(Runs::Nothing),
        traffic: Some(balancer(true)),
        sibling: None,
    });
    scene.done(0, ActionKind::Stage);
    assert_eq!(scene.runs(ActionKind::Activate), NONE);
    assert_eq!(scene.runs(ActionKind::Drain), [0]);
    scene.done(0, ActionKind::Drain);
    assert_eq!(scene.runs(ActionKind::Activate), [0]);
    scene.update(0);
    assert_eq!(scene.runs(ActionKind::Attach), [0]);
    scene.done(0, ActionKind::Attach);
    scene.done(0, ActionKind::Prune);
    let ended = Some(Verdict::End(Outcome::Completed));
    assert_eq!(scene.decide().verdict, ended);
}
