//! Hooks: when each runs, and what its failure does.

use std::collections::BTreeSet;
use std::time::Duration;

use super::decision::{Action, Verdict, WaitReason};
use super::event::{ActionKind, ActionOutcome, Event, Outcome, PauseCause, RollbackCause};
use super::fleet::OnFailure;
use super::hooks::{HookEnd, HookKind, HookResult, Rest};
use super::rollout::{Reach, RolloutPhase, Stage};
use super::scene::{NONE, Scene, name, spec_of, with_policy};
use super::spec::Spec;

fn with(spec: Spec, hooks: &[HookKind]) -> Spec {
    Spec {
        hooks: hooks.iter().copied().collect(),
        ..spec
    }
}

fn ended(status: i32) -> HookEnd {
    HookEnd {
        result: HookResult::Exited { status },
        took: Duration::from_secs(1),
        output: "said".to_owned(),
    }
}

/// Begins what is decided, which has to be that hook.
#[track_caller]
fn hook_begins(scene: &mut Scene, hook: HookKind, rest: Option<Rest>) {
    let decision = scene.decide();
    assert_eq!(decision.verdict, Some(Verdict::RunHook { hook, rest }));
    assert_eq!(decision.actions, []);
    scene.happen(Event::HookStarted { hook, rest });
    let decision = scene.decide();
    assert_eq!(decision.waiting_on, [WaitReason::Hook { hook }]);
    assert_eq!((decision.actions, decision.verdict), (vec![], None));
}

fn hook_ends(scene: &mut Scene, hook: HookKind, status: i32) {
    scene.happen(Event::HookEnded {
        hook,
        host: None,
        end: ended(status),
    });
}

fn refused() -> ActionOutcome {
    ActionOutcome::Refused {
        reason: "its before_instance hook ended with exit status 1".to_owned(),
    }
}

const COMPLETED: Rest = Rest::Ended(Outcome::Completed);

#[test]
fn before_rollout_runs_before_anything_and_once() {
    let hook = HookKind::BeforeRollout;
    let mut scene = Scene::new(with(spec_of(2, 0, 1), &[hook]), "oo");
    hook_begins(&mut scene, hook, None);
    scene.wait(700);
    assert_eq!(scene.decide().verdict, None, "it is no standstill");
    hook_ends(&mut scene, hook, 0);
    assert_eq!(scene.runs(ActionKind::Stage), [0, 1]);
    scene.resume(false);
    for host in 0..2 {
        scene.sees(host, "v1");
        scene.ready(host);
    }
    assert_eq!(scene.runs(ActionKind::Stage), [0, 1], "not once more");
}

#[test]
fn a_before_rollout_that_was_cut_off_runs_again() {
    let hook = HookKind::BeforeRollout;
    let mut scene = Scene::new(with(spec_of(1, 0, 1), &[hook]), "o");
    hook_begins(&mut scene, hook, None);
    scene.resume(false);
    scene.sees(0, "v1");
    scene.ready(0);
    hook_begins(&mut scene, hook, None);
}

#[test]
fn what_ends_a_rollout_before_it_began() {
    type Move = fn(&mut Scene);
    let cases: [(&str, Move, Verdict); 3] = [
        (
            "the hook fails: refused",
            |s| hook_ends(s, HookKind::BeforeRollout, 1),
            Verdict::End(Outcome::Refused),
        ),
        (
            "somebody aborts: nothing is begun",
            |s| {
                s.happen(Event::AbortRequested { by: "t".to_owned() });
                hook_ends(s, HookKind::BeforeRollout, 0);
            },
            Verdict::End(Outcome::Aborted),
        ),
        (
            "a signal: paused",
            |s| {
                let by = "SIGTERM".to_owned();
                s.happen(Event::PauseRequested {
                    cause: PauseCause::Asked { by },
                });
                hook_ends(s, HookKind::BeforeRollout, 0);
            },
            Verdict::Paused,
        ),
    ];
    for (sentence, what, verdict) in cases {
        let mut scene = Scene::new(with(spec_of(2, 0, 1), &[HookKind::BeforeRollout]), "oo");
        hook_begins(&mut scene, HookKind::BeforeRollout, None);
        what(&mut scene);
        let decision = scene.decide();
        assert_eq!(decision.verdict, Some(verdict), "{sentence}");
        assert_eq!(decision.actions, [], "{sentence}");
    }
}

#[test]
fn a_refused_rollout_runs_on_failure() {
    let hooks = [HookKind::BeforeRollout, HookKind::OnFailure];
    let mut scene = Scene::new(with(spec_of(1, 0, 1), &hooks), "o");
    hook_begins(&mut scene, HookKind::BeforeRollout, None);
    hook_ends(&mut scene, HookKind::BeforeRollout, 3);
    let rest = Rest::Ended(Outcome::Refused);
    hook_begins(&mut scene, HookKind::OnFailure, Some(rest));
    hook_ends(&mut scene, HookKind::OnFailure, 1);
    let verdict = scene.decide().verdict;
    assert_eq!(verdict, Some(Verdict::End(Outcome::Refused)));
    assert_eq!(scene.state.hooks.failures.len(), 2);
}

