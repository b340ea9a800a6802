//! A fleet, a ledger and a job for the driver's tests, in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::fakes::{FakeClock, FakeFleet, FakeHost, FakeLedger, FakeReporter};
use super::{Adapters, DriverError, Finished, Job, Stop, look, run};
use crate::core::budget::{Budget, Quantity};
use crate::core::event::Runs;
use crate::core::fleet::{HealthCheck, OnFailure, Probe, Through};
use crate::core::ids::*;
use crate::core::revision::Revision;
use crate::core::spec::{HostSpec, RolloutKind, Spec};
use crate::core::time::Timestamp;
use crate::ports::{Hosts, Lease, Owner};

pub(super) fn revision(name: &str) -> RevisionRef {
    RevisionRef {
        name: RevisionName::parse(name).unwrap(),
        digest: Digest::new(name.repeat(4)),
    }
}

pub(super) fn on(name: &str) -> Runs {
    Runs::Revision {
        revision: revision(name),
    }
}

/// A fleet of which each letter is a host: `o` runs v1, `-` nothing, `!` runs v1 and will not take v2, `b` runs v1 and
/// is broken.
pub(super) struct Bench {
    pub(super) ports: Arc<Adapters>,
    pub(super) fleet: Arc<FakeFleet>,
    pub(super) ledger: Arc<FakeLedger>,
    pub(super) reporter: Arc<FakeReporter>,
    pub(super) job: Job,
    pub(super) stop: mpsc::Sender<Stop>,
    pub(super) stopped: Option<mpsc::Receiver<Stop>>,
}

pub(super) fn bench(letters: &str, unavailable: u32) -> Bench {
    let fake = |letter| FakeHost {
        runs: if letter == '-' {
            Runs::Nothing
        } else {
            on("v1")
        },
        beside: None,
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
        side_by_side: false,
        balanced: false,
        hooks: Default::default(),
        signed_by: Vec::new(),
        unattended: false,
        window: None,
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
        hooks: None,
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
        signers: Vec::new(),
    };
    let job = Job {
        ports: None,
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
        takes_hosts: false,
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
    pub(super) async fn run(&mut self) -> Result<Finished, DriverError> {
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

    pub(super) fn runs(&self) -> Vec<Runs> {
        self.fleet
            .hosts
            .lock()
            .unwrap()
            .values()
            .map(|host| host.runs.clone())
            .collect()
    }

    pub(super) fn switches(&self) -> Vec<String> {
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
