//! The ledger in a SQLite file.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sqlx::AnyConnection;
use sqlx::Connection;
use tokio::sync::Mutex;

use super::chain::{Chain, Chained};
use super::fault::Fault;
use super::here::Here;
use super::open::writable;
use super::{
    migrate, sql_events, sql_holds, sql_leases, sql_requests, sql_revisions, sql_rollouts,
};
use crate::core::event::{Event, RecordedEvent};
use crate::core::hold::{Hold, Remark};
use crate::core::ids::{Epoch, LedgerId, RolloutId, ServiceName};
use crate::core::revision::Revision;
use crate::core::time::Timestamp;
use crate::ports::{
    Answer, Holder, InstanceRecord, Lease, Ledger, LedgerError, LiveHolder, NewRevision, Request,
    RequestKind, RolloutRecord,
};

/// Takes SQLite's one write lock at once, so that what is read inside cannot change before it is written.
/// (PostgreSQL: `BEGIN`, then a lock on the service.)
pub(crate) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// The ledger of one machine, in one file, over one connection. See [`super::open()`].
#[derive(Debug)]
pub struct SqliteLedger {
    /// One for all: SQLite has one writer anyway, and no timer of a pool gets into the way of tests that stop time.
    connection: Mutex<AnyConnection>,
    path: PathBuf,
    location: String,
    id: LedgerId,
    here: Here,
}

/// Runs an expression inside a write transaction: either all of it is on the disk afterwards, or nothing.
macro_rules! written {
    ($ledger:ident, $doing:literal, |$transaction:ident| $work:expr) => {{
        let mut connection = $ledger.connection.lock().await;
        let done: Result<_, Fault> = async {
            $ledger.replace_stuck(&mut connection).await?;
            let mut transaction = connection.begin_with(BEGIN_WRITE).await?;
            let $transaction: &mut AnyConnection = &mut transaction;
            let result = $work.await?;
            transaction.commit().await?;
            Ok(result)
        }
        .await;
        done.map_err(|fault| fault.at(&$ledger.location, $doing))
    }};
}

/// Runs an expression that only reads, each statement by itself.
macro_rules! found {
    ($ledger:ident, $doing:literal, |$connection:ident| $work:expr) => {{
        let mut guard = $ledger.connection.lock().await;
        let $connection: &mut AnyConnection = &mut guard;
        let done: Result<_, Fault> = $work.await;
        done.map_err(|fault| fault.at(&$ledger.location, $doing))
    }};
}

impl SqliteLedger {
    /// The ledger behind a connection, whose schema is this rollctl's.
    pub(crate) async fn over(
        mut connection: AnyConnection,
        path: PathBuf,
        here: Here,
    ) -> Result<Self, LedgerError> {
        let location = path.display().to_string();
        let id = migrate::ledger_id(&mut connection)
            .await
            .map_err(|fault| fault.at(&location, "reading its identity"))?;
        Ok(Self {
            connection: Mutex::new(connection),
            path,
            location,
            id,
            here,
        })
    }

