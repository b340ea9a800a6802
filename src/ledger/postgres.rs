//! A ledger on a PostgreSQL server.

use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Row};
use url::Url;

use super::fault::{Fault, unusable};
use super::postgres_news::Bell;
use super::postgres_url::{for_driver, without_secrets};
use crate::core::time::Timestamp;
use crate::ports::{LedgerError, News};

/// `READ COMMITTED`, whatever the server's default is, so that what is read after the lock is what its last holder wrote.
/// One lock for all services: events, rollouts and requests are numbered over the whole ledger. `roll` as a number.
pub(crate) const BEGIN_WRITE: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(1919904876)";

/// A server that has not let us in after this time is away.
const CONNECT: Duration = Duration::from_secs(5);

/// - A machine that falls asleep in the middle of a transaction must not keep the lock from all others.
/// - A lock that is not to be had in time is given up by the server too, not only by who waits for it.
/// - A server on which commits may be lost is asked not to do that with ours.
/// - Keepalives: the server notices that a machine is gone, and a firewall that a connection is not.
const SESSION: &str = "SET idle_in_transaction_session_timeout = '5s';
    SET lock_timeout = '4s';
    SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// For connections that only look.
const READ_ONLY: &str = "SET default_transaction_read_only = on";

/// The server, the database on it, and who we are there.
#[derive(Debug)]
pub(crate) struct PostgresServer {
    /// As people are told.
    pub(crate) location: String,
    options: AnyConnectOptions,
    is_for_looking: bool,
    bell: Bell,
}

impl PostgresServer {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// `Unusable` when the URL is none.
    pub(crate) fn of(url: &str, is_for_looking: bool) -> Result<Self, LedgerError> {
        sqlx::any::install_default_drivers();
        let location = without_secrets(url);
        let url = for_driver(url)?;
        refuse_missing_files(&url, &location)?;
        let options = AnyConnectOptions::from_url(&url).map_err(|error| {
            super::postgres_fault::error(Fault::Database(error), &location, "opening it")
        })?;
        Ok(Self {
            location,
            options: options.disable_statement_logging(),
            is_for_looking,
            bell: Bell::default(),
        })
    }

    /// Waits until somebody tells of news, or for so long.
    pub(crate) async fn wait_for(&self, news: News, at_most: Duration) {
        self.bell
            .wait(&self.options.database_url, news, at_most)
            .await;
    }

    pub(crate) async fn connect(&self) -> Result<AnyConnection, Fault> {
        let connecting = async {
            let mut connection = self.options.connect().await?;
            sqlx::raw_sql(SESSION).execute(&mut connection).await?;
            if self.is_for_looking {
                sqlx::raw_sql(READ_ONLY).execute(&mut connection).await?;
            }
            Ok(connection)
        };
        tokio::time::timeout(CONNECT, connecting)
            .await
            .unwrap_or(Err(Fault::NoAnswer))
    }
}

/// Certificates are read at each connection: one that is not there would look as if the server was not.
fn refuse_missing_files(url: &Url, location: &str) -> Result<(), LedgerError> {
    for (name, path) in url.query_pairs() {
        let is_file = ["sslrootcert", "sslcert", "sslkey"].contains(&name.as_ref());
        if let Some(error) = is_file.then(|| std::fs::File::open(&*path).err()).flatten() {
            return Err(unusable(
                location,
                format!("`{name}`: `{path}` cannot be read: {error}"),
                "put the file there, or change `ledger.url`",
            ));
        }
    }
    Ok(())
}

/// The server's clock, now and not at the transaction's beginning: it may have waited for its lock.
pub(crate) async fn now(connection: &mut AnyConnection) -> Result<Timestamp, Fault> {
    let row = sqlx::query(
        "SELECT CAST(floor(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT) AS now",
    )
    .fetch_one(connection)
    .await?;
    Ok(Timestamp::from_millis(row.try_get("now")?))
}
