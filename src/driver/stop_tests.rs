//! Told to stop, or the ledger does: what is in flight, and what is not begun any more.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bench::bench;
use super::fakes::Cut;
use super::{DriverError, Stop};
use crate::core::event::{ActionKind, Event, Outcome};
use crate::core::ids::*;
use crate::core::rollout::{RolloutPhase, Stage};

#[tokio::test(start_paused = true)]
async fn the_first_signal_finishes_what_is_in_flight() {
    let mut bench = bench("oooo", 1);
    let (stop, ledger) = (bench.stop.clone(), bench.ledger.clone());
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
        stop.send(Stop::Pause { by: "ctrl-c" }).await.unwrap();
    });
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, RolloutPhase::Paused);
    assert_eq!(bench.switches(), ["switch h0 to v2"]);
    assert!(matches!(
        finished.state.instances[0].stage,
        Stage::Updated { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn the_second_signal_stops_at_once() {
    let mut bench = bench("oooo", 1);
    bench.stop.send(Stop::Pause { by: "ctrl-c" }).await.unwrap();
    bench.stop.send(Stop::Now).await.unwrap();
    assert!(matches!(
        bench.run().await,
        Err(DriverError::Interrupted { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_cannot_be_written_stops_everything_new() {
    // Whichever write fails: nothing is done that is not written down before (the fake hosts see to that), and what
    // was begun has ended when the driver returns.
    for fails_at in 2..60 {
        let mut bench = bench("oo", 1);
        bench.ledger.fails_at.store(fails_at, Ordering::SeqCst);
        match bench.run().await {
            Ok(finished) => {
                assert_eq!(
                    finished.state.phase,
                    RolloutPhase::Ended(Outcome::Completed)
                );
                assert!(fails_at > 20);
                return;
            }
            Err(error) => assert!(matches!(error, DriverError::Ledger { .. }), "{error:?}"),
        }
        let switches = bench.switches().len();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(
            bench.switches().len(),
            switches,
            "nothing is started after the end"
        );
    }
    panic!("the rollout never completed");
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_stops_everything_new() {
    let mut bench = bench("oooooooo", 1);
    *bench.ledger.lease_lost_after.lock().unwrap() = Some(2);
    let error = bench.run().await.unwrap_err();
    assert!(
        matches!(
            error,
            DriverError::Ledger {
                source: crate::ports::LedgerError::LeaseLost { .. },
                ..
            }
        ),
        "{error:?}"
    );
    assert!(bench.switches().len() < 8);
}

#[tokio::test(start_paused = true)]
async fn the_second_signal_is_heard_while_the_end_waits_for_a_host() {
    // The ledger fails while a switch is under way whose host does not answer for an hour.
    let mut bench = bench("o", 1);
    let cut = Cut {
        after: false,
        away: Duration::from_secs(3600),
    };
    let h0 = HostName::new("h0");
    bench.fleet.hosts.lock().unwrap().get_mut(&h0).unwrap().cut = Some(cut);
    bench.job.health.deadline = Duration::from_secs(3600);
    *bench.ledger.lease_lost_after.lock().unwrap() = Some(2);
    let stop = bench.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        stop.send(Stop::Pause { by: "ctrl-c" }).await.unwrap();
        stop.send(Stop::Now).await.unwrap();
    });
    let begun = tokio::time::Instant::now();
    let ended = bench.run().await;
    assert!(matches!(ended, Err(DriverError::Interrupted { .. })));
    assert!(begun.elapsed() < Duration::from_secs(70));
}
