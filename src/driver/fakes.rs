//! Fake ports for the driver's tests: hosts that live in memory, a ledger that can fail, a reporter that listens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::core::decision::Decision;
use crate::core::event::{ActionKind, Event, RecordedEvent, Runs, Started, StartedUnit};
use crate::core::ids::*;
use crate::core::revision::{Architecture, Revision};
use crate::core::rollout::RolloutState;
use crate::core::time::Timestamp;
use crate::ports::*;

/// Time that follows tokio's paused clock.
pub(super) struct FakeClock(pub(super) tokio::time::Instant);

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000_000) + self.0.elapsed()
    }
}

/// One host of the fake fleet.
#[derive(Debug, Clone)]
pub(super) struct FakeHost {
    pub(super) runs: Runs,
    pub(super) starts: u32,
    pub(super) started_at: Option<tokio::time::Instant>,
    /// The new revision never becomes ready.
    pub(super) bad: bool,
    /// What runs now never passes.
    pub(super) sick: bool,
    pub(super) boot: &'static str,
    /// At the next switch the connection dies: before anything is done, or after all of it.
    pub(super) cut: Option<Cut>,
    /// Not reached before then.
    pub(super) gone_until: Option<tokio::time::Instant>,
    /// The last switch by its event: asked for twice, the second does nothing.
    pub(super) last_switch: String,
}

/// A connection that dies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) after: bool,
    pub(super) away: Duration,
}

/// A fleet in memory. A start takes a second, readiness another.
pub(super) struct FakeFleet {
    pub(super) hosts: Mutex<BTreeMap<HostName, FakeHost>>,
    pub(super) calls: Mutex<Vec<String>>,
    pub(super) ledger: Arc<FakeLedger>,
}

impl FakeFleet {
    fn log(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn host(&self, name: &HostName) -> FakeHost {
        self.hosts.lock().unwrap()[name].clone()
    }

    fn reached(&self, name: &HostName) -> Result<(), HostError> {
        let until = self.host(name).gone_until;
        match until.is_some_and(|until| tokio::time::Instant::now() < until) {
            true => Err(gone(HostErrorKind::Unreachable)),
            false => Ok(()),
        }
    }

    fn units_of(host: &FakeHost) -> Vec<UnitState> {
        vec![UnitState {
            started: StartedUnit {
                unit: UnitName::new("web.service"),
                invocation: InvocationId::new(format!("start-{}", host.starts)),
                restarts: 0,
            },
            load: "loaded".into(),
            active: "active".into(),
            sub: "running".into(),
            result: "success".into(),
            main_pid: 1,
        }]
    }

    fn cut_off(&self, name: &HostName, away: Duration) -> HostError {
        let until = tokio::time::Instant::now() + away;
        let mut hosts = self.hosts.lock().unwrap();
        hosts.get_mut(name).unwrap().gone_until = Some(until);
        gone(HostErrorKind::Lost)
    }

    fn start(&self, name: &HostName, switch: &Switch) -> Started {
        let mut hosts = self.hosts.lock().unwrap();
        let fake = hosts.get_mut(name).unwrap();
        if fake.last_switch != switch.event_hash {
            fake.last_switch.clone_from(&switch.event_hash);
            fake.sick = fake.bad
                && switch
                    .to
                    .revision()
                    .is_some_and(|r| r.name.as_str() == "v2");
            fake.runs = switch.to.clone();
            fake.starts += 1;
            fake.started_at = Some(tokio::time::Instant::now());
        }
        let units = Self::units_of(fake);
        Started {
            boot: BootId::new(fake.boot),
            units: units.into_iter().map(|unit| unit.started).collect(),
        }
    }

    /// The rule that the whole driver is built around: what is done is in the ledger before it is done.
    fn intended(&self, host: &HostName, kinds: &[ActionKind]) {
        let events = self.ledger.events.lock().unwrap();
        let last = events
            .iter()
            .rev()
            .find_map(|recorded| match &recorded.event {
                Event::ActionStarted { host: h, action } if h == host => Some(*action),
                _ => None,
            });
        assert!(
            last.is_some_and(|action| kinds.contains(&action)),
            "{host}: {kinds:?} is not in the ledger: {last:?}"
        );
    }
}

fn gone(kind: HostErrorKind) -> HostError {
    HostError {
        kind,
        message: "connection lost".into(),
        hint: None,
    }
}

#[async_trait]
impl Hosts for FakeFleet {
    async fn observe(&self, host: &HostName) -> Result<HostFacts, HostError> {
        self.reached(host)?;
        let fake = self.host(host);
        Ok(HostFacts {
            runs: fake.runs.clone(),
            unadopted: None,
            unproven: None,
            units: Self::units_of(&fake),
            boot: BootId::new(fake.boot),
            architecture: Architecture("x86_64".into()),
            revisions: BTreeMap::new(),
            owner: None,
            epoch: None,
        })
    }

