//! A release through the driver: who is switched when, what is put back, what is pruned.

use std::time::Duration;

use super::bench::{bench, on};
use crate::core::event::{ActionKind, ActionOutcome, Event, Outcome};
use crate::core::ids::*;
use crate::core::rollout::RolloutPhase;

#[tokio::test(start_paused = true)]
async fn a_release_brings_every_host_to_the_target() {
    let mut bench = bench("oo-o", 1);
    let finished = bench.run().await.unwrap();
    assert_eq!(
        finished.state.phase,
        RolloutPhase::Ended(Outcome::Completed)
    );
    assert!(bench.runs().iter().all(|runs| *runs == on("v2")));
    // Four desired, one absent: only when that one is available may another go down.
    assert_eq!(
        bench.switches(),
        [
            "switch h2 to v2",
            "switch h0 to v2",
            "switch h1 to v2",
            "switch h3 to v2"
        ]
    );
    let calls = bench.fleet.calls.lock().unwrap().clone();
    assert!(
        calls[..4].iter().all(|call| call.starts_with("claim")),
        "the epoch is everywhere before the first action"
    );
    assert_eq!(
        finished.sights.len(),
        4,
        "what runs at the end is read back"
    );
}

#[tokio::test(start_paused = true)]
async fn pruning_leaves_what_each_host_ran_before() {
    let mut bench = bench("o-", 1);
    bench.job.keep = vec![RevisionName::parse("v2").unwrap()];
    bench.run().await.unwrap();
    let calls = bench.fleet.calls.lock().unwrap().clone();
    let mut pruned: Vec<_> = calls.iter().filter(|c| c.starts_with("prune")).collect();
    pruned.sort();
    assert_eq!(pruned, ["prune h0 but v2 v1", "prune h1 but v2"]);
}

#[tokio::test(start_paused = true)]
async fn a_bad_release_is_put_back_on_one_host_and_pauses() {
    let mut bench = bench("!!!", 1);
    let finished = bench.run().await.unwrap();
    assert_eq!(finished.state.phase, RolloutPhase::Paused);
    assert!(bench.runs().iter().all(|runs| *runs == on("v1")));
    assert_eq!(bench.switches(), ["switch h0 to v2", "switch h0 to v1"]);
    let calls = bench.fleet.calls.lock().unwrap().clone();
    let place = |wanted: &str| calls.iter().position(|call| call == wanted);
    assert!(
        place("journal h0") < place("switch h0 to v1"),
        "the journal is read before the restart hides it"
    );
    assert_eq!(
        *bench.reporter.diagnoses.lock().unwrap(),
        [HostName::new("h0")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_broken_one_that_works_again_is_not_taken_down_as_broken() {
    let mut bench = bench("bo", 1);
    let fleet = bench.fleet.clone();
    let heal = tokio::spawn(async move {
        // After the third failed poll, before the fresh look.
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let staged = fleet.ledger.events.lock().unwrap().iter().any(|recorded| {
                matches!(
                    recorded.event,
                    Event::ActionStarted {
                        action: ActionKind::Activate,
                        ..
                    }
                )
            });
            if staged {
                fleet
                    .hosts
                    .lock()
                    .unwrap()
                    .get_mut(&HostName::new("h0"))
                    .unwrap()
                    .sick = false;
                return;
            }
        }
    });
    bench.run().await.unwrap();
    heal.await.unwrap();
    let declined = bench.ledger.events.lock().unwrap().iter().any(|recorded| {
        matches!(
            recorded.event,
            Event::ActionEnded {
                outcome: ActionOutcome::Declined { .. },
                ..
            }
        )
    });
    assert!(declined);
    assert!(bench.runs().iter().all(|runs| *runs == on("v2")));
}
