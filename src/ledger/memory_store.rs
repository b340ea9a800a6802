//! What the ledger in memory holds, and how it changes.

use std::collections::BTreeMap;

use super::chain::{NOTHING_BEFORE, canonical_body, hash};
use super::fault::{Fault, Misuse};
use super::here::Here;
use super::lease::LeaseRow;
use super::row::RolloutRow;
use super::{past, request};
use crate::core::event::{Event, RecordedEvent};
use crate::core::hold::Hold;
use crate::core::ids::{Epoch, HostName, RolloutId, ServiceName};
use crate::core::recall::Recalled;
use crate::core::revision::Revision;
use crate::core::time::Timestamp;
use crate::ports::{Answer, InstanceRecord, Lease, LedgerError, Request, RolloutRecord};

#[derive(Debug, Default)]
pub(crate) struct Store {
    /// Oldest first.
    pub(crate) revisions: BTreeMap<ServiceName, Vec<Revision>>,
    /// By number, from 1 without gaps.
    pub(crate) rollouts: Vec<RolloutRow>,
    /// Of all services, in the order in which they were written.
    pub(crate) events: Vec<(ServiceName, RecordedEvent)>,
    pub(crate) instances: BTreeMap<ServiceName, BTreeMap<HostName, InstanceRecord>>,
    pub(crate) leases: BTreeMap<ServiceName, LeaseRow>,
    /// Of all services, by number, from 1 without gaps.
    pub(crate) requests: Vec<Request>,
    /// Newest first.
    pub(crate) holds: BTreeMap<ServiceName, Vec<Hold>>,
}

impl Store {
    pub(crate) fn fenced(&self, lease: &Lease) -> Result<LeaseRow, LedgerError> {
        LeaseRow::fenced(self.leases.get(&lease.service).cloned(), lease)
    }

    pub(crate) fn find(&self, rollout: RolloutId) -> Option<&RolloutRow> {
        self.rollouts.iter().find(|row| row.record.id == rollout)
    }

    pub(crate) fn listed(&self, row: &RolloutRow, here: &Here) -> RolloutRecord {
        row.clone()
            .listed(self.leases.get(&row.record.service), here)
    }

    pub(crate) fn begin(
        &mut self,
        lease: &Lease,
        at: Timestamp,
        first: &Event,
    ) -> Result<RecordedEvent, Fault> {
        self.fenced(lease)?;
        let id = self.next_id();
        let new = RolloutRow::begun(id, lease, at, first)?;
        let unfinished: Vec<RolloutId> = self
            .rollouts
            .iter()
            .filter(|row| row.record.service == lease.service && row.is_unfinished())
            .map(|row| row.record.id)
            .collect();
        for old in unfinished {
            self.append(lease, old, at, &Event::RolloutSuperseded { by: id })?;
        }
        let recorded = self.link(&new, at, first)?;
        self.rollouts.push(new);
        Ok(recorded)
    }

    /// All or none: that they fit is looked at before the first is taken.
    pub(crate) fn append_all(
        &mut self,
        lease: &Lease,
        rollout: RolloutId,
        events: &[(Timestamp, Event)],
    ) -> Result<Vec<RecordedEvent>, Fault> {
        self.fenced(lease)?;
        let mut row = self.row(rollout)?.clone();
        for (at, event) in events {
            row = row.after(lease, *at, event)?;
        }
        let append = |(at, event): &(Timestamp, Event)| self.append(lease, rollout, *at, event);
        events.iter().map(append).collect()
    }

    fn row(&self, rollout: RolloutId) -> Result<&RolloutRow, Misuse> {
        self.find(rollout).ok_or(Misuse("there is no such rollout"))
    }

