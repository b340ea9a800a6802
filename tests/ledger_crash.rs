//! The ledger between processes: controllers that are killed, and controllers that want the same service.
//!
//! The controllers are this test program itself, started again with a task in the environment.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which clippy only knows by their attribute"
)]

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rollctl::core::budget::{Budget, Quantity};
use rollctl::core::event::{ActionKind, Event, Outcome};
use rollctl::core::fleet::OnFailure;
use rollctl::core::ids::{Digest, HostName, RevisionName, RevisionRef, RolloutId, ServiceName};
use rollctl::core::spec::{HostSpec, RolloutKind, Spec};
use rollctl::core::time::Timestamp;
use rollctl::ledger::{Chain, Chained, Here, SqlLedger, open};
use rollctl::ports::{Clock, Lease, Ledger, LedgerError};

const TASK: &str = "ROLLCTL_TEST_LEDGER_TASK";
const URL: &str = "ROLLCTL_TEST_LEDGER_URL";

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
    }
}

fn here() -> Here {
    Here::of_this_machine(Arc::new(Now))
}

fn web() -> ServiceName {
    ServiceName::new("web")
}

fn started() -> Event {
    let revision = RevisionRef {
        name: RevisionName::parse("v1").unwrap(),
        digest: Digest::new("a".repeat(64)),
    };
    Event::RolloutStarted {
        spec: Box::new(Spec {
            service: web(),
            kind: RolloutKind::Release,
            target: revision,
            from: None,
            budget: Budget::resolve(1, Quantity::Count(0), Quantity::Count(1)),
            hosts: vec![HostSpec::new(HostName::new("web-01"), true)],
            min_ready: Duration::ZERO,
            deadline: Duration::from_secs(60),
            progress_deadline: Duration::from_secs(600),
            max_failures: 0,
            on_failure: OnFailure::Pause,
            max_uploads: 1,
            steps: Vec::new(),
            domains: Vec::new(),
            side_by_side: false,
            balanced: false,
            hooks: Default::default(),
            signed_by: Vec::new(),
            unattended: false,
            window: None,
        }),
        by: "anna@laptop".to_owned(),
        cause: None,
    }
}

fn staging() -> Event {
    Event::ActionStarted {
        host: HostName::new("web-01"),
        action: ActionKind::Stage,
    }
}

