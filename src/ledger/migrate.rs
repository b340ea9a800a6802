//! The schema and its versions.

use sqlx::AnyConnection;
use sqlx::{Connection, Row};

use super::fault::Fault;
use crate::core::ids::LedgerId;
use crate::core::time::Timestamp;

/// The version that this rollctl writes.
pub(crate) const SCHEMA: i64 = 4;

/// Each version's SQL: for every database, then for SQLite alone. A version that was shipped never changes.
const STEPS: &[(i64, &str, &str)] = &[
    (
        1,
        include_str!("migrations/0001.sql"),
        include_str!("migrations/0001.sqlite.sql"),
    ),
    (2, include_str!("migrations/0002.sql"), ""),
    (3, include_str!("migrations/0003.sql"), ""),
    (4, include_str!("migrations/0004.sql"), ""),
];

/// Brings a new, empty database to [`SCHEMA`].
pub(crate) async fn create(
    connection: &mut AnyConnection,
    id: &LedgerId,
    at: Timestamp,
) -> Result<(), Fault> {
    let mut transaction = connection.begin().await?;
    run_steps(&mut transaction, 0).await?;
    sqlx::query(
        "INSERT INTO meta (only_row, schema_version, ledger, created_at) VALUES (1, $1, $2, $3)",
    )
    .bind(SCHEMA)
    .bind(id.as_str())
    .bind(at.as_millis())
    .execute(&mut *transaction)
    .await?;
    Ok(transaction.commit().await?)
}

/// Brings an older ledger to [`SCHEMA`]; another process may do the same at the same time.
pub(crate) async fn upgrade(connection: &mut AnyConnection) -> Result<(), Fault> {
    let mut transaction = connection.begin_with(super::sqlite::BEGIN_WRITE).await?;
    let version = version(&mut transaction).await?;
    if version < SCHEMA {
        run_steps(&mut transaction, version).await?;
        sqlx::query("UPDATE meta SET schema_version = $1")
            .bind(SCHEMA)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(transaction.commit().await?)
}

/// The version of a ledger.
pub(crate) async fn version(connection: &mut AnyConnection) -> Result<i64, Fault> {
    let row = sqlx::query("SELECT schema_version FROM meta")
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| Fault::Damaged("it does not say which version it has".to_owned()))?;
    Ok(row.try_get("schema_version")?)
}

/// The ledger's UUID.
pub(crate) async fn ledger_id(connection: &mut AnyConnection) -> Result<LedgerId, Fault> {
    let row = sqlx::query("SELECT ledger FROM meta")
        .fetch_one(connection)
        .await?;
    Ok(LedgerId::new(row.try_get::<String, _>("ledger")?))
}

async fn run_steps(connection: &mut AnyConnection, after: i64) -> Result<(), Fault> {
    for (_, common, sqlite) in STEPS.iter().filter(|(version, ..)| *version > after) {
        sqlx::raw_sql(*common).execute(&mut *connection).await?;
        sqlx::raw_sql(*sqlite).execute(&mut *connection).await?;
    }
    Ok(())
}
