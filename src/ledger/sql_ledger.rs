//! The ledger in a database, whichever it is.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::AnyConnection;
use sqlx::Connection;
use tokio::sync::Mutex;

use super::chain::{Chain, Chained, Visit};
use super::database::Database;
use super::doubt::{Doubt, Doubts};
use super::fault::Fault;
use super::here::Here;
use super::{
    migrate, sql_books, sql_events, sql_holds, sql_leases, sql_requests, sql_revisions,
    sql_rollouts,
};
use crate::core::event::{Event, RecordedEvent};
use crate::core::hold::{Hold, Remark};
use crate::core::ids::{Epoch, HostName, LedgerId, RolloutId, ServiceName};
use crate::core::recall::Recalled;
use crate::core::revision::Revision;
use crate::core::time::Timestamp;
use crate::ports::{
    Answer, Holder, InstanceRecord, Lease, Ledger, LedgerError, LiveHolder, NewRevision, News,
    Request, RequestKind, RolloutRecord,
};

/// How long a server may take for what is a few rows: the lease's renewal waits behind it.
const SOON: Duration = Duration::from_secs(5);

/// How long it may take for all events of a rollout.
const IN_THE_END: Duration = Duration::from_secs(60);

/// How long it may take to read the whole ledger.
const ALL_OF_IT: Duration = Duration::from_secs(6 * 60 * 60);

/// A ledger in SQLite or PostgreSQL, over one connection. See [`super::open()`].
#[derive(Debug)]
pub struct SqlLedger {
    /// One for all: there is one writer anyway, and no timer of a pool gets into the way of tests that stop time.
    /// Nothing while it is in use, or after it was lost: the next call makes another.
    connection: Mutex<Option<AnyConnection>>,
    database: Database,
    id: LedgerId,
    here: Here,
    doubts: Doubts,
}

/// Runs an expression inside a write transaction: either all of it is on the disk afterwards, or nothing. On a connection
/// that turns out to be dead it is run once more, unless it may have been committed.
macro_rules! written {
    ($ledger:ident, $doing:literal, |$transaction:ident| $work:expr) => {
        written!($ledger, $doing, SOON, |$transaction, _here| $work)
    };
    ($ledger:ident, $doing:literal, |$transaction:ident, $here:ident| $work:expr) => {
        written!($ledger, $doing, SOON, |$transaction, $here| $work)
    };
    ($ledger:ident, $doing:literal, $patience:ident, |$transaction:ident, $here:ident| $work:expr) => {{
        let mut slot = $ledger.connection.lock().await;
        loop {
            let was_idle = slot.is_some();
            let mut committing = false;
            let done = $ledger
                .within($patience, async {
                    let mut connection = $ledger.take(&mut slot).await?;
                    let mut transaction = connection
                        .begin_with($ledger.database.begin_write())
                        .await?;
                    let done: Result<_, Fault> = async {
                        let $transaction: &mut AnyConnection = &mut transaction;
                        let $here = &$ledger.database.here($transaction, &$ledger.here).await?;
                        $work.await
                    }
                    .await;
                    match &done {
                        Ok(_) => {
                            committing = true;
                            transaction.commit().await?;
                        }
                        // It ends with its connection.
                        Err(fault) if fault.is_databases() => drop(transaction),
                        // At once: a roll-back that is left to the next call would keep the lock until then.
                        Err(_) => transaction.rollback().await?,
                    }
                    $ledger.give_back(&mut slot, connection, &done);
                    done
                })
                .await;
            match done {
                Err(fault) if was_idle && !committing && $ledger.database.has_lost(&fault) => {}
                done => break done.map_err(|fault| $ledger.database.error(fault, $doing)),
            }
        }
    }};
}

