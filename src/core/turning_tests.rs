//! How a rollout turns: over `max_failures`, when it stalls, when a revert fails, when somebody aborts.

use super::decision::{Verdict, WaitReason};
use super::event::*;
use super::fleet::OnFailure;
use super::scene::{NONE, Scene, spec_of, with_policy};
use super::spec::{RolloutKind, Spec};

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
