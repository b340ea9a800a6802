//! What differs between the databases that can hold a ledger: everything else is the same text and the same code.

use std::time::Duration;

use sqlx::AnyConnection;

use super::fault::Fault;
use super::here::Here;
use super::postgres::PostgresServer;
use super::sqlite::SqliteFile;
use crate::ports::LedgerError;

/// Where a ledger is, and how it is spoken to.
#[derive(Debug)]
pub(crate) enum Database {
    /// A file on this machine.
    Sqlite(SqliteFile),
    /// A server that several machines share.
    Postgres(PostgresServer),
}

impl Database {
    /// Its path, or its URL without password and parameters.
    pub(crate) fn location(&self) -> &str {
        match self {
            Self::Sqlite(file) => &file.location,
            Self::Postgres(server) => &server.location,
        }
    }

    /// A new connection, of the kind with which the ledger was opened.
    pub(crate) async fn connect(&self) -> Result<AnyConnection, Fault> {
        match self {
            Self::Sqlite(file) => file.connect().await,
            Self::Postgres(server) => server.connect().await,
        }
    }

    /// Begins a transaction that writes. From then on nobody else can write: `MAX(id) + 1` is the next number, and the
    /// lease that was read is the one that holds.
    pub(crate) fn begin_write(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => super::sqlite::BEGIN_WRITE,
            Self::Postgres(_) => super::postgres::BEGIN_WRITE,
        }
    }

    /// This machine, with the clock by which leases run out: on a server that machines share it is the server's own,
    /// whatever theirs say.
    pub(crate) async fn here(
        &self,
        connection: &mut AnyConnection,
        here: &Here,
    ) -> Result<Here, Fault> {
        match self {
            Self::Sqlite(_) => Ok(here.clone()),
            Self::Postgres(_) => Ok(here.at(super::postgres::now(connection).await?)),
        }
    }

    /// How long an answer may take before it counts as lost; nothing: however long it takes.
    pub(crate) fn patience(&self, usual: Duration) -> Option<Duration> {
        match self {
            // It waits for its lock by itself, and a disk is not cut off.
            Self::Sqlite(_) => None,
            Self::Postgres(_) => Some(usual),
        }
    }

    /// Whether a connection that was fine before has been lost: then a new one may do.
    pub(crate) fn has_lost(&self, fault: &Fault) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(_) => super::postgres_fault::is_lost(fault),
        }
    }

    /// What went wrong `while doing` that, as people are told.
    pub(crate) fn error(&self, fault: Fault, doing: &'static str) -> LedgerError {
        match self {
            Self::Sqlite(file) => fault.at(&file.location, doing),
            Self::Postgres(server) => super::postgres_fault::error(fault, &server.location, doing),
        }
    }
}