/// What a started controller does; nothing when the tests are run by a person.
#[tokio::test]
async fn controller() {
    let (Ok(task), Ok(url)) = (std::env::var(TASK), std::env::var(URL)) else {
        return;
    };
    let ledger = open(&url, here()).await.unwrap();
    match task.as_str() {
        "append for ever" => append_for_ever(&ledger).await,
        "hold" => {
            acquire(&ledger).await.unwrap();
            say("held");
            std::future::pending::<()>().await;
        }
        "take turns" => take_turns(&ledger).await,
        other => panic!("unknown task {other}"),
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nsaid {line}").unwrap();
    out.flush().unwrap();
}

async fn acquire(ledger: &SqlLedger) -> Result<Lease, LedgerError> {
    let holder = here().holder("anna@laptop");
    ledger.acquire(&web(), &holder, false).await
}

/// Says the hash of every event that the ledger acknowledged.
async fn append_for_ever(ledger: &SqlLedger) {
    let lease = acquire(ledger).await.unwrap();
    let begun = ledger.begin_rollout(&lease, Now.now(), &started()).await;
    let mut last = begun.unwrap();
    loop {
        say(&format!("{} {} {}", last.rollout, last.seq, last.hash));
        let appended = ledger
            .append(&lease, last.rollout, Now.now(), &staging())
            .await;
        last = appended.unwrap();
    }
}

/// Gets the service ten times, for a short rollout each time.
async fn take_turns(ledger: &SqlLedger) {
    let mut turns = 0;
    while turns < 10 {
        let lease = match acquire(ledger).await {
            Ok(lease) => lease,
            Err(LedgerError::LeaseHeld { .. }) => {
                say("held");
                tokio::task::yield_now().await;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let begun = ledger.begin_rollout(&lease, Now.now(), &started()).await;
        let rollout = begun.unwrap().rollout;
        for event in [
            staging(),
            Event::RolloutEnded {
                outcome: Outcome::Completed,
            },
        ] {
            let appended = ledger.append(&lease, rollout, Now.now(), &event).await;
            appended.unwrap();
        }
        ledger.release(&lease).await.unwrap();
        say(&format!("turn {}", lease.epoch));
        turns += 1;
    }
}

/// A controller in a process of its own.
struct Controller {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Controller {
    fn start(task: &str, url: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "controller", "--nocapture"])
            .env(TASK, task)
            .env(URL, url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = process.stdout.take().unwrap();
        Self {
            process,
            lines: BufReader::new(out).lines(),
        }
    }

    /// The next thing that it says; nothing once it has ended.
    fn said(&mut self) -> Option<String> {
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("said ").map(str::to_owned))
    }

    /// Kills it with SIGKILL and waits until it is gone.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

async fn whole(ledger: &SqlLedger) -> u64 {
    match ledger.verify_chain(&web()).await.unwrap() {
        Chain::Whole { events } => events,
        broken @ Chain::Broken { .. } => panic!("{broken:?}"),
    }
}

/// `12 3 9f86...`, as a controller says it.
fn acknowledged(line: &str) -> (RolloutId, u64, String) {
    let mut words = line.split(' ');
    let mut next = || words.next().unwrap();
    let rollout = RolloutId(next().parse().unwrap());
    (rollout, next().parse().unwrap(), next().to_owned())
}

#[tokio::test]
async fn a_killed_controller_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("fleet.db").display());
    let mut written = Vec::new();
    for round in 0..12_usize {
        // The one before is dead: its lease is free at once.
        let mut controller = Controller::start("append for ever", &url);
        for _ in 0..=round * 7 {
            written.push(acknowledged(&controller.said().unwrap()));
        }
        controller.kill();
        // What it said before it died, but nobody had read yet.
        while let Some(line) = controller.said() {
            let complete = line.split(' ').nth(2).is_some_and(|hash| hash.len() == 64);
            written.extend(complete.then(|| acknowledged(&line)));
        }

        let ledger = open(&url, here()).await.unwrap();
        let rollouts = ledger.rollouts(&web(), 1).await.unwrap();
        assert_eq!(rollouts[0].outcome, "interrupted", "round {round}");
        let events = whole(&ledger).await;
        let started_and_superseded = u64::try_from(round).unwrap();
        let known = u64::try_from(written.len()).unwrap() + started_and_superseded;
        assert!(events >= known, "round {round}: {events} of {known}");
        for (rollout, seq, hash) in &written {
            let found = ledger.events(*rollout, seq - 1).await.unwrap();
            assert_eq!(found.first().map(|event| &event.hash), Some(hash));
        }
    }
}

#[tokio::test]
async fn a_live_controller_keeps_its_service_and_a_dead_one_frees_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("fleet.db").display());
    let mut controller = Controller::start("hold", &url);
    assert_eq!(controller.said().as_deref(), Some("held"));

    let ledger = open(&url, here()).await.unwrap();
    let error = acquire(&ledger).await.unwrap_err();
    let holder = format!(
        "anna@laptop (pid {}) has been working on `web` since ",
        controller.process.id()
    );
    assert!(error.to_string().starts_with(&holder), "{error}");

    controller.kill();
    acquire(&ledger).await.unwrap();
}

#[tokio::test]
async fn controllers_that_want_one_service_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("fleet.db").display());
    let mut controllers: Vec<_> = (0..3)
        .map(|_| Controller::start("take turns", &url))
        .collect();
    let mut epochs = Vec::new();
    for controller in &mut controllers {
        while let Some(line) = controller.said() {
            epochs.extend(
                line.strip_prefix("turn ")
                    .map(|epoch| epoch.parse::<i64>().unwrap()),
            );
        }
        assert!(controller.process.wait().unwrap().success());
    }
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=30).collect::<Vec<_>>(), "each epoch once");

    let ledger = open(&url, here()).await.unwrap();
    assert_eq!(whole(&ledger).await, 90);
    let rollouts = ledger.rollouts(&web(), 99).await.unwrap();
    assert_eq!(rollouts.len(), 30);
    for rollout in rollouts {
        assert_eq!(rollout.outcome, "completed", "nobody was superseded");
    }
}
