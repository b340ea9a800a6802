use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::*;
use crate::cli::args::{DescribeArgs, HistoryArgs};
use crate::cli::describe::describe;
use crate::cli::history::history;
use crate::core::budget::Quantity;
use crate::core::event::PauseCause;
use crate::core::fleet::{HealthCheck, OnFailure, Probe, Scope, Strategy, Through};
use crate::core::ids::UnitName;
use crate::core::ids::{RevisionNumber, RolloutId, ServiceName};
use crate::ledger::{Here, MemoryLedger};
use crate::ports::{Clock, NewRevision};
use crate::report::testing::{Sample, Shared, at};

struct Fixed(Mutex<Timestamp>);

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn service(hosts: u32) -> Service {
    let second = Duration::from_secs(1);
    Service {
        name: ServiceName::new("web"),
        hosts: (1..=hosts)
            .map(|number| HostName::new(format!("web-{number:02}")))
            .collect(),
        spare_hosts: Vec::new(),
        out_of_service: vec![],
        units: vec![UnitName::new("web.service")],
        scope: Scope::System,
        socket: None,
        unit_files: BTreeMap::new(),
        install_dir: "/opt/web".to_owned(),
        binary: "web".to_owned(),
        link: None,
        artifact: None,
        environment: BTreeMap::new(),
        files: BTreeMap::<String, PathBuf>::new(),
        port: None,
        ports: None,
        revision_history_limit: 10,
        strategy: Strategy {
            max_surge: Quantity::Count(0),
            max_unavailable: Quantity::Count(1),
            min_ready: second,
            progress_deadline: second,
            max_failures: 0,
            on_failure: OnFailure::Pause,
            steps: Vec::new(),
            order: BTreeMap::new(),
            domains: Vec::new(),
        },
        health: HealthCheck {
            probe: Probe::Unit,
            through: Through::Direct,
            interval: second,
            timeout: second,
            successes: 1,
            deadline: second,
        },
        traffic: None,
        hooks: Default::default(),
        trust: None,
        channel: Default::default(),
        window: None,
    }
}

/// A ledger with two revisions and the rollout of the sample, renumbered by the ledger.
async fn ledger_of(sample: &Sample) -> MemoryLedger {
    let clock = Arc::new(Fixed(Mutex::new(at(0))));
    let here = Here {
        clock: clock.clone(),
        machine: "desk".to_owned(),
        boot: "boot".to_owned(),
        pid_is_alive: Arc::new(|_| true),
    };
    let ledger = MemoryLedger::new(here.clone());
    let spec = sample.state.spec.clone();
    for reference in [spec.from.clone().unwrap(), spec.target.clone()] {
        let new = NewRevision {
            service: spec.service.clone(),
            name: Some(reference.name),
            digest: reference.digest,
            at: at(-7_200_000),
            by: "ann@desk".to_owned(),
            cause: None,
            adopted: None,
            signers: Vec::new(),
            kept: false,
        };
        ledger.record_revision(&new).await.unwrap();
    }
    let holder = here.holder("ann@desk");
    let lease = ledger.acquire(&spec.service, &holder, false).await.unwrap();
    let mut rollout = RolloutId(0);
    for recorded in &sample.events {
        *clock.0.lock().unwrap() = recorded.at;
        ledger.renew(&lease).await.unwrap();
        if recorded.seq == 1 {
            let first = ledger.begin_rollout(&lease, recorded.at, &recorded.event);
            rollout = first.await.unwrap().rollout;
        } else {
            ledger
                .append(&lease, rollout, recorded.at, &recorded.event)
                .await
                .unwrap();
        }
    }
    ledger
}

fn screen(output: Output) -> (Screen, Shared) {
    let written = Shared::default();
    let screen = Screen::of_streams(output, Box::new(written.clone()), Box::new(std::io::sink()));
    (screen, written)
}

fn half_way() -> Sample {
    let mut sample = Sample::new(3, 1);
    for number in 1..=3 {
        sample.sees_old(100, &format!("web-{number:02}"));
    }
    sample.updates(200, "web-01").switches(13_500, "web-02");
    sample
}

#[tokio::test]
async fn a_running_rollout_says_what_it_waits_for() {
    let ledger = ledger_of(&half_way()).await;
    let view = from_ledger(&service(3), &ledger, at(16_000)).await.unwrap();
    insta::assert_snapshot!(status_table(&view));
}