/// Runs an expression that only reads, each statement by itself.
macro_rules! found {
    ($ledger:ident, $doing:literal, |$connection:ident| $work:expr) => {
        found!($ledger, $doing, IN_THE_END, |$connection, _here| $work)
    };
    ($ledger:ident, $doing:literal, $patience:ident, |$connection:ident| $work:expr) => {
        found!($ledger, $doing, $patience, |$connection, _here| $work)
    };
    ($ledger:ident, $doing:literal, $patience:ident, |$connection:ident, $here:ident| $work:expr) => {{
        let mut slot = $ledger.connection.lock().await;
        loop {
            let was_idle = slot.is_some();
            let done = $ledger
                .within($patience, async {
                    let mut taken = $ledger.take(&mut slot).await?;
                    let done: Result<_, Fault> = async {
                        let $connection: &mut AnyConnection = &mut taken;
                        let $here = &$ledger.database.here($connection, &$ledger.here).await?;
                        $work.await
                    }
                    .await;
                    $ledger.give_back(&mut slot, taken, &done);
                    done
                })
                .await;
            match done {
                Err(fault) if was_idle && $ledger.database.has_lost(&fault) => {}
                done => break done.map_err(|fault| $ledger.database.error(fault, $doing)),
            }
        }
    }};
}

impl SqlLedger {
    /// The ledger behind a connection, whose schema is this rollctl's.
    pub(crate) async fn over(
        mut connection: AnyConnection,
        database: Database,
        here: Here,
    ) -> Result<Self, LedgerError> {
        let id = migrate::ledger_id(&mut connection)
            .await
            .map_err(|fault| database.error(fault, "reading its identity"))?;
        Ok(Self {
            connection: Mutex::new(Some(connection)),
            database,
            id,
            here,
            doubts: Doubts::default(),
        })
    }

    /// The connection, or a new one. Whoever is given up midway takes it along: what it was doing ends with it.
    async fn take(&self, slot: &mut Option<AnyConnection>) -> Result<AnyConnection, Fault> {
        match slot.take() {
            Some(connection) => Ok(connection),
            None => self.database.connect().await,
        }
    }

    /// Keeps it for the next call, if the database itself had nothing to say against this one. Else nobody knows in which
    /// state it is: SQLite, for instance, rolls back by itself when the disk is full, and sqlx then counts that transaction
    /// as open for ever.
    fn give_back<T>(
        &self,
        slot: &mut Option<AnyConnection>,
        connection: AnyConnection,
        done: &Result<T, Fault>,
    ) {
        if !done.as_ref().is_err_and(Fault::is_databases) {
            *slot = Some(connection);
        }
    }

    /// The result of something, unless that takes too long.
    async fn within<T>(
        &self,
        usual: Duration,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        match self.database.patience(usual) {
            None => work.await,
            Some(patience) => tokio::time::timeout(patience, work)
                .await
                .unwrap_or(Err(Fault::NoAnswer)),
        }
    }

    /// The file, of a ledger in one.
    pub fn path(&self) -> Option<&Path> {
        match &self.database {
            Database::Sqlite(file) => Some(&file.path),
            Database::Postgres(_) => None,
        }
    }

    /// Closes it; of a file the last process to do so tidies its `-wal` and `-shm` away.
    ///
    /// # Errors
    /// `Database` when it cannot; everything recorded is safe nevertheless.
    pub async fn close(self) -> Result<(), LedgerError> {
        let Some(connection) = self.connection.into_inner() else {
            return Ok(());
        };
        let closed = connection.close().await;
        closed.map_err(|error| self.database.error(error.into(), "closing it"))
    }

    /// The first number in the order of all its events that none has; nothing: none is missing in between.
    ///
    /// # Errors
    /// `Database` when it cannot be read.
    pub async fn gap(&self) -> Result<Option<i64>, LedgerError> {
        found!(self, "counting its events", ALL_OF_IT, |connection| {
            sql_books::gap(connection)
        })
    }

    /// Gives every row of every table to `write`, in an order that does not change.
    ///
    /// # Errors
    /// `Database` when it cannot be read; what `write` says.
    pub async fn export(
        &self,
        write: &mut (dyn FnMut(&serde_json::Value) -> std::io::Result<()> + Send),
    ) -> Result<(), LedgerError> {
        // What was written is not written again, should the connection be lost.
        let mut written = 0_u64;
        found!(self, "exporting it", ALL_OF_IT, |connection| async {
            let mut seen = 0_u64;
            let mut row = |value: &serde_json::Value| {
                seen += 1;
                if seen <= written {
                    return Ok(());
                }
                written = seen;
                write(value).map_err(Fault::Output)
            };
            sql_books::export(connection, &mut row).await
        })
    }