    async fn check(&self, _: &HostName) -> Result<String, HostError> {
        Ok(String::new())
    }

    async fn attest(&self, host: &HostName) -> Result<Attested, HostError> {
        self.reached(host)?;
        Ok(Attested {
            runs: self.host(host).runs,
            attestation: Some(Attestation::RunningFile),
            drift: Vec::new(),
        })
    }

    async fn claim(&self, host: &HostName, _: &Controller) -> Result<(), HostError> {
        self.log(format!("claim {host}"));
        self.reached(host)
    }

    async fn stage(
        &self,
        host: &HostName,
        _: &Controller,
        _: &Revision,
        _: UploadProgress<'_>,
    ) -> Result<Staged, HostError> {
        self.intended(host, &[ActionKind::Stage]);
        self.log(format!("stage {host}"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Staged {
            bytes_sent: 1,
            adopted: None,
        })
    }

    async fn switch(
        &self,
        host: &HostName,
        _: &Controller,
        switch: &Switch,
    ) -> Result<Started, HostError> {
        self.intended(host, &[ActionKind::Activate, ActionKind::Revert]);
        self.reached(host)?;
        let cut = self.hosts.lock().unwrap().get_mut(host).unwrap().cut.take();
        if let Some(Cut { after: false, away }) = cut {
            return Err(self.cut_off(host, away));
        }
        self.log(format!(
            "switch {host} to {}",
            switch.to.revision().map_or("nothing", |r| r.name.as_str())
        ));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let started = self.start(host, switch);
        match cut {
            Some(Cut { away, .. }) => Err(self.cut_off(host, away)),
            None => Ok(started),
        }
    }

    async fn confirm(
        &self,
        host: &HostName,
        _: &Controller,
        _: &Switch,
        _: &Started,
    ) -> Result<Confirmed, HostError> {
        self.intended(host, &[ActionKind::Confirm]);
        self.reached(host)?;
        self.log(format!("confirm {host}"));
        Ok(Confirmed {
            attestation: Attestation::RunningFile,
        })
    }

    async fn prune(
        &self,
        host: &HostName,
        _: &Controller,
        keep: &[RevisionName],
    ) -> Result<Vec<RevisionName>, HostError> {
        let keep: Vec<_> = keep.iter().map(RevisionName::as_str).collect();
        self.log(format!("prune {host} but {}", keep.join(" ")));
        Ok(Vec::new())
    }

    async fn units(&self, host: &HostName) -> Result<(BootId, Vec<UnitState>), HostError> {
        self.reached(host)?;
        let fake = self.host(host);
        Ok((BootId::new(fake.boot), Self::units_of(&fake)))
    }

    async fn run_check(
        &self,
        _: &HostName,
        _: &str,
        _: Duration,
    ) -> Result<(i32, String), HostError> {
        Ok((0, String::new()))
    }

    async fn journal(&self, host: &HostName, _: usize) -> Result<JournalExcerpt, HostError> {
        self.log(format!("journal {host}"));
        Ok(JournalExcerpt::Lines(vec!["panicked".into()]))
    }

    async fn dial(&self, _: &HostName, _: &str, _: u16) -> Result<Box<dyn Stream>, HostError> {
        Err(HostError {
            kind: HostErrorKind::Failed,
            message: "no".into(),
            hint: None,
        })
    }

    async fn close(&self, _: &HostName) {}
}

#[async_trait]
impl Prober for FakeFleet {
    async fn probe(&self, host: &HostName, expect: Option<&RevisionName>) -> ProbeAnswer {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let fake = self.host(host);
        let up = fake
            .started_at
            .is_none_or(|at| at.elapsed() >= Duration::from_secs(1));
        let right = expect.is_none_or(|name| fake.runs.revision().is_some_and(|r| &r.name == name));
        ProbeAnswer {
            passed: Some(up && right && !fake.sick),
            shown: "GET / answered".into(),
            stored: "GET / answered".into(),
            latency: Duration::from_millis(5),
        }
    }
}

/// A ledger in memory that refuses to write from the `fails_at`-th event on.
pub(super) struct FakeLedger {
    pub(super) events: Mutex<Vec<RecordedEvent>>,
    pub(super) fails_at: AtomicUsize,
    pub(super) lease_lost_after: Mutex<Option<usize>>,
    pub(super) renewals: AtomicUsize,
    pub(super) requests: Mutex<Vec<Request>>,
}

impl Default for FakeLedger {
    fn default() -> Self {
        Self {
            events: Mutex::default(),
            fails_at: AtomicUsize::new(usize::MAX),
            lease_lost_after: Mutex::default(),
            renewals: AtomicUsize::new(0),
            requests: Mutex::default(),
        }
    }
}

impl FakeLedger {
    /// Asks the driver for something, as another command does; the request's number.
    pub(super) fn ask(&self, service: &ServiceName, kind: RequestKind) -> i64 {
        let mut requests = self.requests.lock().unwrap();
        let id = i64::try_from(requests.len()).unwrap() + 1;
        requests.push(Request {
            id,
            service: service.clone(),
            kind,
            by: "bert@server".into(),
            at: Timestamp::from_millis(1_000_000),
            answer: None,
        });
        id
    }

