//! The driver with fake ports, in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;

use super::fakes::{Cut, FakeClock, FakeFleet, FakeHost, FakeLedger, FakeReporter};
use super::{Adapters, DriverError, Finished, Job, Stop, look, run};
use crate::core::budget::{Budget, Quantity};
use crate::core::event::{ActionKind, ActionOutcome, Event, Outcome, Runs};
use crate::core::fleet::{HealthCheck, OnFailure, Probe, Through};
use crate::core::ids::*;
use crate::core::revision::Revision;
use crate::core::rollout::{RolloutPhase, Stage};
use crate::core::spec::{HostSpec, RolloutKind, Spec};
use crate::core::time::Timestamp;
use crate::ports::{Hosts, Lease, Owner};

fn revision(name: &str) -> RevisionRef {
    RevisionRef {
        name: RevisionName::parse(name).unwrap(),
        digest: Digest::new(name.repeat(4)),
    }
}

fn on(name: &str) -> Runs {
    Runs::Revision {
        revision: revision(name),
    }
}

/// A fleet of which each letter is a host: `o` runs v1, `-` nothing, `!` runs v1 and will not take v2, `b` runs v1 and
/// is broken.
struct Bench {
    ports: Arc<Adapters>,
    fleet: Arc<FakeFleet>,
    ledger: Arc<FakeLedger>,
    reporter: Arc<FakeReporter>,
    job: Job,
    stop: mpsc::Sender<Stop>,
    stopped: Option<mpsc::Receiver<Stop>>,
}

fn bench(letters: &str, unavailable: u32) -> Bench {
    let fake = |letter| FakeHost {
        runs: if letter == '-' {
            Runs::Nothing
        } else {
            on("v1")
        },
        starts: 0,
        started_at: None,
        bad: letter == '!',
        sick: letter == 'b',
        boot: "boot",
        cut: None,
        gone_until: None,
        last_switch: String::new(),
    };
    let hosts: BTreeMap<_, _> = (0..)
        .zip(letters.chars())
        .map(|(n, letter): (u32, _)| (HostName::new(format!("h{n}")), fake(letter)))
        .collect();
    let desired = u32::try_from(hosts.len()).unwrap();
    let spec = Spec {
        service: ServiceName::new("web"),
        kind: RolloutKind::Release,
        target: revision("v2"),
        from: Some(revision("v1")),
        budget: Budget::resolve(desired, Quantity::Count(0), Quantity::Count(unavailable)),
        hosts: hosts
            .keys()
            .map(|name| HostSpec::new(name.clone(), true))
            .collect(),
        min_ready: Duration::from_secs(3),
        deadline: Duration::from_secs(20),
        progress_deadline: Duration::from_secs(100),
        max_failures: 0,
        on_failure: OnFailure::Pause,
        max_uploads: 16,
        steps: Vec::new(),
        domains: Vec::new(),
        balanced: false,
    };
    let ledger = Arc::new(FakeLedger::default());
    let fleet = Arc::new(FakeFleet {
        hosts: hosts.into(),
        calls: Vec::new().into(),
        ledger: ledger.clone(),
    });
    let reporter = Arc::new(FakeReporter::default());
    let ports = Arc::new(Adapters {
        hosts: fleet.clone(),
        prober: fleet.clone(),
        traffic: None,
        ledger: ledger.clone(),
        reporter: reporter.clone(),
        clock: Arc::new(FakeClock(tokio::time::Instant::now())),
    });
    let target = Revision {
        number: RevisionNumber(2),
        names: vec![spec.target.name.clone()],
        digest: spec.target.digest.clone(),
        created_at: Timestamp::from_millis(0),
        created_by: "t".into(),
        cause: None,
        adopted: None,
    };
    let job = Job {
        spec,
        target,
        health: HealthCheck {
            probe: Probe::Tcp {
                address: String::new(),
            },
            through: Through::Direct,
            interval: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            successes: 2,
            deadline: Duration::from_secs(20),
        },
        keep: Vec::new(),
        last_seen: BTreeMap::new(),
        by: "t".into(),
        cause: None,
        owner: Owner {
            ledger: LedgerId::new("ledger"),
            machine: "m".into(),
        },
        lease: Lease {
            service: ServiceName::new("web"),
            epoch: Epoch(1),
        },
        resumed: None,
    };
    let (stop, stopped) = mpsc::channel(4);
    Bench {
        ports,
        fleet,
        ledger,
        reporter,
        job,
        stop,
        stopped: Some(stopped),
    }
}

impl Bench {
    async fn run(&mut self) -> Result<Finished, DriverError> {
        let hosts: Arc<dyn Hosts> = self.fleet.clone();
        let sights = look(
            &hosts,
            self.job.spec.hosts.iter().map(|host| host.name.clone()),
        )
        .await;
        run(
            self.ports.clone(),
            self.job.clone(),
            sights,
            self.stopped.take().unwrap(),
        )
        .await
    }

    fn runs(&self) -> Vec<Runs> {
        self.fleet
            .hosts
            .lock()
            .unwrap()
            .values()
            .map(|host| host.runs.clone())
            .collect()
    }

    fn switches(&self) -> Vec<String> {
        self.fleet
            .calls
            .lock()
            .unwrap()
            .iter()
            .filter(|call| call.starts_with("switch"))
            .cloned()
            .collect()
    }
}

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

#[path = "going_on_tests.rs"]
mod going_on;
