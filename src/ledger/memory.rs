//! A ledger that forgets everything: for a past that is only looked at, and for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::chain::{Chain, Chained, Link, Visit, Walk, canonical_body};
use super::fault::Fault;
use super::here::Here;
use super::lease::LeaseRow;
use super::memory_store::Store;
use super::naming::Naming;
use super::request;
use super::row::RolloutRow;
use crate::core::event::{Event, RecordedEvent};
use crate::core::hold::{Hold, Remark, standing};
use crate::core::ids::{Epoch, HostName, LedgerId, RolloutId, ServiceName};
use crate::core::recall::Recalled;
use crate::core::revision::Revision;
use crate::core::time::Timestamp;
use crate::ports::{
    Answer, Holder, InstanceRecord, Lease, Ledger, LedgerError, LiveHolder, NewRevision, Request,
    RequestKind, RolloutRecord,
};

const LOCATION: &str = "in memory";

/// A ledger in memory. [`MemoryLedger::seen_from`] gives a second controller's view of the same one.
#[derive(Debug, Clone)]
pub struct MemoryLedger {
    store: Arc<Mutex<Store>>,
    id: LedgerId,
    here: Here,
}

impl MemoryLedger {
    /// An empty one.
    pub fn new(here: Here) -> Self {
        Self {
            store: Arc::default(),
            id: LedgerId::new(uuid::Uuid::new_v4().to_string()),
            here,
        }
    }

