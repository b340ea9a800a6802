//! Failure policies, steps, requests of other commands, and going on after a pause or a death.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;

use super::bench::{Bench, bench, on};
use crate::core::event::RecordedEvent;
use crate::core::event::{ActionKind, Event, Outcome, PauseCause, Runs};
use crate::core::fleet::OnFailure;
use crate::core::ids::*;
use crate::core::rollout::RolloutPhase;
use crate::core::spec::Gate;
use crate::core::window::Windowed;
use crate::driver::Resumed;
use crate::ports::{Answer, RequestKind};

impl Bench {
    /// The same fleet and ledger for the next controller.
    fn resumed(mut self, retry: bool, abort: bool) -> Self {
        let events = self.ledger.events.lock().unwrap().clone();
        self.job.resumed = Some(Resumed {
            events,
            retry,
            abort,
            window: None,
            unattended: false,
        });
        let (stop, stopped) = mpsc::channel(4);
        (self.stop, self.stopped) = (stop, Some(stopped));
        self
    }

    fn has(&self, pick: impl Fn(&Event) -> bool) -> bool {
        self.events().iter().any(|recorded| pick(&recorded.event))
    }

    fn events(&self) -> Vec<RecordedEvent> {
        self.ledger.events.lock().unwrap().clone()
    }

    /// Asks for something once an event has happened; the request's number comes through the channel.
    fn asks_after(
        &self,
        kind: RequestKind,
        pick: fn(&Event) -> bool,
    ) -> tokio::task::JoinHandle<i64> {
        let ledger = self.ledger.clone();
        let service = self.job.spec.service.clone();
        tokio::spawn(async move {
            while !ledger.events.lock().unwrap().iter().any(|r| pick(&r.event)) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            ledger.ask(&service, kind)
        })
    }
}

fn confirmed(event: &Event) -> bool {
    matches!(
        event,
        Event::ActionEnded {
            action: ActionKind::Confirm,
            ..
        }
    )
}

