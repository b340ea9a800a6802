//! Keeping the books in SQL: which services there are, all of it as text, and a past that was read back.

use serde_json::{Map, Value, json};
use sqlx::{AnyConnection, any::AnyRow};
use sqlx::{Column, Row, ValueRef};

use super::fault::{Fault, Misuse};
use super::sql_events::{End, insert};
use super::{past, sql_events, sql_leases, sql_revisions, sql_rollouts};
use crate::core::ids::ServiceName;
use crate::core::recall::Recalled;
use crate::ports::Lease;

/// Every service that any table names.
pub(crate) async fn services(connection: &mut AnyConnection) -> Result<Vec<ServiceName>, Fault> {
    let rows = sqlx::query(
        "SELECT service FROM revisions UNION SELECT service FROM rollouts UNION SELECT service FROM events
         ORDER BY service",
    )
    .fetch_all(&mut *connection)
    .await;
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => {
            let found = sql_events::unreadable(connection, i64::MIN).await?;
            return Err(found.map_or_else(
                || error.into(),
                |(rollout, seq)| {
                    Fault::Damaged(format!("event {seq} of rollout {rollout} cannot be read"))
                },
            ));
        }
    };
    let name = |row: &AnyRow| Ok(ServiceName::new(row.try_get::<String, _>("service")?));
    rows.iter().map(name).collect()
}

/// The first number in the order of all events that none has; nothing: there is no gap.
pub(crate) async fn gap(connection: &mut AnyConnection) -> Result<Option<i64>, Fault> {
    let row = sqlx::query(
        "SELECT MIN(e.id) + 1 AS gap FROM events e
         WHERE e.id < (SELECT MAX(id) FROM events)
           AND NOT EXISTS (SELECT 1 FROM events n WHERE n.id = e.id + 1)",
    )
    .fetch_one(&mut *connection)
    .await?;
    let first = sqlx::query("SELECT COUNT(*) AS odd FROM events WHERE id < 1")
        .fetch_one(connection)
        .await?;
    let odd: i64 = first.try_get("odd")?;
    Ok(if odd > 0 {
        Some(0)
    } else {
        row.try_get("gap")?
    })
}

/// A past that was read back, under the lease; see [`super::chain::Chained::restore`].
pub(crate) async fn restore(
    connection: &mut AnyConnection,
    lease: &Lease,
    recalled: &Recalled,
) -> Result<(), Fault> {
    sql_leases::fenced(connection, lease).await?;
    let service = &lease.service;
    if !sql_revisions::list(connection, service).await?.is_empty()
        || !sql_rollouts::all(connection, service).await?.is_empty()
    {
        return Err(Misuse("the ledger has a past of the service already").into());
    }
    for revision in &recalled.revisions {
        sql_revisions::insert(connection, service, revision).await?;
    }
    // Few round trips: on a server everybody else waits meanwhile.
    let taken = sql_rollouts::ids(connection).await?;
    let mut end: Option<End> = None;
    for (row, rollout) in past::rows(lease, recalled, &taken)? {
        let mut place = match end.take() {
            Some(end) => end.of_next(),
            None => End::of(connection, &row).await?,
        };
        sql_rollouts::insert(connection, &row).await?;
        insert(connection, &row, &mut place, &rollout.events).await?;
        end = Some(place);
    }
    Ok(())
}

/// The tables of an export, each with the columns that order its rows. Leases are of the moment.
const TABLES: [(&str, &str); 8] = [
    ("meta", "only_row"),
    ("revisions", "service, number"),
    ("revision_names", "service, number, position"),
    ("rollouts", BY_ID),
    ("events", BY_ID),
    ("instances", "service, host"),
    ("requests", BY_ID),
    ("holds", BY_ID),
];

/// The order of what may be long: it is read page by page.
const BY_ID: &str = "id";

/// Rows of a page.
const PAGE: i64 = 1_000;

/// Every row of every table as an object, in an order that does not change.
///
/// # Errors
/// When the ledger cannot be read, or `write` fails.
pub(crate) async fn export(
    connection: &mut AnyConnection,
    write: &mut (dyn FnMut(&Value) -> Result<(), Fault> + Send),
) -> Result<(), Fault> {
    for (table, order) in TABLES {
        let mut after = i64::MIN;
        loop {
            let rows = page(connection, table, order, after).await?;
            for row in &rows {
                write(&json!({"version": 1, "table": table, "row": object(row)?}))?;
            }
            match rows.last() {
                Some(last) if order == BY_ID => after = last.try_get(BY_ID)?,
                _ => break,
            }
        }
    }
    Ok(())
}

async fn page(
    connection: &mut AnyConnection,
    table: &str,
    order: &str,
    after: i64,
) -> Result<Vec<AnyRow>, Fault> {
    let rows = if order == BY_ID {
        let query = format!("SELECT * FROM {table} WHERE id > $1 ORDER BY id LIMIT $2");
        let query = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(after)
            .bind(PAGE);
        query.fetch_all(connection).await?
    } else {
        let query = format!("SELECT * FROM {table} ORDER BY {order}");
        sqlx::query(sqlx::AssertSqlSafe(query))
            .fetch_all(connection)
            .await?
    };
    Ok(rows)
}

fn object(row: &AnyRow) -> Result<Value, Fault> {
    let mut fields = Map::new();
    for (place, column) in row.columns().iter().enumerate() {
        let value = if row.try_get_raw(place)?.is_null() {
            Value::Null
        } else if let Ok(number) = row.try_get::<i64, _>(place) {
            json!(number)
        } else {
            json!(row.try_get::<String, _>(place)?)
        };
        fields.insert(column.name().to_owned(), value);
    }
    Ok(Value::Object(fields))
}