    /// What became of a request; nothing while it is open.
    pub(super) fn answer_to(&self, request: i64) -> Option<Answer> {
        let requests = self.requests.lock().unwrap();
        requests.iter().find(|r| r.id == request)?.answer.clone()
    }

    fn close(&self, request: i64, answer: Answer) -> bool {
        let mut requests = self.requests.lock().unwrap();
        let open = requests
            .iter_mut()
            .find(|r| r.id == request && r.answer.is_none());
        open.map(|r| r.answer = Some(answer)).is_some()
    }
}

fn broken() -> LedgerError {
    LedgerError::Database {
        location: "memory".into(),
        doing: "writing",
        source: "disk full".into(),
    }
}

#[async_trait]
impl Ledger for FakeLedger {
    fn id(&self) -> LedgerId {
        LedgerId::new("ledger")
    }

    async fn record_revision(&self, _: &NewRevision) -> Result<Revision, LedgerError> {
        Err(broken())
    }

    async fn revisions(&self, _: &ServiceName) -> Result<Vec<Revision>, LedgerError> {
        Ok(Vec::new())
    }

    async fn begin_rollout(
        &self,
        lease: &Lease,
        at: Timestamp,
        first: &Event,
    ) -> Result<RecordedEvent, LedgerError> {
        self.append(lease, RolloutId(1), at, first).await
    }