#[tokio::test(start_paused = true)]
async fn over_max_failures_every_host_goes_back_to_what_it_ran() {
    // Two take the new one, the third does not.
    let mut bench = bench("oo!o", 1);
    bench.job.spec.on_failure = OnFailure::Rollback;
    let finished = bench.run().await.unwrap();
    assert_eq!(
        finished.state.phase,
        RolloutPhase::Ended(Outcome::RolledBack)
    );
    assert!(bench.runs().iter().all(|runs| *runs == on("v1")));
    assert_eq!(
        bench.switches(),
        [
            "switch h0 to v2",
            "switch h1 to v2",
            "switch h2 to v2",
            "switch h2 to v1",
            "switch h0 to v1",
            "switch h1 to v1"
        ],
        "one at a time on the way back too"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_first_release_added_goes_again_when_it_rolls_back() {
    let mut bench = bench("-!", 2);
    bench.job.spec.on_failure = OnFailure::Rollback;
    let finished = bench.run().await.unwrap();
    assert_eq!(
        finished.state.phase,
        RolloutPhase::Ended(Outcome::RolledBack)
    );
    assert_eq!(bench.runs(), [Runs::Nothing, on("v1")]);
}

#[tokio::test(start_paused = true)]
async fn with_continue_failures_stop_nothing() {
    let mut bench = bench("!o!o", 1);
    bench.job.spec.on_failure = OnFailure::Continue;
    let finished = bench.run().await.unwrap();
    assert_eq!(
        finished.state.phase,
        RolloutPhase::Ended(Outcome::Completed)
    );
    assert_eq!(bench.runs(), [on("v1"), on("v2"), on("v1"), on("v2")]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_from_elsewhere_holds_and_resume_goes_on() {
    let mut bench = bench("oooo", 1);
    let asked = bench.asks_after(RequestKind::Pause, confirmed);
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, RolloutPhase::Paused);
    let request = asked.await.unwrap();
    assert_eq!(bench.ledger.answer_to(request), Some(Answer::Taken));
    assert!(
        bench.runs().contains(&on("v1")),
        "nothing new was started after it"
    );
    let mut bench = bench.resumed(true, false);
    let finished = bench.run().await.unwrap();
    assert_eq!(
        finished.state.phase,
        RolloutPhase::Ended(Outcome::Completed)
    );
    assert!(bench.runs().iter().all(|runs| *runs == on("v2")));
    assert_eq!(bench.switches().len(), 4, "each host is switched once");
}

#[tokio::test(start_paused = true)]
async fn an_abort_from_elsewhere_ends_it_where_it_stands() {
    let mut bench = bench("oooo", 1);
    let asked = bench.asks_after(RequestKind::Abort, confirmed);
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, RolloutPhase::Ended(Outcome::Aborted));
    assert_eq!(
        bench.ledger.answer_to(asked.await.unwrap()),
        Some(Answer::Taken)
    );
    let new = bench.runs().iter().filter(|r| **r == on("v2")).count();
    assert!((1..4).contains(&new), "{new} are new");
}

#[tokio::test(start_paused = true)]
async fn a_step_waits_for_its_bake_and_for_somebody_to_approve() {
    let mut bench = bench("ooo", 1);
    let bake = Duration::from_secs(60);
    bench.job.spec.steps = vec![Gate {
        to: 1,
        bake,
        approve: true,
    }];
    let too_early = bench.asks_after(RequestKind::Approve, |event| {
        matches!(event, Event::ActionStarted { .. })
    });
    let reached = |event: &Event| matches!(event, Event::StepReached { .. });
    let approval = bench.asks_after(RequestKind::Approve, reached);
    let finished = bench.run().await.unwrap();
    assert_eq!(
        finished.state.phase,
        RolloutPhase::Ended(Outcome::Completed)
    );
    let refused = bench.ledger.answer_to(too_early.await.unwrap());
    assert!(
        matches!(refused, Some(Answer::Refused { .. })),
        "{refused:?}"
    );
    assert_eq!(
        bench.ledger.answer_to(approval.await.unwrap()),
        Some(Answer::Taken)
    );
    let at = |pick: &dyn Fn(&Event) -> bool| {
        let events = bench.events();
        events.iter().find(|r| pick(&r.event)).unwrap().at
    };
    let waited = at(&|e| matches!(e, Event::StepOpened { .. })).since(at(&reached));
    assert!(waited >= bake, "{waited:?}");
    let second = at(
        &|e| matches!(e, Event::ActionStarted { host, action: ActionKind::Activate } if host.as_str() == "h1"),
    );
    assert!(second >= at(&|e| matches!(e, Event::StepOpened { .. })));
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_while_the_step_bakes_takes_nobody_with_it() {
    let mut bench = bench("oooo", 2);
    bench.job.spec.on_failure = OnFailure::Rollback;
    bench.job.spec.steps = vec![Gate {
        to: 1,
        bake: Duration::from_secs(60),
        approve: false,
    }];
    let (fleet, ledger) = (bench.fleet.clone(), bench.ledger.clone());
    tokio::spawn(async move {
        let reached = |event: &Event| matches!(event, Event::StepReached { .. });
        while !ledger
            .events
            .lock()
            .unwrap()
            .iter()
            .any(|r| reached(&r.event))
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        let mut hosts = fleet.hosts.lock().unwrap();
        hosts.get_mut(&HostName::new("h0")).unwrap().sick = true;
    });
    let finished = bench.run().await.unwrap();
    assert_eq!(
        finished.state.phase,
        RolloutPhase::Ended(Outcome::RolledBack)
    );
    assert_eq!(bench.switches(), ["switch h0 to v2", "switch h0 to v1"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_controller_is_followed_by_another_wherever_it_died() {
    // The ledger fails at any write; another controller goes on from what is written there.
    for fails_at in 2..48 {
        let mut bench = bench("oo-o", 1);
        bench.ledger.fails_at.store(fails_at, Ordering::SeqCst);
        let first = bench.run().await;
        bench.ledger.fails_at.store(usize::MAX, Ordering::SeqCst);
        if first.is_ok() {
            return;
        }
        let mut bench = bench.resumed(false, false);
        let finished = bench.run().await.unwrap();
        assert_eq!(
            finished.state.phase,
            RolloutPhase::Ended(Outcome::Completed),
            "died at {fails_at}"
        );
        assert!(bench.runs().iter().all(|runs| *runs == on("v2")));
        assert!(bench.has(|event| matches!(event, Event::RolloutResumed { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_drives_is_aborted_where_it_stands() {
    let mut bench = bench("oooo", 1);
    bench.ledger.fails_at.store(30, Ordering::SeqCst);
    bench.run().await.unwrap_err();
    bench.ledger.fails_at.store(usize::MAX, Ordering::SeqCst);
    let before = bench.runs();
    let mut bench = bench.resumed(false, true);
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, RolloutPhase::Ended(Outcome::Aborted));
    assert_eq!(bench.runs(), before);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_closes_in_the_middle_pauses_it_and_the_next_one_goes_on() {
    let mut bench = bench("oooo", 1);
    let now = bench.ports.clock.now();
    let opens_at = Some(now + Duration::from_secs(3600));
    bench.job.spec.window = Some(Windowed::Within {
        // The second of the hosts is being switched then.
        closes_at: now + Duration::from_secs(6),
        opens_at,
    });
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, RolloutPhase::Paused);
    let switched = bench.switches().len();
    assert!((1..4).contains(&switched), "{switched} were switched");
    let cause = PauseCause::WindowClosed { opens_at };
    assert!(bench.has(|event| *event
        == Event::PauseRequested {
            cause: cause.clone()
        }));
    let mut again = bench.resumed(true, false);
    let finished = again.run().await.unwrap();
    assert_eq!(
        finished.state.phase,
        RolloutPhase::Ended(Outcome::Completed)
    );
    assert_eq!(again.switches().len(), 4, "each of them once");
}
