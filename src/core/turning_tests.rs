//! How a rollout turns: over `max_failures`, when it stalls, when a revert fails, when somebody aborts.

use super::decision::{Verdict, WaitReason};
use super::event::*;
use super::fleet::OnFailure;
use super::scene::{NONE, START, Scene, spec_of, with_policy};
use super::spec::{RolloutKind, Spec};
use super::time::Timestamp;
use super::window::Windowed;

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

/// When the window of these rollouts closes: long enough after their start.
const CLOSES: i64 = START + 60_000;
const OPENS: Timestamp = Timestamp::from_millis(CLOSES + 3_600_000);

/// Of two hosts, with a window.
fn windowed(kind: RolloutKind) -> Spec {
    Spec {
        kind,
        window: Some(Windowed::Within {
            closes_at: Timestamp::from_millis(CLOSES),
            opens_at: Some(OPENS),
        }),
        ..spec_of(2, 0, 1)
    }
}

const CLOSED: PauseCause = PauseCause::WindowClosed {
    opens_at: Some(OPENS),
};

#[test]
fn once_its_window_has_closed_a_rollout_finishes_what_it_began_and_pauses() {
    let mut scene = Scene::staged(windowed(RolloutKind::Release), "oo");
    scene.now = CLOSES - 10_000;
    scene.begin(0, ActionKind::Activate);
    let wake_at = scene.decide().wake_at;
    assert!(
        wake_at.is_some_and(|at| at <= Timestamp::from_millis(CLOSES)),
        "{wake_at:?}"
    );
    scene.now = CLOSES - 1;
    assert_eq!(scene.decide().verdict, None);
    scene.now = CLOSES;
    assert_eq!(scene.decide().verdict, Some(Verdict::Pause(CLOSED)));
    scene.happen(Event::PauseRequested { cause: CLOSED });
    let started = Some(Scene::started());
    scene.end(0, ActionKind::Activate, ActionOutcome::Done { started });
    assert_eq!(scene.runs(ActionKind::Activate), NONE);
    scene.ready(0);
    scene.wait(30);
    assert_eq!(scene.runs(ActionKind::Confirm), [0]);
    scene.done(0, ActionKind::Confirm);
    scene.done(0, ActionKind::Prune);
    assert_eq!(scene.decide().verdict, Some(Verdict::Paused));
    scene.happen(Event::RolloutPaused);
    // Gone on with in the next one, or by somebody who does not heed it.
    scene.resume(true);
    assert_eq!(scene.state.window, None);
}

#[test]
fn what_fails_after_its_window_has_closed_goes_back_all_the_same() {
    for (policy, goes_back) in [
        (OnFailure::Rollback, true),
        (OnFailure::Pause, false),
        (OnFailure::Continue, false),
    ] {
        let spec = Spec {
            on_failure: policy,
            ..windowed(RolloutKind::Release)
        };
        let mut scene = Scene::staged(spec, "oo");
        scene.now = CLOSES - 10_000;
        scene.done(0, ActionKind::Activate);
        scene.now = CLOSES + 1_000;
        assert_eq!(scene.decide().verdict, Some(Verdict::Pause(CLOSED)));
        scene.happen(Event::PauseRequested { cause: CLOSED });
        assert_eq!(scene.decide().verdict, None, "it is finished first");
        scene.fail(0);
        let verdict = scene.decide().verdict;
        let cause = RollbackCause::Failures { failed: 1 };
        let turns = Some(Verdict::RollBack(cause.clone()));
        assert_eq!(verdict == turns, goes_back, "{policy:?}: {verdict:?}");
        if goes_back {
            scene.happen(Event::RollbackStarted { cause });
            assert_eq!(scene.state.pause, None);
            assert_eq!(scene.runs(ActionKind::Revert), [0]);
        }
    }
}

#[test]
fn what_a_window_does_not_hold_up() {
    // The way back, and the end of what has nothing left to begin.
    let mut back = Scene::staged(windowed(RolloutKind::Rollback), "oo");
    back.now = CLOSES + 10_000;
    assert_eq!(back.runs(ActionKind::Activate), [0]);

    let mut turned = Scene::staged(windowed(RolloutKind::Release), "oo");
    turned.update(0);
    turned.now = CLOSES + 10_000;
    let cause = RollbackCause::Stalled;
    turned.happen(Event::RollbackStarted { cause });
    assert_eq!(turned.decide().verdict, None);
    assert_eq!(turned.runs(ActionKind::Revert), [0]);

    let mut done = Scene::staged(windowed(RolloutKind::Release), "on");
    done.update(0);
    done.done(0, ActionKind::Prune);
    done.now = CLOSES + 10_000;
    assert_eq!(
        done.decide().verdict,
        Some(Verdict::End(Outcome::Completed))
    );

    let overridden = Spec {
        window: Some(Windowed::Overridden),
        ..windowed(RolloutKind::Release)
    };
    let mut overridden = Scene::staged(overridden, "oo");
    overridden.now = CLOSES + 10_000;
    assert_eq!(overridden.runs(ActionKind::Activate), [0]);
}
