//! Leases in SQL.

use sqlx::Row;
use sqlx::{AnyConnection, any::AnyRow};

use super::fault::Fault;
use super::here::Here;
use super::lease::LeaseRow;
use super::sql_rollouts;
use crate::core::ids::{Epoch, ServiceName};
use crate::core::time::Timestamp;
use crate::ports::{Holder, Lease, LiveHolder};

pub(crate) async fn acquire(
    connection: &mut AnyConnection,
    service: &ServiceName,
    holder: &Holder,
    take_over: bool,
    here: &Here,
) -> Result<Lease, Fault> {
    let current = find(connection, service).await?;
    let row = LeaseRow::taken(current.as_ref(), service, holder, take_over, here)?;
    store(connection, service, &row).await?;
    Ok(Lease {
        service: service.clone(),
        epoch: row.epoch,
    })
}

pub(crate) async fn renew(
    connection: &mut AnyConnection,
    lease: &Lease,
    here: &Here,
) -> Result<(), Fault> {
    let row = fenced(connection, lease).await?.renewed(here);
    store(connection, &lease.service, &row).await
}

pub(crate) async fn release(
    connection: &mut AnyConnection,
    lease: &Lease,
    here: &Here,
) -> Result<(), Fault> {
    let row = fenced(connection, lease).await?.given_back(here);
    store(connection, &lease.service, &row).await
}

pub(crate) async fn holder(
    connection: &mut AnyConnection,
    service: &ServiceName,
    here: &Here,
) -> Result<Option<LiveHolder>, Fault> {
    let row = find(connection, service).await?;
    Ok(row.and_then(|row| row.live(here)))
}

pub(crate) async fn raise(
    connection: &mut AnyConnection,
    lease: &Lease,
    seen: Epoch,
    here: &Here,
) -> Result<Lease, Fault> {
    let row = fenced(connection, lease).await?.raised(seen, here)?;
    store(connection, &lease.service, &row).await?;
    sql_rollouts::follow(connection, lease, row.epoch).await?;
    Ok(Lease {
        service: lease.service.clone(),
        epoch: row.epoch,
    })
}

/// The lease's row, or the error that it was lost. To be called in the transaction that writes under the lease.
pub(crate) async fn fenced(
    connection: &mut AnyConnection,
    lease: &Lease,
) -> Result<LeaseRow, Fault> {
    let current = find(connection, &lease.service).await?;
    Ok(LeaseRow::fenced(current, lease)?)
}

pub(crate) async fn find(
    connection: &mut AnyConnection,
    service: &ServiceName,
) -> Result<Option<LeaseRow>, Fault> {
    sqlx::query(
        r#"SELECT epoch, "by", machine, pid, boot, acquired_at, expires_at FROM leases WHERE service = $1"#,
    )
    .bind(service.as_str())
    .fetch_optional(connection)
    .await?
    .map(|row| from_row(&row))
    .transpose()
}

fn from_row(row: &AnyRow) -> Result<LeaseRow, Fault> {
    let holder = match row.try_get::<Option<String>, _>("by")? {
        None => None,
        Some(by) => Some(Holder {
            by,
            machine: row.try_get("machine")?,
            pid: u32::try_from(row.try_get::<i64, _>("pid")?)
                .map_err(|_| Fault::Damaged("a lease has an impossible pid".to_owned()))?,
            boot: row.try_get("boot")?,
        }),
    };
    Ok(LeaseRow {
        epoch: Epoch(row.try_get("epoch")?),
        holder,
        acquired_at: Timestamp::from_millis(row.try_get("acquired_at")?),
        expires_at: Timestamp::from_millis(row.try_get("expires_at")?),
    })
}

async fn store(
    connection: &mut AnyConnection,
    service: &ServiceName,
    row: &LeaseRow,
) -> Result<(), Fault> {
    let holder = row.holder.as_ref();
    sqlx::query(
        r#"INSERT INTO leases (service, epoch, "by", machine, pid, boot, acquired_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
           ON CONFLICT (service) DO UPDATE SET
               epoch = excluded.epoch, "by" = excluded."by", machine = excluded.machine, pid = excluded.pid,
               boot = excluded.boot, acquired_at = excluded.acquired_at, expires_at = excluded.expires_at"#,
    )
    .bind(service.as_str())
    .bind(row.epoch.0)
    .bind(holder.map(|holder| holder.by.as_str()))
    .bind(holder.map(|holder| holder.machine.as_str()))
    .bind(holder.map(|holder| i64::from(holder.pid)))
    .bind(holder.map(|holder| holder.boot.as_str()))
    .bind(row.acquired_at.as_millis())
    .bind(row.expires_at.as_millis())
    .execute(connection)
    .await?;
    Ok(())
}