    /// The same ledger as another machine or process sees it.
    #[must_use]
    pub fn seen_from(&self, here: Here) -> Self {
        Self {
            here,
            ..self.clone()
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    fn id(&self) -> LedgerId {
        self.id.clone()
    }

    async fn record_revision(&self, revision: &NewRevision) -> Result<Revision, LedgerError> {
        let mut store = self.store();
        let known = store.revisions.entry(revision.service.clone()).or_default();
        let naming = Naming::of(revision, known)?;
        match &naming {
            Naming::Known(_) => {}
            Naming::Changed { revision, .. } => {
                for known in known
                    .iter_mut()
                    .filter(|known| known.number == revision.number)
                {
                    known.clone_from(revision);
                }
            }
            Naming::New(new) => known.push(new.clone()),
        }
        Ok(naming.into_revision())
    }

    async fn revisions(&self, service: &ServiceName) -> Result<Vec<Revision>, LedgerError> {
        let store = self.store();
        let known = store.revisions.get(service).into_iter().flatten();
        Ok(known.rev().cloned().collect())
    }

    async fn begin_rollout(
        &self,
        lease: &Lease,
        at: Timestamp,
        first: &Event,
    ) -> Result<RecordedEvent, LedgerError> {
        let begun = self.store().begin(lease, at, first);
        begun.map_err(|fault| fault.at(LOCATION, "beginning a rollout"))
    }

    async fn append_all(
        &self,
        lease: &Lease,
        rollout: RolloutId,
        events: &[(Timestamp, Event)],
    ) -> Result<Vec<RecordedEvent>, LedgerError> {
        let appended = self.store().append_all(lease, rollout, events);
        appended.map_err(|fault| fault.at(LOCATION, "appending an event"))
    }

    async fn rollouts(
        &self,
        service: &ServiceName,
        limit: usize,
    ) -> Result<Vec<RolloutRecord>, LedgerError> {
        let store = self.store();
        let rows = store.rollouts.iter().rev();
        let rows = rows.filter(|row| row.record.service == *service);
        Ok(rows
            .take(limit)
            .map(|row| store.listed(row, &self.here))
            .collect())
    }

    async fn rollout(&self, rollout: RolloutId) -> Result<Option<RolloutRecord>, LedgerError> {
        let store = self.store();
        Ok(store.find(rollout).map(|row| store.listed(row, &self.here)))
    }

    async fn events(
        &self,
        rollout: RolloutId,
        after: u64,
    ) -> Result<Vec<RecordedEvent>, LedgerError> {
        let store = self.store();
        let events = store.events.iter().map(|(_, event)| event);
        Ok(events
            .filter(|event| event.rollout == rollout && event.seq > after)
            .cloned()
            .collect())
    }

    async fn record_instances(
        &self,
        service: &ServiceName,
        seen: &[InstanceRecord],
    ) -> Result<(), LedgerError> {
        let mut store = self.store();
        let known = store.instances.entry(service.clone()).or_default();
        known.extend(seen.iter().map(|seen| (seen.host.clone(), seen.clone())));
        Ok(())
    }

    async fn instances(&self, service: &ServiceName) -> Result<Vec<InstanceRecord>, LedgerError> {
        let store = self.store();
        let known = store.instances.get(service);
        Ok(known
            .into_iter()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect())
    }

    async fn acquire(
        &self,
        service: &ServiceName,
        holder: &Holder,
        take_over: bool,
    ) -> Result<Lease, LedgerError> {
        let mut store = self.store();
        let current = store.leases.get(service);
        let row = LeaseRow::taken(current, service, holder, take_over, &self.here)?;
        let epoch = row.epoch;
        store.leases.insert(service.clone(), row);
        Ok(Lease {
            service: service.clone(),
            epoch,
        })
    }

    async fn renew(&self, lease: &Lease) -> Result<(), LedgerError> {
        let mut store = self.store();
        let row = store.fenced(lease)?.renewed(&self.here);
        store.leases.insert(lease.service.clone(), row);
        Ok(())
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        let mut store = self.store();
        let row = store.fenced(lease)?.given_back(&self.here);
        store.leases.insert(lease.service.clone(), row);
        Ok(())
    }

    async fn holder(&self, service: &ServiceName) -> Result<Option<LiveHolder>, LedgerError> {
        let store = self.store();
        let row = store.leases.get(service);
        Ok(row.and_then(|row| row.live(&self.here)))
    }

    async fn raise_epoch(&self, lease: &Lease, seen: Epoch) -> Result<Lease, LedgerError> {
        let raised = self.store().raise(lease, seen, &self.here);
        raised.map_err(|fault| fault.at(LOCATION, "raising the epoch of a lease"))
    }

    async fn request(
        &self,
        service: &ServiceName,
        kind: RequestKind,
        by: &str,
        at: Timestamp,
    ) -> Result<i64, LedgerError> {
        let mut store = self.store();
        let id = store.requests.last().map_or(0, |last| last.id) + 1;
        store.requests.push(Request {
            id,
            service: service.clone(),
            kind,
            by: by.to_owned(),
            at,
            answer: None,
        });
        Ok(id)
    }

    async fn open_requests(&self, lease: &Lease) -> Result<Vec<Request>, LedgerError> {
        let store = self.store();
        store.fenced(lease)?;
        let requests = store.requests.iter();
        Ok(requests
            .filter(|request| request.service == lease.service && request.answer.is_none())
            .cloned()
            .collect())
    }

    async fn answer(
        &self,
        lease: &Lease,
        request: i64,
        _: Timestamp,
        answer: &Answer,
    ) -> Result<bool, LedgerError> {
        let answered = self.store().answer(lease, request, answer);
        answered.map_err(|fault| fault.at(LOCATION, "answering a request"))
    }

    async fn find_request(&self, request: i64) -> Result<Option<Request>, LedgerError> {
        Ok(self.store().find_request(request).cloned())
    }

    async fn withdraw(&self, request: i64) -> Result<bool, LedgerError> {
        let mut store = self.store();
        Ok(store.close(|found| found.id == request, &request::withdrawn()))
    }

    async fn hold(&self, service: &ServiceName, said: &Remark) -> Result<bool, LedgerError> {
        let mut store = self.store();
        let holds = store.holds.entry(service.clone()).or_default();
        let is_new = standing(holds).is_none();
        if is_new {
            let hold = Hold {
                placed: said.clone(),
                lifted: None,
            };
            holds.insert(0, hold);
        }
        Ok(is_new)
    }

    async fn unhold(&self, service: &ServiceName, said: &Remark) -> Result<bool, LedgerError> {
        let mut store = self.store();
        let holds = store.holds.entry(service.clone()).or_default();
        let stands = holds.iter_mut().find(|hold| hold.lifted.is_none());
        Ok(stands
            .map(|hold| hold.lifted = Some(said.clone()))
            .is_some())
    }

    async fn holds(&self, service: &ServiceName) -> Result<Vec<Hold>, LedgerError> {
        Ok(self.store().holds.get(service).cloned().unwrap_or_default())
    }
}

#[async_trait]
impl Chained for MemoryLedger {
    async fn audit(&self, service: &ServiceName, visit: Visit<'_>) -> Result<Chain, LedgerError> {
        let store = self.store();
        let mut walk = Walk::new(service);
        for (_, event) in store.events.iter().filter(|(of, _)| of == service) {
            let body = canonical_body(&event.event)
                .map_err(|error| Fault::Damaged(error.to_string()).at(LOCATION, "verifying"))?;
            let link = Link {
                rollout: event.rollout,
                seq: event.seq,
                at: event.at,
                body,
                hash: event.hash.clone(),
                columns: None,
            };
            match walk.step(&link) {
                Ok(event) => visit(&event),
                Err(broken) => return Ok(broken),
            }
        }
        let of_service = |row: &&RolloutRow| row.record.service == *service;
        let listed: Vec<_> = (store.rollouts.iter().filter(of_service).cloned()).collect();
        Ok(walk.end(&listed))
    }

    async fn host_events(
        &self,
        service: &ServiceName,
        host: &HostName,
    ) -> Result<Vec<RecordedEvent>, LedgerError> {
        let store = self.store();
        let events = store.events.iter().filter(|(of, _)| of == service);
        let about = |event: &&RecordedEvent| event.event.host().is_none_or(|of| of == host);
        Ok((events.map(|(_, event)| event).filter(about).cloned()).collect())
    }

    async fn services(&self) -> Result<Vec<ServiceName>, LedgerError> {
        let store = self.store();
        let rolled = store.rollouts.iter().map(|row| &row.record.service);
        let all: BTreeSet<_> = store.revisions.keys().chain(rolled).cloned().collect();
        Ok(all.into_iter().collect())
    }

    async fn restore(&self, lease: &Lease, past: &Recalled) -> Result<(), LedgerError> {
        let restored = self.store().restore(lease, past);
        restored.map_err(|fault| fault.at(LOCATION, "taking in what was read back"))
    }
}
