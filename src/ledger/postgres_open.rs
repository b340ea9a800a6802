//! Opening a ledger on a PostgreSQL server, and making one in an empty database.

use sqlx::{AnyConnection, Connection, Row};

use super::database::Database;
use super::fault::{Fault, unusable};
use super::here::Here;
use super::migrate::{self, Dialect};
use super::postgres::{BEGIN_WRITE, PostgresServer};
use super::sql_ledger::SqlLedger;
use crate::core::ids::LedgerId;
use crate::ports::LedgerError;

/// What `0001.postgres.sql` writes on its table `meta`.
const MARK: &str = "ledger of rollctl";

/// Opens it for reading and writing; makes it where the database has none. Two who do so at once both get the same.
///
/// # Errors
/// See [`super::open()`].
pub(crate) async fn open(url: &str, here: Here) -> Result<SqlLedger, LedgerError> {
    let database = Database::Postgres(PostgresServer::of(url, false)?);
    let failed = |fault: Fault| database.error(fault, "opening it");
    let mut connection = database.connect().await.map_err(failed)?;
    match refuse_unusable(&mut connection, &database).await? {
        Some(version) if version == migrate::SCHEMA => {}
        _ => bring_up_to_date(&mut connection, &here)
            .await
            .map_err(|fault| {
                database.error(fault, "making it, or bringing its schema up to date")
            })?,
    }
    SqlLedger::over(connection, database, here).await
}

/// Opens it for reading only; nothing where the database has none.
///
/// # Errors
/// See [`super::open_existing`].
pub(crate) async fn open_existing(url: &str, here: Here) -> Result<Option<SqlLedger>, LedgerError> {
    let database = Database::Postgres(PostgresServer::of(url, true)?);
    let failed = |fault: Fault| database.error(fault, "opening it");
    let mut connection = database.connect().await.map_err(failed)?;
    match refuse_unusable(&mut connection, &database).await? {
        None => return Ok(None),
        Some(version) if version < migrate::SCHEMA => drop(open(url, here.clone()).await?),
        Some(_) => {}
    }
    SqlLedger::over(connection, database, here).await.map(Some)
}

/// Refuses what is no ledger, or a later rollctl's; the version of what can be used, nothing where there is none.
async fn refuse_unusable(
    connection: &mut AnyConnection,
    database: &Database,
) -> Result<Option<i64>, LedgerError> {
    let location = database.location();
    let found = look(connection).await;
    match found.map_err(|fault| database.error(fault, "reading its version"))? {
        Found::Nothing => Ok(None),
        Found::Encoding(encoding) => Err(unusable(
            location,
            format!("keeps its texts in {encoding}, which cannot hold all of them"),
            "make the database anew: `CREATE DATABASE rollctl OWNER rollctl ENCODING 'UTF8' TEMPLATE template0`",
        )),
        Found::Foreign(table) => Err(unusable(
            location,
            format!("has a table `{table}` of another program, and no ledger of rollctl"),
            "it was left as it is; give rollctl a database of its own",
        )),
        Found::Version(version) if version > migrate::SCHEMA => {
            Err(migrate::refuse_later(location, version))
        }
        Found::Version(version) => Ok(Some(version)),
    }
}

enum Found {
    Nothing,
    Encoding(String),
    Foreign(String),
    Version(i64),
}

/// One statement, which therefore sees all of what another process makes meanwhile, or nothing. Not by `to_regclass`:
/// that may answer from what was so before the lock was there.
async fn look(connection: &mut AnyConnection) -> Result<Found, Fault> {
    let rows = sqlx::query(
        "SELECT current_setting('server_encoding') AS encoding, CAST(relname AS TEXT) AS name,
                obj_description(pg_class.oid, 'pg_class') AS mark
         FROM (SELECT) AS always LEFT JOIN pg_class
              ON pg_table_is_visible(pg_class.oid) AND relname IN ('meta', 'revisions', 'revision_names',
                 'rollouts', 'events', 'instances', 'requests', 'leases', 'holds')
         ORDER BY name",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut foreign = None;
    for row in &rows {
        let encoding: String = row.try_get("encoding")?;
        if encoding != "UTF8" {
            return Ok(Found::Encoding(encoding));
        }
        let name: Option<String> = row.try_get("name")?;
        let mark: Option<String> = row.try_get("mark")?;
        if name.as_deref() == Some("meta") && mark.as_deref() == Some(MARK) {
            return Ok(Found::Version(migrate::version(connection).await?));
        }
        foreign = foreign.or(name);
    }
    Ok(foreign.map_or(Found::Nothing, Found::Foreign))
}

/// Under the lock under which everything is written: whoever comes second finds it done.
async fn bring_up_to_date(connection: &mut AnyConnection, here: &Here) -> Result<(), Fault> {
    let mut transaction = connection.begin_with(BEGIN_WRITE).await?;
    match look(&mut transaction).await? {
        Found::Version(_) => migrate::upgrade(&mut transaction, Dialect::Postgres).await?,
        _ => {
            let id = LedgerId::new(uuid::Uuid::new_v4().to_string());
            migrate::create(&mut transaction, Dialect::Postgres, &id, here.now()).await?;
        }
    }
    Ok(transaction.commit().await?)
}