    fn append(
        &mut self,
        lease: &Lease,
        rollout: RolloutId,
        at: Timestamp,
        event: &Event,
    ) -> Result<RecordedEvent, Fault> {
        let after = self.row(rollout)?.clone().after(lease, at, event)?;
        let recorded = self.link(&after, at, event)?;
        if let Some(row) = self
            .rollouts
            .iter_mut()
            .find(|row| row.record.id == rollout)
        {
            *row = after;
        }
        Ok(recorded)
    }

    fn link(
        &mut self,
        row: &RolloutRow,
        at: Timestamp,
        event: &Event,
    ) -> Result<RecordedEvent, Fault> {
        let (rollout, service) = (row.record.id, &row.record.service);
        if let Some(answer) = request::voided_by(event) {
            self.close(|request| request.service == *service, &answer);
        }
        let previous = self
            .events
            .iter()
            .rfind(|(other, _)| other == service)
            .map_or(NOTHING_BEFORE, |(_, last)| last.hash.as_str());
        let last_seq = self
            .events
            .iter()
            .rfind(|(_, event)| event.rollout == rollout)
            .map_or(0, |(_, last)| last.seq);
        let body = canonical_body(event).map_err(|error| Fault::Damaged(error.to_string()))?;
        let recorded = RecordedEvent {
            rollout,
            seq: last_seq + 1,
            at,
            event: event.clone(),
            hash: hash(previous, rollout, last_seq + 1, at, &body),
        };
        self.events.push((service.clone(), recorded.clone()));
        Ok(recorded)
    }

    pub(crate) fn restore(&mut self, lease: &Lease, recalled: &Recalled) -> Result<(), Fault> {
        self.fenced(lease)?;
        let service = &lease.service;
        let known = self.revisions.get(service);
        let is_ours = |row: &RolloutRow| row.record.service == *service;
        if known.is_some_and(|known| !known.is_empty()) || self.rollouts.iter().any(is_ours) {
            return Err(Misuse("the ledger has a past of the service already").into());
        }
        let taken = self.rollouts.iter().map(|row| row.record.id).collect();
        let rows = past::rows(lease, recalled, &taken)?;
        let revisions = recalled.revisions.clone();
        self.revisions.insert(service.clone(), revisions);
        for (row, rollout) in rows {
            for (at, event) in &rollout.events {
                self.link(&row, *at, event)?;
            }
            self.rollouts.push(row);
        }
        Ok(())
    }

    fn next_id(&self) -> RolloutId {
        let ids = self.rollouts.iter().map(|row| row.record.id.0);
        RolloutId(ids.max().unwrap_or(0) + 1)
    }

    pub(crate) fn raise(
        &mut self,
        lease: &Lease,
        seen: Epoch,
        here: &Here,
    ) -> Result<Lease, Fault> {
        let row = self.fenced(lease)?.raised(seen, here)?;
        let epoch = row.epoch;
        self.leases.insert(lease.service.clone(), row);
        for rollout in self
            .rollouts
            .iter_mut()
            .filter(|row| row.record.service == lease.service && row.epoch == lease.epoch)
        {
            rollout.epoch = epoch;
        }
        Ok(Lease {
            service: lease.service.clone(),
            epoch,
        })
    }

    pub(crate) fn find_request(&self, request: i64) -> Option<&Request> {
        self.requests.iter().find(|found| found.id == request)
    }

    pub(crate) fn answer(
        &mut self,
        lease: &Lease,
        request: i64,
        answer: &Answer,
    ) -> Result<bool, Fault> {
        self.fenced(lease)?;
        if !request::is_open(self.find_request(request), lease)? {
            return Ok(false);
        }
        Ok(self.close(|found| found.id == request, answer))
    }

    /// Answers those that are open; whether any was.
    pub(crate) fn close(&mut self, which: impl Fn(&Request) -> bool, answer: &Answer) -> bool {
        let mut any = false;
        for request in &mut self.requests {
            if request.answer.is_none() && which(request) {
                request.answer = Some(answer.clone());
                any = true;
            }
        }
        any
    }
}