    /// SQLite itself rolls a transaction back when, for instance, the disk is full. sqlx's own `ROLLBACK` then fails,
    /// it counts the transaction as open for ever and begins no other on that connection.
    async fn replace_stuck(&self, connection: &mut AnyConnection) -> Result<(), Fault> {
        if connection.is_in_transaction() {
            // The roll-back of a call that was given up may only be on its way.
            connection.ping().await?;
        }
        if connection.is_in_transaction() {
            *connection = writable(&self.path).await?;
        }
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the file; the last process to do so tidies its `-wal` and `-shm` files away.
    ///
    /// # Errors
    /// `Database` when SQLite cannot; everything recorded is safe nevertheless.
    pub async fn close(self) -> Result<(), LedgerError> {
        let closed = self.connection.into_inner().close().await;
        closed.map_err(|error| Fault::from(error).at(&self.location, "closing it"))
    }

    /// For tests that make the database itself fail.
    #[cfg(test)]
    pub(crate) async fn run_sql(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        let mut connection = self.connection.lock().await;
        sqlx::raw_sql(sql).execute(&mut *connection).await?;
        Ok(())
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    fn id(&self) -> LedgerId {
        self.id.clone()
    }

    async fn record_revision(&self, revision: &NewRevision) -> Result<Revision, LedgerError> {
        written!(self, "recording a revision", |connection| {
            sql_revisions::record(connection, revision)
        })
    }

    async fn revisions(&self, service: &ServiceName) -> Result<Vec<Revision>, LedgerError> {
        found!(self, "reading revisions", |connection| sql_revisions::list(
            connection, service
        ))
    }

    async fn begin_rollout(
        &self,
        lease: &Lease,
        at: Timestamp,
        first: &Event,
    ) -> Result<RecordedEvent, LedgerError> {
        written!(self, "beginning a rollout", |connection| {
            sql_events::begin(connection, lease, at, first)
        })
    }

    async fn append_all(
        &self,
        lease: &Lease,
        rollout: RolloutId,
        events: &[(Timestamp, Event)],
    ) -> Result<Vec<RecordedEvent>, LedgerError> {
        written!(self, "appending an event", |connection| {
            sql_events::append(connection, lease, rollout, events)
        })
    }

    async fn rollouts(
        &self,
        service: &ServiceName,
        limit: usize,
    ) -> Result<Vec<RolloutRecord>, LedgerError> {
        found!(self, "reading rollouts", |connection| {
            sql_rollouts::list(connection, service, limit, &self.here)
        })
    }

    async fn rollout(&self, rollout: RolloutId) -> Result<Option<RolloutRecord>, LedgerError> {
        found!(self, "reading a rollout", |connection| {
            sql_rollouts::listed(connection, rollout, &self.here)
        })
    }

    async fn events(
        &self,
        rollout: RolloutId,
        after: u64,
    ) -> Result<Vec<RecordedEvent>, LedgerError> {
        found!(self, "reading events", |connection| {
            sql_events::list(connection, rollout, after)
        })
    }

    async fn record_instances(
        &self,
        service: &ServiceName,
        seen: &[InstanceRecord],
    ) -> Result<(), LedgerError> {
        written!(self, "recording instances", |connection| {
            sql_rollouts::record_instances(connection, service, seen)
        })
    }

    async fn instances(&self, service: &ServiceName) -> Result<Vec<InstanceRecord>, LedgerError> {
        found!(self, "reading instances", |connection| {
            sql_rollouts::instances(connection, service)
        })
    }

    async fn acquire(
        &self,
        service: &ServiceName,
        holder: &Holder,
        take_over: bool,
    ) -> Result<Lease, LedgerError> {
        written!(self, "taking a lease", |connection| {
            sql_leases::acquire(connection, service, holder, take_over, &self.here)
        })
    }

    async fn renew(&self, lease: &Lease) -> Result<(), LedgerError> {
        written!(self, "renewing a lease", |connection| {
            sql_leases::renew(connection, lease, &self.here)
        })
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        written!(self, "giving a lease back", |connection| {
            sql_leases::release(connection, lease, &self.here)
        })
    }

    async fn holder(&self, service: &ServiceName) -> Result<Option<LiveHolder>, LedgerError> {
        found!(self, "reading a lease", |connection| {
            sql_leases::holder(connection, service, &self.here)
        })
    }

    async fn raise_epoch(&self, lease: &Lease, seen: Epoch) -> Result<Lease, LedgerError> {
        written!(self, "raising the epoch of a lease", |connection| {
            sql_leases::raise(connection, lease, seen, &self.here)
        })
    }

    async fn request(
        &self,
        service: &ServiceName,
        kind: RequestKind,
        by: &str,
        at: Timestamp,
    ) -> Result<i64, LedgerError> {
        written!(self, "recording a request", |connection| {
            sql_requests::insert(connection, service, kind, by, at)
        })
    }

    async fn open_requests(&self, lease: &Lease) -> Result<Vec<Request>, LedgerError> {
        found!(self, "reading requests", |connection| {
            sql_requests::open(connection, lease)
        })
    }

    async fn answer(
        &self,
        lease: &Lease,
        request: i64,
        at: Timestamp,
        answer: &Answer,
    ) -> Result<bool, LedgerError> {
        written!(self, "answering a request", |connection| {
            sql_requests::answer(connection, lease, request, at, answer)
        })
    }

    async fn find_request(&self, request: i64) -> Result<Option<Request>, LedgerError> {
        found!(self, "reading a request", |connection| {
            sql_requests::find(connection, request)
        })
    }

    async fn withdraw(&self, request: i64) -> Result<bool, LedgerError> {
        written!(self, "withdrawing a request", |connection| {
            sql_requests::withdraw(connection, request, self.here.now())
        })
    }

    async fn hold(&self, service: &ServiceName, said: &Remark) -> Result<bool, LedgerError> {
        written!(self, "holding a service", |connection| {
            sql_holds::place(connection, service, said)
        })
    }

    async fn unhold(&self, service: &ServiceName, said: &Remark) -> Result<bool, LedgerError> {
        written!(self, "lifting a hold", |connection| {
            sql_holds::lift(connection, service, said)
        })
    }

    async fn holds(&self, service: &ServiceName) -> Result<Vec<Hold>, LedgerError> {
        found!(self, "reading holds", |connection| {
            sql_holds::list(connection, service)
        })
    }
}

#[async_trait]
impl Chained for SqliteLedger {
    async fn verify_chain(&self, service: &ServiceName) -> Result<Chain, LedgerError> {
        found!(self, "verifying its chain", |connection| {
            sql_events::verify(connection, service)
        })
    }
}