    async fn append(
        &self,
        _: &Lease,
        rollout: RolloutId,
        at: Timestamp,
        event: &Event,
    ) -> Result<RecordedEvent, LedgerError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut events = self.events.lock().unwrap();
        let seq = events.len() + 1;
        if seq >= self.fails_at.load(Ordering::SeqCst) {
            return Err(broken());
        }
        let recorded = RecordedEvent {
            rollout,
            seq: u64::try_from(seq).unwrap(),
            at,
            event: event.clone(),
            hash: format!("hash-{seq}"),
        };
        events.push(recorded.clone());
        Ok(recorded)
    }

    async fn rollouts(&self, _: &ServiceName, _: usize) -> Result<Vec<RolloutRecord>, LedgerError> {
        Ok(Vec::new())
    }

    async fn rollout(&self, _: RolloutId) -> Result<Option<RolloutRecord>, LedgerError> {
        Ok(None)
    }

    async fn events(&self, _: RolloutId, _: u64) -> Result<Vec<RecordedEvent>, LedgerError> {
        Ok(self.events.lock().unwrap().clone())
    }

    async fn record_instances(
        &self,
        _: &ServiceName,
        _: &[InstanceRecord],
    ) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn instances(&self, _: &ServiceName) -> Result<Vec<InstanceRecord>, LedgerError> {
        Ok(Vec::new())
    }

    async fn acquire(&self, _: &ServiceName, _: &Holder, _: bool) -> Result<Lease, LedgerError> {
        Err(broken())
    }

    async fn renew(&self, lease: &Lease) -> Result<(), LedgerError> {
        let renewals = self.renewals.fetch_add(1, Ordering::SeqCst);
        match *self.lease_lost_after.lock().unwrap() {
            Some(limit) if renewals >= limit => Err(LedgerError::LeaseLost {
                service: lease.service.clone(),
                reason: "taken over".into(),
            }),
            _ => Ok(()),
        }
    }

    async fn release(&self, _: &Lease) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn holder(&self, _: &ServiceName) -> Result<Option<LiveHolder>, LedgerError> {
        Ok(None)
    }

    async fn raise_epoch(&self, lease: &Lease, seen: Epoch) -> Result<Lease, LedgerError> {
        Ok(Lease {
            epoch: Epoch(lease.epoch.max(seen).0 + 1),
            ..lease.clone()
        })
    }

    async fn request(
        &self,
        service: &ServiceName,
        kind: RequestKind,
        _: &str,
        _: Timestamp,
    ) -> Result<i64, LedgerError> {
        Ok(self.ask(service, kind))
    }

    async fn open_requests(&self, lease: &Lease) -> Result<Vec<Request>, LedgerError> {
        let requests = self.requests.lock().unwrap();
        let open = requests
            .iter()
            .filter(|r| r.service == lease.service && r.answer.is_none());
        Ok(open.cloned().collect())
    }

    async fn answer(
        &self,
        _: &Lease,
        request: i64,
        _: Timestamp,
        answer: &Answer,
    ) -> Result<bool, LedgerError> {
        Ok(self.close(request, answer.clone()))
    }

    async fn find_request(&self, request: i64) -> Result<Option<Request>, LedgerError> {
        let requests = self.requests.lock().unwrap();
        Ok(requests.iter().find(|r| r.id == request).cloned())
    }

    async fn withdraw(&self, request: i64) -> Result<bool, LedgerError> {
        let reason = "it was withdrawn".into();
        Ok(self.close(request, Answer::Refused { reason }))
    }
}

/// Listens.
#[derive(Default)]
pub(super) struct FakeReporter {
    pub(super) diagnoses: Mutex<Vec<HostName>>,
}

impl Reporter for FakeReporter {
    fn event(&self, _: &RecordedEvent, _: &RolloutState) {}

    fn waiting(&self, _: &RolloutState, _: &Decision) {}

    fn progress(&self, progress: &Progress) {
        if let Progress::Diagnosis { host, .. } = progress {
            self.diagnoses.lock().unwrap().push(host.clone());
        }
    }
}
