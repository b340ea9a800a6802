//! The operator's hooks, through the driver.

use std::sync::Arc;
use std::time::Duration;

use super::bench::{Bench, bench, on};
use super::fakes::{FakeHooks, FakeTraffic};
use super::{Adapters, DriverError, Resumed, Stop};
use crate::core::event::{Event, Outcome};
use crate::core::fleet::OnFailure as Policy;
use crate::core::hooks::HookKind::{self, *};
use crate::core::rollout::{Reach, RolloutPhase};

/// A fleet whose service has all five hooks, behind a balancer or not.
fn hooked(
    letters: &str,
    failing: &[HookKind],
    hanging: &[HookKind],
    traffic: bool,
) -> (Bench, Arc<FakeHooks>) {
    let mut bench = bench(letters, 1);
    let hooks = Arc::new(FakeHooks {
        calls: Vec::new().into(),
        failing: failing.iter().copied().collect(),
        hanging: hanging.iter().copied().collect(),
        ledger: bench.ledger.clone(),
    });
    bench.job.spec.balanced = traffic;
    bench.job.spec.hooks = HookKind::ALL.into();
    bench.ports = Arc::new(Adapters {
        hosts: bench.ports.hosts.clone(),
        prober: bench.ports.prober.clone(),
        traffic: traffic.then(|| Arc::new(FakeTraffic::default()) as _),
        hooks: Some(hooks.clone()),
        ledger: bench.ports.ledger.clone(),
        reporter: bench.ports.reporter.clone(),
        clock: bench.ports.clock.clone(),
    });
    (bench, hooks)
}

fn calls(hooks: &FakeHooks) -> Vec<String> {
    hooks.calls.lock().unwrap().clone()
}

const COMPLETED: RolloutPhase = RolloutPhase::Ended(Outcome::Completed);

#[tokio::test(start_paused = true)]
async fn all_run_in_their_order_each_after_the_one_before() {
    for traffic in [false, true] {
        let (mut bench, hooks) = hooked("oo", &[], &[], traffic);
        let finished = bench.run().await.unwrap();
        assert_eq!(finished.state.phase, COMPLETED);
        assert_eq!(
            calls(&hooks),
            [
                "before_rollout",
                "before_instance h0",
                "after_instance h0",
                "before_instance h1",
                "after_instance h1",
                "after_rollout completed",
            ]
        );
        let events = bench.ledger.events.lock().unwrap();
        let ended = events.iter().filter_map(|one| match &one.event {
            Event::HookEnded { host, end, .. } => Some((host.is_some(), host, end)),
            _ => None,
        });
        let ended: Vec<_> = ended.collect();
        assert_eq!(ended.len(), 6);
        for (of_instance, host, end) in ended {
            assert_eq!(of_instance, host.is_some());
            assert_eq!(end.output, "said");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_before_rollout_touches_nothing() {
    let (mut bench, hooks) = hooked("oo", &[BeforeRollout], &[], false);
    let finished = bench.run().await.unwrap();
    let phase = RolloutPhase::Ended(Outcome::Refused);
    assert_eq!(finished.state.phase, phase);
    assert_eq!(calls(&hooks), ["before_rollout", "on_failure refused"]);
    let touched = bench.fleet.calls.lock().unwrap().clone();
    let touched = touched.iter().filter(|call| !call.starts_with("claim"));
    assert_eq!(touched.collect::<Vec<_>>(), Vec::<&String>::new());
    let end = &finished.state.hooks.failures[&BeforeRollout];
    assert_eq!(end.in_words(), "ended with exit status 3: said");
}

#[tokio::test(start_paused = true)]
async fn a_failed_before_instance_leaves_its_instance_and_the_others_go_on() {
    let (mut bench, hooks) = hooked("ooo", &[BeforeInstance], &[], true);
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, COMPLETED);
    assert_eq!(bench.runs(), [on("v1"), on("v2"), on("v2")]);
    let reason = "its before_instance hook ended with exit status 3: said".to_owned();
    let first = &finished.state.instances[0];
    assert_eq!(first.reach, Some(Reach::Refused { reason }));
    assert!(first.is_attached(), "it was not taken out of traffic");
    assert_eq!(calls(&hooks).last().unwrap(), "after_rollout completed");
}

#[tokio::test(start_paused = true)]
async fn a_failed_after_instance_is_put_back() {
    for (policy, rest) in [
        (Policy::Pause, "on_failure paused"),
        (Policy::Rollback, "on_failure rolled_back"),
    ] {
        let (mut bench, hooks) = hooked("oo", &[AfterInstance], &[], false);
        bench.job.spec.on_failure = policy;
        let finished = bench.run().await.unwrap();
        assert_eq!(bench.runs(), [on("v1"), on("v1")]);
        let failure = finished.state.instances[0].failure().unwrap();
        assert_eq!(
            failure,
            "its after_instance hook ended with exit status 3: said"
        );
        let before = ["before_rollout", "before_instance h0", "after_instance h0"];
        assert_eq!(calls(&hooks), [&before[..], &[rest]].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_hooks_change_nothing() {
    let (mut bench, _) = hooked("o", &[AfterRollout], &[], false);
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, COMPLETED);
    assert!(finished.state.hooks.failures.contains_key(&AfterRollout));
    let (mut bench, _) = hooked("!", &[OnFailure], &[], false);
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, RolloutPhase::Paused);
    assert!(
        finished
            .state
            .hooks
            .failures
            .contains_key(&HookKind::OnFailure)
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_is_cut_off_shows_and_runs_again() {
    let (mut bench, hooks) = hooked("oo", &[], &[BeforeRollout], false);
    let stop = bench.stop.clone();
    let interrupt = async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        stop.send(Stop::Now).await.unwrap();
    };
    let (ended, ()) = tokio::join!(bench.run(), interrupt);
    assert!(matches!(ended, Err(DriverError::Interrupted { .. })));
    let events = bench.ledger.events.lock().unwrap().clone();
    let hook = BeforeRollout;
    let started = Event::HookStarted { hook, rest: None };
    assert_eq!(events.last().map(|one| &one.event), Some(&started));
    assert_eq!(calls(&hooks), ["before_rollout"]);

    let (mut again, hooks) = hooked("oo", &[], &[], false);
    *again.ledger.events.lock().unwrap() = events.clone();
    again.job.resumed = Some(Resumed {
        events,
        retry: false,
        abort: false,
        window: None,
        unattended: false,
    });
    let finished = again.run().await.unwrap();
    assert_eq!(finished.state.phase, COMPLETED);
    assert_eq!(calls(&hooks)[0], "before_rollout");
}

#[tokio::test(start_paused = true)]
async fn a_controller_without_its_lease_runs_no_hook() {
    let (mut bench, hooks) = hooked("o", &[], &[], false);
    *bench.ledger.lease_lost_after.lock().unwrap() = Some(0);
    let ended = bench.run().await;
    assert!(ended.is_err() || ended.unwrap().state.phase != COMPLETED);
    assert_eq!(calls(&hooks), Vec::<String>::new());
}