#[tokio::test]
async fn while_two_run_on_a_host_both_are_shown_and_counted() {
    let mut sample = Sample::side_by_side(10, 1);
    sample
        .starts_beside(200, "web-01")
        .switches(1_800, "web-02");
    let ledger = ledger_of(&sample).await;
    let view = from_ledger(&service(10), &ledger, at(6_200)).await.unwrap();
    // As a Deployment counts its replicas.
    let counts = (view.desired, view.current, view.up_to_date, view.available);
    assert_eq!(counts, (10, 11, 2, 9));
    let rows: Vec<_> = view
        .instances
        .iter()
        .take(3)
        .map(|one| {
            let revision = one.revision.as_ref().map_or("-", RevisionName::as_str);
            (one.host.as_str(), revision, one.state.as_str(), one.since)
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("web-01", "v1.4.2", "settling", Some(at(1_200))),
            ("web-01", "v1.4.1", "available", None),
            ("web-02", "v1.4.2", "settling", Some(at(2_800))),
        ]
    );
    assert_eq!(view.instances.len(), 11);
    assert_eq!(
        view.clone().counted(),
        view,
        "the rows say what the rollout counts"
    );
}

#[tokio::test]
async fn what_goes_back_to_the_one_beside_it_keeps_its_age() {
    let mut sample = Sample::side_by_side(1, 0);
    sample
        .starts_beside(200, "web-01")
        .push(
            61_000,
            Event::InstanceMarked {
                host: HostName::new("web-01"),
                mark: crate::core::event::Mark::Failed {
                    reason: "not ready within 1m".to_owned(),
                },
            },
        )
        .begins(61_100, "web-01", ActionKind::Revert);
    let rows = async |sample: &Sample| {
        let ledger = ledger_of(sample).await;
        let seen = [InstanceRecord {
            host: HostName::new("web-01"),
            digest: sample.state.spec.from.clone().map(|one| one.digest),
            state: "available".to_owned(),
            since: at(-60_000),
        }];
        let name = ServiceName::new("web");
        ledger.record_instances(&name, &seen).await.unwrap();
        let view = from_ledger(&service(1), &ledger, at(62_000)).await.unwrap();
        let rows = view.instances.into_iter();
        rows.map(|one| (one.state, one.since)).collect::<Vec<_>>()
    };
    let old = ("available".to_owned(), Some(at(-60_000)));
    let new = ("reverting".to_owned(), Some(at(1_200)));
    assert_eq!(rows(&sample).await, [new, old.clone()]);
    sample.ends(61_500, "web-01", ActionKind::Revert);
    assert_eq!(rows(&sample).await, [("reverted".to_owned(), old.1)]);
}

#[tokio::test]
async fn a_paused_one_waits_for_somebody() {
    let mut sample = Sample::new(1, 1);
    sample
        .sees_old(100, "web-01")
        .push(
            200,
            Event::PauseRequested {
                cause: PauseCause::Asked {
                    by: "ctrl-c".to_owned(),
                },
            },
        )
        .push(300, Event::RolloutPaused);
    let ledger = ledger_of(&sample).await;
    let view = from_ledger(&service(1), &ledger, at(60_000)).await.unwrap();
    let rollout = view.rollout.as_ref().unwrap();
    assert_eq!(rollout.phase, "paused");
    assert_eq!(rollout.waiting_on, []);
    assert_eq!(rollout.why.as_deref(), Some("asked by ctrl-c"));
    assert_eq!(rollout.resumed_by, None);
    assert!(!view.live);
    assert_eq!(view.revision, None, "nothing was completed yet");
}

#[tokio::test]
async fn a_dead_controllers_rollout_is_interrupted() {
    let ledger = ledger_of(&half_way()).await;
    // Its lease runs out after 15 s.
    let later = Here {
        clock: Arc::new(Fixed(Mutex::new(at(600_000)))),
        machine: "other".to_owned(),
        boot: "other".to_owned(),
        pid_is_alive: Arc::new(|_| true),
    };
    let ledger = ledger.seen_from(later);
    let view = from_ledger(&service(3), &ledger, at(600_000))
        .await
        .unwrap();
    let rollout = view.rollout.as_ref().unwrap();
    assert_eq!(rollout.phase, "interrupted");
    assert!(!view.live);
}