#[test]
fn after_rollout_is_last_and_changes_nothing() {
    let hook = HookKind::AfterRollout;
    for status in [0, 1] {
        let mut scene = Scene::staged(with(spec_of(1, 0, 1), &[hook, HookKind::OnFailure]), "o");
        scene.update(0);
        scene.done(0, ActionKind::Prune);
        hook_begins(&mut scene, hook, Some(COMPLETED));
        // What happens now is after the rollout.
        scene.happen(Event::AbortRequested { by: "t".to_owned() });
        hook_ends(&mut scene, hook, status);
        let verdict = scene.decide().verdict;
        assert_eq!(verdict, Some(Verdict::End(Outcome::Completed)));
        scene.happen(Event::RolloutEnded {
            outcome: Outcome::Completed,
        });
        assert_eq!(scene.state.phase, RolloutPhase::Ended(Outcome::Completed));
        let has_failed = scene.state.hooks.failures.contains_key(&hook);
        assert_eq!(has_failed, status == 1);
    }
}

#[test]
fn on_failure_runs_when_failures_pause_and_not_when_a_person_does() {
    let hook = HookKind::OnFailure;
    let causes = [
        (PauseCause::Failures { failed: 1 }, true),
        (PauseCause::Stalled, true),
        (PauseCause::Asked { by: "t".to_owned() }, false),
    ];
    for (cause, runs) in causes {
        let mut scene = Scene::staged(with(spec_of(2, 0, 1), &[hook]), "oo");
        scene.happen(Event::PauseRequested {
            cause: cause.clone(),
        });
        if !runs {
            assert_eq!(scene.decide().verdict, Some(Verdict::Paused));
            continue;
        }
        hook_begins(&mut scene, hook, Some(Rest::Paused));
        hook_ends(&mut scene, hook, 0);
        assert_eq!(scene.decide().verdict, Some(Verdict::Paused), "{cause:?}");
        scene.happen(Event::RolloutPaused);
        scene.resume(true);
        assert_eq!(scene.state.hooks.rest, None, "it goes on");
    }
}

#[test]
fn before_instance_costs_the_budget_and_holds_back_no_other_rule() {
    let spec = with(spec_of(3, 0, 1), &[HookKind::BeforeInstance]);
    let mut scene = Scene::staged(spec, "ooo");
    assert_eq!(
        scene.runs(ActionKind::BeforeInstance),
        [0],
        "one may be unavailable"
    );
    assert_eq!(scene.runs(ActionKind::Activate), NONE);
    scene.begin(0, ActionKind::BeforeInstance);
    assert_eq!(scene.stage_of(0), Stage::Preparing { beside: false });
    assert_eq!(scene.counts().available, 2, "it counts as decided");
    assert_eq!(scene.decide().actions, []);
    let outcome = ActionOutcome::Done { started: None };
    scene.end(0, ActionKind::BeforeInstance, outcome);
    assert_eq!(scene.runs(ActionKind::BeforeInstance), NONE);
    assert_eq!(scene.runs(ActionKind::Activate), [0]);
}

#[test]
fn the_rules_are_asked_again_after_the_hook() {
    let spec = with(spec_of(3, 0, 1), &[HookKind::BeforeInstance]);
    let mut scene = Scene::staged(spec, "ooo");
    scene.begin(0, ActionKind::BeforeInstance);
    scene.health(2, super::health::Health::NotReady { failed_polls: 1 });
    let outcome = ActionOutcome::Done { started: None };
    scene.end(0, ActionKind::BeforeInstance, outcome);
    assert_eq!(
        scene.runs(ActionKind::Activate),
        NONE,
        "another one is ill now"
    );
    scene.ready(2);
    scene.wait(10);
    assert_eq!(
        scene.runs(ActionKind::Activate),
        [0],
        "its hook is not run again"
    );
}

#[test]
fn a_failed_before_instance_leaves_it_as_it_is() {
    let spec = with(spec_of(2, 0, 1), &[HookKind::BeforeInstance]);
    let mut scene = Scene::staged(spec, "oo");
    scene.begin(0, ActionKind::BeforeInstance);
    scene.end(0, ActionKind::BeforeInstance, refused());
    let instance = scene.state.instance(&name(0)).unwrap();
    assert!(matches!(instance.reach, Some(Reach::Refused { .. })));
    assert!(!instance.was_touched() && instance.failure().is_none());
    assert_eq!(scene.counts().available, 2, "it serves as before");
    assert_eq!(
        scene.runs(ActionKind::BeforeInstance),
        [1],
        "the others go on"
    );
}

