//! A ledger in memory that can fail, and be asked for something by other commands.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::core::event::{Event, RecordedEvent};
use crate::core::hold::{Hold, Remark};
use crate::core::ids::*;
use crate::core::revision::Revision;
use crate::core::time::Timestamp;
use crate::ports::*;

/// A ledger in memory that refuses to write from the `fails_at`-th event on.
pub(in crate::driver) struct FakeLedger {
    pub(in crate::driver) events: Mutex<Vec<RecordedEvent>>,
    pub(in crate::driver) fails_at: AtomicUsize,
    pub(in crate::driver) lease_lost_after: Mutex<Option<usize>>,
    pub(in crate::driver) renewals: AtomicUsize,
    pub(in crate::driver) requests: Mutex<Vec<Request>>,
    /// How long it goes away when that event is to be written, and whether that and those with it are written then.
    pub(in crate::driver) goes_away: Mutex<Option<(usize, Duration, bool)>>,
    away_until: Mutex<Option<Instant>>,
    doubts: Mutex<bool>,
}

impl Default for FakeLedger {
    fn default() -> Self {
        Self {
            events: Mutex::default(),
            fails_at: AtomicUsize::new(usize::MAX),
            lease_lost_after: Mutex::default(),
            renewals: AtomicUsize::new(0),
            requests: Mutex::default(),
            goes_away: Mutex::default(),
            away_until: Mutex::default(),
            doubts: Mutex::default(),
        }
    }
}

impl FakeLedger {
    /// Asks the driver for something, as another command does; the request's number.
    pub(in crate::driver) fn ask(&self, service: &ServiceName, kind: RequestKind) -> i64 {
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
    pub(in crate::driver) fn answer_to(&self, request: i64) -> Option<Answer> {
        let requests = self.requests.lock().unwrap();
        requests.iter().find(|r| r.id == request)?.answer.clone()
    }

    /// An error while it is away.
    pub(in crate::driver) fn answers(&self) -> Result<(), LedgerError> {
        let until = *self.away_until.lock().unwrap();
        match until.is_some_and(|until| Instant::now() < until) {
            true => Err(away()),
            false => Ok(()),
        }
    }

    /// Goes away now, if it is to do so at that event; whether the events are written nevertheless.
    fn leaves_at(&self, event: usize) -> Option<bool> {
        let mut goes_away = self.goes_away.lock().unwrap();
        let (_, time, writes) = goes_away.take_if(|(at, ..)| event >= *at)?;
        *self.away_until.lock().unwrap() = Some(Instant::now() + time);
        Some(writes)
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

fn away() -> LedgerError {
    LedgerError::Away {
        location: "memory".into(),
        problem: "it does not answer".into(),
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

    async fn append_all(
        &self,
        _: &Lease,
        rollout: RolloutId,
        events: &[(Timestamp, Event)],
    ) -> Result<Vec<RecordedEvent>, LedgerError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.answers()?;
        let mut written = self.events.lock().unwrap();
        // In doubt it knows what it has written already, as the contract of `Away` says.
        let after = written.len().saturating_sub(events.len());
        let same = |(one, (at, event)): (&RecordedEvent, &(Timestamp, Event))| {
            (&one.at, &one.event) == (at, event)
        };
        if std::mem::take(&mut *self.doubts.lock().unwrap())
            && written[after..].iter().zip(events).all(same)
        {
            return Ok(written[after..].to_vec());
        }
        let before = written.len();
        let leaves = self.leaves_at(before + events.len());
        if leaves == Some(false) {
            return Err(away());
        }
        if before + events.len() >= self.fails_at.load(Ordering::SeqCst) {
            return Err(broken());
        }
        written.extend(
            (before + 1..)
                .zip(events)
                .map(|(seq, (at, event))| RecordedEvent {
                    rollout,
                    seq: u64::try_from(seq).unwrap(),
                    at: *at,
                    event: event.clone(),
                    hash: format!("hash-{seq}"),
                }),
        );
        if leaves == Some(true) {
            *self.doubts.lock().unwrap() = true;
            return Err(away());
        }
        Ok(written[before..].to_vec())
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
        self.answers()?;
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
        self.answers()?;
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
        self.answers()?;
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

    async fn hold(&self, _: &ServiceName, _: &Remark) -> Result<bool, LedgerError> {
        Err(broken())
    }

    async fn unhold(&self, _: &ServiceName, _: &Remark) -> Result<bool, LedgerError> {
        Err(broken())
    }

    async fn holds(&self, _: &ServiceName) -> Result<Vec<Hold>, LedgerError> {
        Ok(Vec::new())
    }
}
