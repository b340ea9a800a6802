//! Connections that die, hosts that come back or do not, and one that reboots.

use std::time::Duration;

use super::Finished;
use super::bench::{Bench, bench, on};
use super::fakes::Cut;
use crate::core::event::{ActionKind, Event, Outcome};
use crate::core::ids::*;
use crate::core::rollout::{RolloutPhase, Stage};

/// What becomes of h0, whose connection dies at its switch.
async fn cut_off(after: bool, away: u64) -> (Bench, Finished) {
    let mut bench = bench("oo", 1);
    let cut = Cut {
        after,
        away: Duration::from_secs(away),
    };
    let h0 = HostName::new("h0");
    bench.fleet.hosts.lock().unwrap().get_mut(&h0).unwrap().cut = Some(cut);
    let finished = bench.run().await.unwrap();
    (bench, finished)
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_back_within_the_deadline_fails_nobody() {
    for after in [false, true] {
        let (bench, finished) = cut_off(after, 12).await;
        assert_eq!(
            finished.state.phase,
            RolloutPhase::Ended(Outcome::Completed),
            "cut off after the switch: {after}"
        );
        assert!(bench.runs().iter().all(|runs| *runs == on("v2")));
        let starts = bench.fleet.hosts.lock().unwrap()[&HostName::new("h0")].starts;
        assert_eq!(starts, 1, "the second request does nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_comes_back_late_is_put_back_whatever_became_of_the_switch() {
    for (after, starts) in [(false, 0), (true, 2)] {
        let (bench, finished) = cut_off(after, 30).await;
        assert_eq!(finished.state.phase, RolloutPhase::Paused);
        assert!(
            matches!(finished.state.instances[0].stage, Stage::Reverted { .. }),
            "{:?}",
            finished.state.instances[0].stage
        );
        assert!(bench.runs().iter().all(|runs| *runs == on("v1")));
        let found = bench.fleet.hosts.lock().unwrap()[&HostName::new("h0")].starts;
        assert_eq!(found, starts, "what never went down is not started again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_come_back_is_left_to_its_dead_mans_switch() {
    let (_, finished) = cut_off(false, 3600).await;
    assert_eq!(finished.state.phase, RolloutPhase::Paused);
    assert!(matches!(
        finished.state.instances[0].stage,
        Stage::Lost { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_gone_before_its_switch_is_left_out() {
    let mut bench = bench("ooo", 2);
    let (fleet, ledger) = (bench.fleet.clone(), bench.ledger.clone());
    tokio::spawn(async move {
        while ledger.events.lock().unwrap().iter().all(|r| {
            !matches!(&r.event, Event::ActionStarted { host, action: ActionKind::Activate }
                if host.as_str() == "h0")
        }) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let gone = tokio::time::Instant::now() + Duration::from_secs(3600);
        let mut hosts = fleet.hosts.lock().unwrap();
        hosts.get_mut(&HostName::new("h0")).unwrap().gone_until = Some(gone);
    });
    let finished = bench.run().await.unwrap();
    assert_eq!(
        finished.state.phase,
        RolloutPhase::Ended(Outcome::Completed)
    );
    assert_eq!(bench.runs(), [on("v1"), on("v2"), on("v2")]);
    assert!(!finished.state.instances[0].was_touched());
}

#[tokio::test(start_paused = true)]
async fn a_host_that_reboots_restarts_its_wait_and_fails_nobody() {
    let mut bench = bench("oo", 1);
    let (fleet, ledger) = (bench.fleet.clone(), bench.ledger.clone());
    tokio::spawn(async move {
        while ledger.events.lock().unwrap().iter().all(|r| {
            !matches!(
                r.event,
                Event::ActionEnded {
                    action: ActionKind::Activate,
                    ..
                }
            )
        }) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut hosts = fleet.hosts.lock().unwrap();
        let host = hosts.get_mut(&HostName::new("h0")).unwrap();
        (host.boot, host.starts) = ("another boot", host.starts + 1);
    });
    let finished = bench.run().await.unwrap();
    assert_eq!(
        finished.state.phase,
        RolloutPhase::Ended(Outcome::Completed)
    );
    let rebooted = bench
        .ledger
        .events
        .lock()
        .unwrap()
        .iter()
        .any(|r| matches!(r.event, Event::HostRebooted { .. }));
    assert!(rebooted);
}
