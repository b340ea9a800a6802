//! The schema and its versions.

use sqlx::AnyConnection;
use sqlx::Row;

use super::fault::{Fault, unusable};
use crate::core::ids::LedgerId;
use crate::core::time::Timestamp;
use crate::ports::LedgerError;

/// The version that this rollctl writes.
pub(crate) const SCHEMA: i64 = 5;

/// One version's SQL. One that was shipped never changes.
struct Step {
    version: i64,
    /// For every database.
    common: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

impl Step {
    /// One that is the same for every database.
    const fn of_all(version: i64, common: &'static str) -> Self {
        Self {
            version,
            common,
            sqlite: "",
            postgres: "",
        }
    }
}

const STEPS: &[Step] = &[
    Step {
        version: 1,
        common: include_str!("migrations/0001.sql"),
        sqlite: include_str!("migrations/0001.sqlite.sql"),
        postgres: include_str!("migrations/0001.postgres.sql"),
    },
    Step::of_all(2, include_str!("migrations/0002.sql")),
    Step::of_all(3, include_str!("migrations/0003.sql")),
    Step::of_all(4, include_str!("migrations/0004.sql")),
    Step::of_all(5, include_str!("migrations/0005.sql")),
];

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Brings an empty database to [`SCHEMA`]. To be called in a transaction.
pub(crate) async fn create(
    connection: &mut AnyConnection,
    dialect: Dialect,
    id: &LedgerId,
    at: Timestamp,
) -> Result<(), Fault> {
    run_steps(connection, dialect, 0).await?;
    sqlx::query(
        "INSERT INTO meta (only_row, schema_version, ledger, created_at) VALUES (1, $1, $2, $3)",
    )
    .bind(SCHEMA)
    .bind(id.as_str())
    .bind(at.as_millis())
    .execute(connection)
    .await?;
    Ok(())
}

/// Brings an older ledger to [`SCHEMA`]. To be called in a transaction that nobody else writes beside: another process
/// may do the same at the same time.
pub(crate) async fn upgrade(connection: &mut AnyConnection, dialect: Dialect) -> Result<(), Fault> {
    let version = version(connection).await?;
    if version < SCHEMA {
        run_steps(connection, dialect, version).await?;
        sqlx::query("UPDATE meta SET schema_version = $1")
            .bind(SCHEMA)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// The version of a ledger.
pub(crate) async fn version(connection: &mut AnyConnection) -> Result<i64, Fault> {
    let row = sqlx::query("SELECT schema_version FROM meta")
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| Fault::Damaged("it does not say which version it has".to_owned()))?;
    Ok(row.try_get("schema_version")?)
}

/// The error of a ledger that a later rollctl has written.
pub(crate) fn refuse_later(location: &str, version: i64) -> LedgerError {
    unusable(
        location,
        format!("has schema version {version}; this rollctl knows up to {SCHEMA}"),
        "it was written by a later rollctl: use that one",
    )
}

/// The ledger's UUID.
pub(crate) async fn ledger_id(connection: &mut AnyConnection) -> Result<LedgerId, Fault> {
    let row = sqlx::query("SELECT ledger FROM meta")
        .fetch_one(connection)
        .await?;
    Ok(LedgerId::new(row.try_get::<String, _>("ledger")?))
}

async fn run_steps(
    connection: &mut AnyConnection,
    dialect: Dialect,
    after: i64,
) -> Result<(), Fault> {
    for step in STEPS.iter().filter(|step| step.version > after) {
        let own = match dialect {
            Dialect::Sqlite => step.sqlite,
            Dialect::Postgres => step.postgres,
        };
        for sql in [step.common, own] {
            sqlx::raw_sql(sql).execute(&mut *connection).await?;
        }
    }
    Ok(())
}
