//! Rollouts' rows and instances in SQL.

use std::collections::BTreeSet;

use sqlx::Row;
use sqlx::{AnyConnection, any::AnyRow};

use super::fault::Fault;
use super::here::Here;
use super::row::RolloutRow;
use super::sql_leases;
use crate::core::ids::{Digest, Epoch, HostName, RolloutId, ServiceName};
use crate::core::spec::RolloutKind;
use crate::core::time::Timestamp;
use crate::ports::{InstanceRecord, Lease, RolloutRecord};

/// Rollouts' rows by their columns: a later rollctl may add some while this one is connected, and a server does not take
/// a `*` that has become more.
macro_rules! select {
    ($which:literal) => {
        concat!(
            r#"SELECT id, service, kind, "from", "to", outcome, started_at, ended_at, "by", partial, epoch
               FROM rollouts "#,
            $which
        )
    };
}

/// A service's, newest first.
pub(crate) async fn list(
    connection: &mut AnyConnection,
    service: &ServiceName,
    limit: usize,
    here: &Here,
) -> Result<Vec<RolloutRecord>, Fault> {
    let rows = sqlx::query(select!("WHERE service = $1 ORDER BY id DESC LIMIT $2"))
        .bind(service.as_str())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *connection)
        .await?;
    // Read after the rows: a lease that was taken in between can only make an old row look interrupted, which it is.
    let lease = sql_leases::find(connection, service).await?;
    rows.iter()
        .map(|row| Ok(from_row(row)?.listed(lease.as_ref(), here)))
        .collect()
}

/// One as it is listed.
pub(crate) async fn listed(
    connection: &mut AnyConnection,
    rollout: RolloutId,
    here: &Here,
) -> Result<Option<RolloutRecord>, Fault> {
    let Some(row) = find(connection, rollout).await? else {
        return Ok(None);
    };
    let lease = sql_leases::find(connection, &row.record.service).await?;
    Ok(Some(row.listed(lease.as_ref(), here)))
}

pub(crate) async fn find(
    connection: &mut AnyConnection,
    rollout: RolloutId,
) -> Result<Option<RolloutRow>, Fault> {
    sqlx::query(select!("WHERE id = $1"))
        .bind(rollout.0)
        .fetch_optional(connection)
        .await?
        .map(|row| from_row(&row))
        .transpose()
}

/// Those of a service that could still go on, oldest first.
pub(crate) async fn unfinished(
    connection: &mut AnyConnection,
    service: &ServiceName,
) -> Result<Vec<RolloutRow>, Fault> {
    let rows = sqlx::query(select!(
        "WHERE service = $1 AND ended_at IS NULL ORDER BY id"
    ))
    .bind(service.as_str())
    .fetch_all(connection)
    .await?;
    let rows: Vec<RolloutRow> = rows.iter().map(from_row).collect::<Result<_, _>>()?;
    Ok(rows.into_iter().filter(RolloutRow::is_unfinished).collect())
}

/// The numbers of all, of whatever service, in their order.
pub(crate) async fn ids(connection: &mut AnyConnection) -> Result<BTreeSet<RolloutId>, Fault> {
    let rows = sqlx::query("SELECT id FROM rollouts")
        .fetch_all(connection)
        .await?;
    let id = |row: &AnyRow| Ok(RolloutId(row.try_get("id")?));
    rows.iter().map(id).collect()
}

/// Every one of a service as it is stored, oldest first.
pub(crate) async fn all(
    connection: &mut AnyConnection,
    service: &ServiceName,
) -> Result<Vec<RolloutRow>, Fault> {
    let rows = sqlx::query("SELECT * FROM rollouts WHERE service = $1 ORDER BY id")
        .bind(service.as_str())
        .fetch_all(connection)
        .await?;
    rows.iter().map(from_row).collect()
}

pub(crate) async fn next_id(connection: &mut AnyConnection) -> Result<RolloutId, Fault> {
    let row = sqlx::query("SELECT COALESCE(MAX(id), 0) + 1 AS next FROM rollouts")
        .fetch_one(connection)
        .await?;
    Ok(RolloutId(row.try_get("next")?))
}