    /// For tests that make the database itself fail.
    #[cfg(test)]
    pub(crate) async fn run_sql(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        let mut slot = self.connection.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.database.connect().await.unwrap(),
        };
        let done = sqlx::raw_sql(sql).execute(&mut connection).await;
        *slot = Some(connection);
        done.map(drop)
    }
}

#[async_trait]
impl Ledger for SqlLedger {
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
        let doubt = self.doubts.take().is_about_begin(lease);
        let begun = written!(self, "beginning a rollout", |connection| {
            sql_events::begin(connection, lease, at, first, doubt)
        });
        self.doubts.keep(&begun, Doubt::Begin(lease.clone()));
        begun
    }

    async fn append_all(
        &self,
        lease: &Lease,
        rollout: RolloutId,
        events: &[(Timestamp, Event)],
    ) -> Result<Vec<RecordedEvent>, LedgerError> {
        let doubt = self.doubts.take().after(rollout);
        let mut after = doubt;
        let appended = written!(self, "appending an event", |connection| async {
            let appended = sql_events::append(connection, lease, rollout, events, doubt).await?;
            after = appended.first().map(|first| first.seq.saturating_sub(1));
            Ok(appended)
        });
        if let Some(after) = after {
            self.doubts
                .keep(&appended, Doubt::Append { rollout, after });
        }
        appended
    }

    async fn rollouts(
        &self,
        service: &ServiceName,
        limit: usize,
    ) -> Result<Vec<RolloutRecord>, LedgerError> {
        found!(self, "reading rollouts", IN_THE_END, |connection, here| {
            sql_rollouts::list(connection, service, limit, here)
        })
    }

    async fn rollout(&self, rollout: RolloutId) -> Result<Option<RolloutRecord>, LedgerError> {
        found!(self, "reading a rollout", SOON, |connection, here| {
            sql_rollouts::listed(connection, rollout, here)
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
        written!(self, "taking a lease", |connection, here| {
            sql_leases::acquire(connection, service, holder, take_over, here)
        })
    }

    async fn renew(&self, lease: &Lease) -> Result<(), LedgerError> {
        written!(self, "renewing a lease", |connection, here| {
            sql_leases::renew(connection, lease, here)
        })
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        written!(self, "giving a lease back", |connection, here| {
            sql_leases::release(connection, lease, here)
        })
    }

    async fn holder(&self, service: &ServiceName) -> Result<Option<LiveHolder>, LedgerError> {
        found!(self, "reading a lease", SOON, |connection, here| {
            sql_leases::holder(connection, service, here)
        })
    }

    async fn raise_epoch(&self, lease: &Lease, seen: Epoch) -> Result<Lease, LedgerError> {
        written!(self, "raising the epoch of a lease", |connection, here| {
            sql_leases::raise(connection, lease, seen, here)
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
        found!(self, "reading requests", SOON, |connection| {
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
        found!(self, "reading a request", SOON, |connection| {
            sql_requests::find(connection, request)
        })
    }

    async fn wait_for(&self, news: News, at_most: Duration) {
        match &self.database {
            Database::Sqlite(_) => tokio::time::sleep(at_most).await,
            Database::Postgres(server) => server.wait_for(news, at_most).await,
        }
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
        found!(self, "reading holds", SOON, |connection| {
            sql_holds::list(connection, service)
        })
    }
}

#[async_trait]
impl Chained for SqlLedger {
    async fn audit(&self, service: &ServiceName, visit: Visit<'_>) -> Result<Chain, LedgerError> {
        found!(self, "verifying its chain", ALL_OF_IT, |connection| {
            sql_events::audit(connection, service, &mut *visit)
        })
    }

    async fn host_events(
        &self,
        service: &ServiceName,
        host: &HostName,
    ) -> Result<Vec<RecordedEvent>, LedgerError> {
        found!(self, "reading the events of a host", |connection| {
            sql_events::of_host(connection, service, host)
        })
    }

    async fn services(&self) -> Result<Vec<ServiceName>, LedgerError> {
        found!(self, "listing its services", |connection| {
            sql_books::services(connection)
        })
    }

    async fn restore(&self, lease: &Lease, past: &Recalled) -> Result<(), LedgerError> {
        written!(
            self,
            "taking in what was read back",
            IN_THE_END,
            |connection, _here| sql_books::restore(connection, lease, past)
        )
    }
}
