//! Holds in SQL.

use sqlx::Row;
use sqlx::{AnyConnection, any::AnyRow};

use super::fault::Fault;
use crate::core::hold::{Hold, Remark};
use crate::core::ids::ServiceName;
use crate::core::time::Timestamp;

/// Holds a service, unless it is held already; whether it was not.
pub(crate) async fn place(
    connection: &mut AnyConnection,
    service: &ServiceName,
    said: &Remark,
) -> Result<bool, Fault> {
    let stands = sqlx::query("SELECT id FROM holds WHERE service = $1 AND lifted_at IS NULL")
        .bind(service.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if stands.is_some() {
        return Ok(false);
    }
    let row = sqlx::query("SELECT COALESCE(MAX(id), 0) + 1 AS next FROM holds")
        .fetch_one(&mut *connection)
        .await?;
    let id: i64 = row.try_get("next")?;
    sqlx::query(
        r#"INSERT INTO holds (id, service, "by", "at", cause) VALUES ($1, $2, $3, $4, $5)"#,
    )
    .bind(id)
    .bind(service.as_str())
    .bind(said.by.as_str())
    .bind(said.at.as_millis())
    .bind(said.cause.as_deref())
    .execute(connection)
    .await?;
    Ok(true)
}

/// Lifts the hold that stands; whether there was one.
pub(crate) async fn lift(
    connection: &mut AnyConnection,
    service: &ServiceName,
    said: &Remark,
) -> Result<bool, Fault> {
    let lifted = sqlx::query(
        "UPDATE holds SET lifted_by = $1, lifted_at = $2, lifted_cause = $3
         WHERE service = $4 AND lifted_at IS NULL",
    )
    .bind(said.by.as_str())
    .bind(said.at.as_millis())
    .bind(said.cause.as_deref())
    .bind(service.as_str())
    .execute(connection)
    .await?;
    Ok(lifted.rows_affected() > 0)
}

/// All of a service, newest first.
pub(crate) async fn list(
    connection: &mut AnyConnection,
    service: &ServiceName,
) -> Result<Vec<Hold>, Fault> {
    let rows = sqlx::query("SELECT * FROM holds WHERE service = $1 ORDER BY id DESC")
        .bind(service.as_str())
        .fetch_all(connection)
        .await?;
    rows.iter().map(from_row).collect()
}

fn from_row(row: &AnyRow) -> Result<Hold, Fault> {
    let lifted = match (
        row.try_get::<Option<String>, _>("lifted_by")?,
        row.try_get::<Option<i64>, _>("lifted_at")?,
    ) {
        (Some(by), Some(at)) => Some(Remark {
            by,
            at: Timestamp::from_millis(at),
            cause: row.try_get("lifted_cause")?,
        }),
        _ => None,
    };
    Ok(Hold {
        placed: Remark {
            by: row.try_get("by")?,
            at: Timestamp::from_millis(row.try_get("at")?),
            cause: row.try_get("cause")?,
        },
        lifted,
    })
}