#[test]
fn nothing_is_switched_that_a_pause_or_a_rollback_met_before() {
    let spec = with(
        with_policy(2, 1, OnFailure::Rollback),
        &[HookKind::BeforeInstance],
    );
    for cause in [None, Some(RollbackCause::Stalled)] {
        let mut scene = Scene::staged(spec.clone(), "oo");
        scene.begin(0, ActionKind::BeforeInstance);
        match cause {
            Some(cause) => scene.happen(Event::RollbackStarted { cause }),
            None => scene.happen(Event::PauseRequested {
                cause: PauseCause::Asked { by: "t".to_owned() },
            }),
        }
        let outcome = ActionOutcome::Done { started: None };
        scene.end(0, ActionKind::BeforeInstance, outcome);
        let decision = scene.decide();
        assert_eq!(decision.actions, []);
        assert!(matches!(
            decision.verdict,
            Some(Verdict::Paused | Verdict::End(Outcome::RolledBack))
        ));
    }
}

#[test]
fn after_instance_proves_the_instance() {
    let spec = with(spec_of(2, 0, 1), &[HookKind::AfterInstance]);
    let mut scene = Scene::staged(spec, "oo");
    scene.update(0);
    assert_eq!(
        scene.counts().available,
        1,
        "not before its hook ended well"
    );
    let run = Action::Run {
        host: name(0),
        kind: ActionKind::AfterInstance,
    };
    assert_eq!(scene.decide().actions, [run]);
    scene.begin(0, ActionKind::AfterInstance);
    assert_eq!(scene.decide().actions, [], "the next one waits");
    let outcome = ActionOutcome::Done { started: None };
    scene.end(0, ActionKind::AfterInstance, outcome);
    assert_eq!(scene.counts().available, 2);
    assert_eq!(scene.runs(ActionKind::Activate), [1]);
    assert_eq!(scene.runs(ActionKind::AfterInstance), NONE, "once");
}

#[test]
fn a_failed_after_instance_is_the_instances_failure() {
    let spec = with(spec_of(2, 0, 1), &[HookKind::AfterInstance]);
    let mut scene = Scene::staged(spec, "oo");
    scene.update(0);
    scene.begin(0, ActionKind::AfterInstance);
    let reason = "its after_instance hook took longer than its timeout".to_owned();
    scene.end(
        0,
        ActionKind::AfterInstance,
        ActionOutcome::Failed {
            reason: reason.clone(),
        },
    );
    assert_eq!(scene.stage_of(0), Stage::Failed { reason });
    assert_eq!(scene.counts().failed, 1);
    let cause = PauseCause::Failures { failed: 1 };
    assert_eq!(scene.decide().verdict, Some(Verdict::Pause(cause.clone())));
    scene.happen(Event::PauseRequested { cause });
    assert_eq!(scene.runs(ActionKind::Revert), [0]);
    scene.revert(0);
    assert_eq!(scene.counts().available, 2, "what ran before owes no hook");
}

#[test]
fn an_after_instance_that_was_cut_off_runs_again() {
    let spec = with(spec_of(1, 0, 1), &[HookKind::AfterInstance]);
    let mut scene = Scene::staged(spec, "o");
    scene.update(0);
    scene.begin(0, ActionKind::AfterInstance);
    scene.resume(false);
    scene.sees(0, "v2");
    scene.ready(0);
    scene.wait(10);
    assert_eq!(scene.runs(ActionKind::AfterInstance), [0]);
}

#[test]
fn a_hook_that_the_service_does_not_have_cannot_begin() {
    let mut scene = Scene::new(spec_of(1, 0, 1), "o");
    let hook = HookKind::BeforeRollout;
    let at = scene.moment();
    let begun = Event::HookStarted { hook, rest: None };
    assert!(scene.state.apply(at, &begun).is_err());
    let end = ended(0);
    let host = None;
    let over = Event::HookEnded { hook, host, end };
    assert!(scene.state.apply(at, &over).is_err());
    assert_eq!(HookKind::ALL.iter().collect::<BTreeSet<_>>().len(), 5);
}

#[test]
fn how_a_hook_ended_in_words() {
    let end = |result, output: &str| HookEnd {
        result,
        took: Duration::from_millis(1_520),
        output: output.to_owned(),
    };
    for (end, words) in [
        (end(HookResult::Exited { status: 0 }, ""), "ended well"),
        (
            end(
                HookResult::Exited { status: 3 },
                "frozen\n\n until Monday\n",
            ),
            "ended with exit status 3: frozen | until Monday",
        ),
        (end(HookResult::Killed, ""), "was killed by a signal"),
        (
            end(HookResult::TimedOut, "waiting"),
            "took longer than its timeout and was killed after 1.5 s: waiting",
        ),
        (
            HookEnd::not_run("no such file"),
            "could not be run: no such file",
        ),
    ] {
        assert_eq!(end.in_words(), words);
    }
}