pub(crate) async fn insert(connection: &mut AnyConnection, row: &RolloutRow) -> Result<(), Fault> {
    let record = &row.record;
    sqlx::query(
        r#"INSERT INTO rollouts
               (id, service, kind, "from", "to", outcome, started_at, ended_at, "by", partial, epoch)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"#,
    )
    .bind(record.id.0)
    .bind(record.service.as_str())
    .bind(record.kind.to_string())
    .bind(record.from.as_ref().map(Digest::as_str))
    .bind(record.to.as_str())
    .bind(record.outcome.as_str())
    .bind(record.started_at.as_millis())
    .bind(record.ended_at.map(Timestamp::as_millis))
    .bind(record.by.as_str())
    .bind(i64::from(record.partial))
    .bind(row.epoch.0)
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn update(connection: &mut AnyConnection, row: &RolloutRow) -> Result<(), Fault> {
    sqlx::query("UPDATE rollouts SET outcome = $1, ended_at = $2, epoch = $3 WHERE id = $4")
        .bind(row.record.outcome.as_str())
        .bind(row.record.ended_at.map(Timestamp::as_millis))
        .bind(row.epoch.0)
        .bind(row.record.id.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Puts what was written under the lease last under its new epoch: else it would look interrupted until its next event.
pub(crate) async fn follow(
    connection: &mut AnyConnection,
    lease: &Lease,
    raised: Epoch,
) -> Result<(), Fault> {
    sqlx::query("UPDATE rollouts SET epoch = $1 WHERE service = $2 AND epoch = $3")
        .bind(raised.0)
        .bind(lease.service.as_str())
        .bind(lease.epoch.0)
        .execute(connection)
        .await?;
    Ok(())
}

fn from_row(row: &AnyRow) -> Result<RolloutRow, Fault> {
    let id = RolloutId(row.try_get("id")?);
    let kind: String = row.try_get("kind")?;
    let kind = match kind.as_str() {
        "release" => RolloutKind::Release,
        "rollback" => RolloutKind::Rollback,
        "restart" => RolloutKind::Restart,
        other => {
            return Err(Fault::Damaged(format!(
                "rollout {id} is of the kind `{other}`"
            )));
        }
    };
    Ok(RolloutRow {
        record: RolloutRecord {
            id,
            service: ServiceName::new(row.try_get::<String, _>("service")?),
            kind,
            from: row.try_get::<Option<String>, _>("from")?.map(Digest::new),
            to: Digest::new(row.try_get::<String, _>("to")?),
            outcome: row.try_get("outcome")?,
            started_at: Timestamp::from_millis(row.try_get("started_at")?),
            ended_at: row
                .try_get::<Option<i64>, _>("ended_at")?
                .map(Timestamp::from_millis),
            by: row.try_get("by")?,
            partial: row.try_get::<i64, _>("partial")? == 1,
        },
        epoch: Epoch(row.try_get("epoch")?),
    })
}

pub(crate) async fn record_instances(
    connection: &mut AnyConnection,
    service: &ServiceName,
    seen: &[InstanceRecord],
) -> Result<(), Fault> {
    const COLUMNS: usize = 5;
    for some in seen.chunks(INSTANCES_AT_ONCE) {
        let sql = format!(
            "INSERT INTO instances (service, host, digest, state, since) VALUES {}
             ON CONFLICT (service, host) DO UPDATE SET
                 digest = excluded.digest, state = excluded.state, since = excluded.since",
            places(some.len(), COLUMNS)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(false);
        for instance in some {
            query = query
                .bind(service.as_str())
                .bind(instance.host.as_str())
                .bind(instance.digest.as_ref().map(Digest::as_str))
                .bind(instance.state.as_str())
                .bind(instance.since.as_millis());
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Instances in one statement.
const INSTANCES_AT_ONCE: usize = 250;

/// The placeholders of so many rows: `($1, $2), ($3, $4)`.
pub(crate) fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places = (1..=columns).map(|column| format!("${}", row * columns + column));
        format!("({})", places.collect::<Vec<_>>().join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// In the order of the hosts' names.
pub(crate) async fn instances(
    connection: &mut AnyConnection,
    service: &ServiceName,
) -> Result<Vec<InstanceRecord>, Fault> {
    let rows = sqlx::query("SELECT host, digest, state, since FROM instances WHERE service = $1")
        .bind(service.as_str())
        .fetch_all(connection)
        .await?;
    let instances: Result<Vec<_>, Fault> = rows
        .iter()
        .map(|row| {
            Ok(InstanceRecord {
                host: HostName::new(row.try_get::<String, _>("host")?),
                digest: row.try_get::<Option<String>, _>("digest")?.map(Digest::new),
                state: row.try_get("state")?,
                since: Timestamp::from_millis(row.try_get("since")?),
            })
        })
        .collect();
    let mut instances = instances?;
    // Not by the database: servers sort texts by the rules of some language.
    instances.sort_by(|one, other| one.host.cmp(&other.host));
    Ok(instances)
}