#[tokio::test]
async fn after_completion_the_revision_is_the_target_and_hosts_are_as_remembered() {
    let mut sample = Sample::new(2, 1);
    sample
        .sees_old(100, "web-01")
        .sees_old(100, "web-02")
        .updates(200, "web-01")
        .updates(14_000, "web-02")
        .completes(28_000);
    let ledger = ledger_of(&sample).await;
    let seen = [InstanceRecord {
        host: HostName::new("web-01"),
        digest: Some(sample.state.spec.target.digest.clone()),
        state: "available".to_owned(),
        since: at(1_200),
    }];
    let name = ServiceName::new("web");
    ledger.record_instances(&name, &seen).await.unwrap();
    let view = from_ledger(&service(2), &ledger, at(148_000))
        .await
        .unwrap();
    assert_eq!(view.rollout, None);
    assert_eq!(
        view.revision.as_ref().map(|one| one.number),
        Some(RevisionNumber(2))
    );
    let counts = (view.desired, view.current, view.up_to_date, view.available);
    assert_eq!(counts, (2, 1, 1, 1));
    assert_eq!(view.instances[1].state, "unknown");
    let (mut screen, written) = screen(Output::Json);
    show(&[view], &mut screen).unwrap();
    let json: serde_json::Value = serde_json::from_str(&written.text()).unwrap();
    assert_eq!(json["revision"]["name"], "v1.4.2");
    assert_eq!(json["instances"][0]["since"], "2026-11-22T10:41:01.200Z");
}

#[tokio::test]
async fn watching_ends_when_nobody_reads() {
    struct Gone(u32);
    impl std::io::Write for Gone {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 | 2 => Ok(bytes.len()),
                _ => Err(std::io::ErrorKind::BrokenPipe.into()),
            }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    tokio::time::pause();
    let mut screen =
        Screen::of_streams(Output::Human, Box::new(Gone(0)), Box::new(std::io::sink()));
    let mut looks = 0;
    let ended = watch(
        async || {
            looks += 1;
            Ok(vec![])
        },
        async || tokio::time::sleep(std::time::Duration::from_secs(1)).await,
        &mut screen,
    )
    .await;
    assert_eq!(ended, Ok(ExitCode::Done));
    assert_eq!(looks, 3);
}

#[tokio::test]
async fn history_and_describe_read_the_ledger() {
    let mut sample = Sample::new(1, 1);
    sample
        .sees_old(100, "web-01")
        .updates(200, "web-01")
        .completes(14_000);
    let ledger = ledger_of(&sample).await;
    let now = at(60_000);
    let web = ServiceName::new("web");

    let args = |revision| HistoryArgs {
        host: None,
        at: None,
        service: web.clone(),
        revision,
    };
    let (mut human, written) = screen(Output::Human);
    history(&args(None), &ledger, now, &mut human)
        .await
        .unwrap();
    insta::assert_snapshot!("history", written.text());

    let (mut json, written) = screen(Output::Json);
    history(&args(Some(RevisionNumber(2))), &ledger, now, &mut json)
        .await
        .unwrap();
    let object: serde_json::Value = serde_json::from_str(&written.text()).unwrap();
    assert_eq!(object["revisions"].as_array().map(Vec::len), Some(1));
    assert_eq!(object["rollouts"][0]["outcome"], "completed");

    let unknown = history(&args(Some(RevisionNumber(9))), &ledger, now, &mut json)
        .await
        .unwrap_err();
    insta::assert_snapshot!(unknown.text(false), @r"
    error: revision 9 of `web` does not exist

    hint: `rollctl history web` lists the revisions
    ");

    let (mut lines, written) = screen(Output::Json);
    let rollout = RolloutId(1);
    describe(&DescribeArgs { rollout }, &ledger, now, &mut lines)
        .await
        .unwrap();
    assert_eq!(written.text().lines().count(), sample.events.len());

    let rollout = RolloutId(99);
    let unknown = describe(&DescribeArgs { rollout }, &ledger, now, &mut lines)
        .await
        .unwrap_err();
    assert_eq!(unknown.code, ExitCode::Usage);
}

#[tokio::test]
async fn the_exit_code_says_what_was_verified() {
    use crate::report::verify::{Compared, Verified};
    let ledger = ledger_of(&half_way()).await;
    let view = from_ledger(&service(3), &ledger, at(0)).await.unwrap();
    let whole = Ok(Compared {
        revision: None,
        attestation: None,
        drift: vec![],
    });
    let drifted = Ok(Compared {
        revision: None,
        attestation: None,
        drift: vec!["x".to_owned()],
    });
    let unseen = Err("connection refused".to_owned());
    for (seen, expected) in [
        (vec![], ExitCode::Done),
        (vec![&whole], ExitCode::Done),
        (vec![&whole, &unseen], ExitCode::Skipped),
        (vec![&unseen, &drifted, &whole], ExitCode::Mixed),
    ] {
        let verified = seen.iter().map(|&seen| Verified {
            host: HostName::new("web-01"),
            seen: seen.clone(),
        });
        let view = StatusView {
            verified: Some(verified.collect()),
            ..view.clone()
        };
        let (mut screen, _) = screen(Output::Json);
        assert_eq!(show(&[view], &mut screen).unwrap(), expected, "{seen:?}");
    }
}
