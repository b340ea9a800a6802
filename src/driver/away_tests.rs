//! A ledger that is away in the middle of a rollout.

use std::time::Duration;

use super::bench::{bench, on};
use super::{DriverError, Stop};
use crate::core::event::{ActionKind, Event, Outcome, RecordedEvent};
use crate::core::rollout::{RolloutPhase, RolloutState};
use crate::ports::{Ledger, LedgerError, RequestKind};

const AWAY: Duration = Duration::from_secs(25);

fn folds(events: &[RecordedEvent]) -> RolloutState {
    assert!(
        events
            .iter()
            .map(|event| event.seq)
            .eq(1..=events.len() as u64)
    );
    RolloutState::fold(events).unwrap()
}

#[tokio::test(start_paused = true)]
async fn whenever_it_goes_and_comes_back_nothing_is_lost_or_done_twice() {
    for at in 2..60 {
        for writes in [false, true] {
            let mut bench = bench("oo", 1);
            *bench.ledger.goes_away.lock().unwrap() = Some((at, AWAY, writes));
            let finished = bench.run().await.unwrap();
            let row = format!("at event {at}, which is written: {writes}");
            assert_eq!(
                finished.state.phase,
                RolloutPhase::Ended(Outcome::Completed),
                "{row}"
            );
            // Nobody has failed because nobody could write down that he was ready.
            assert_eq!(
                bench.switches(),
                ["switch h0 to v2", "switch h1 to v2"],
                "{row}"
            );
            assert!(bench.runs().iter().all(|runs| *runs == on("v2")), "{row}");
            let events = bench.ledger.events.lock().unwrap().clone();
            assert_eq!(folds(&events).phase, finished.state.phase, "{row}");
            if bench.ledger.goes_away.lock().unwrap().is_some() {
                assert!(at > 20, "it ended before event {at}");
                return;
            }
        }
    }
    panic!("the rollout never completed");
}

#[tokio::test(start_paused = true)]
async fn one_that_stays_away_ends_the_rollout_where_it_stands() {
    let mut bench = bench("oooo", 1);
    *bench.ledger.goes_away.lock().unwrap() = Some((10, Duration::from_secs(3600), false));
    let begun = tokio::time::Instant::now();
    let error = bench.run().await.unwrap_err();
    assert!(
        matches!(
            error,
            DriverError::Ledger {
                source: LedgerError::Away { .. },
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(90),
        "{:?}",
        begun.elapsed()
    );
    let switches = bench.switches();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        bench.switches(),
        switches,
        "nothing is started after the end"
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_signal_counts_when_it_is_back_and_the_second_at_once() {
    for twice in [false, true] {
        let mut bench = bench("oooo", 1);
        *bench.ledger.goes_away.lock().unwrap() = Some((10, AWAY, false));
        let (stop, ledger) = (bench.stop.clone(), bench.ledger.clone());
        tokio::spawn(async move {
            while ledger.answers().is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stop.send(Stop::Pause { by: "ctrl-c" }).await.unwrap();
            if twice {
                stop.send(Stop::Now).await.unwrap();
            }
        });
        let begun = tokio::time::Instant::now();
        let ended = bench.run().await;
        match twice {
            true => {
                assert!(
                    matches!(ended, Err(DriverError::Interrupted { .. })),
                    "{ended:?}"
                );
                assert!(begun.elapsed() < AWAY);
            }
            false => assert_eq!(ended.unwrap().state.phase, RolloutPhase::Paused),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_before_it_went_is_answered_when_it_is_back() {
    let mut bench = bench("oooo", 1);
    *bench.ledger.goes_away.lock().unwrap() = Some((12, AWAY, true));
    let (ledger, service) = (bench.ledger.clone(), bench.job.lease.service.clone());
    let asked = tokio::spawn(async move {
        while ledger.answers().is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        ledger.ask(&service, RequestKind::Pause)
    });
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, RolloutPhase::Paused);
    let asked = asked.await.unwrap();
    assert!(bench.ledger.answer_to(asked).is_some());
    let events = bench.ledger.events(finished.rollout, 0).await.unwrap();
    let pauses = events
        .iter()
        .filter(|one| matches!(one.event, Event::PauseRequested { .. }));
    assert_eq!(pauses.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_many_hosts_say_meanwhile_is_heard_before_anything_is_decided() {
    // They fill the loop's channel before one that was switched just now can say that it is ready.
    let mut bench = bench(&"o".repeat(500), 170);
    *bench.ledger.goes_away.lock().unwrap() = Some((1_300, AWAY, false));
    let finished = bench.run().await.unwrap();
    let completed = RolloutPhase::Ended(Outcome::Completed);
    assert_eq!(finished.state.phase, completed);
    assert_eq!(bench.switches().len(), 500);
}

/// Which event of a rollout that nothing disturbs begins to switch `h1`.
async fn switch_of_the_second() -> usize {
    let mut bench = bench("oo", 1);
    bench.run().await.unwrap();
    let events = bench.ledger.events.lock().unwrap();
    let begins = |recorded: &RecordedEvent| {
        matches!(&recorded.event, Event::ActionStarted { host, action }
            if host.as_str() == "h1" && *action == ActionKind::Activate)
    };
    events.iter().position(begins).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_before_it_went_takes_nothing_down_when_it_is_back() {
    let at = switch_of_the_second().await;
    for writes in [false, true] {
        let mut bench = bench("oo", 1);
        *bench.ledger.goes_away.lock().unwrap() = Some((at, AWAY, writes));
        let (ledger, fleet) = (bench.ledger.clone(), bench.fleet.clone());
        tokio::spawn(async move {
            while ledger.answers().is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // The one that was switched first dies meanwhile: the other is the last that serves.
            let mut hosts = fleet.hosts.lock().unwrap();
            hosts.values_mut().next().unwrap().sick = true;
        });
        let _ = bench.run().await;
        let first_switches = bench
            .switches()
            .into_iter()
            .filter(|one| one == "switch h1 to v2");
        assert_eq!(
            first_switches.count(),
            0,
            "written: {writes}: {:?}",
            bench.switches()
        );
    }
}
