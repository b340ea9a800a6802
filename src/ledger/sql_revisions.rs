//! Revisions in SQL.

use std::collections::BTreeMap;

use sqlx::Row;
use sqlx::{AnyConnection, any::AnyRow};

use super::fault::Fault;
use super::naming::Naming;
use crate::core::ids::{Digest, RevisionName, RevisionNumber, ServiceName};
use crate::core::revision::Revision;
use crate::core::time::Timestamp;
use crate::ports::NewRevision;

pub(crate) async fn record(
    connection: &mut AnyConnection,
    new: &NewRevision,
) -> Result<Revision, Fault> {
    let known = list(connection, &new.service).await?;
    let naming = Naming::of(new, &known)?;
    match &naming {
        Naming::Known(_) => {}
        Naming::Changed {
            revision,
            is_renamed,
            is_signed,
        } => {
            if *is_renamed {
                let last = revision.names.len().saturating_sub(1);
                insert_names(connection, &new.service, revision, last).await?;
            }
            if *is_signed {
                update_signers(connection, &new.service, revision).await?;
            }
        }
        Naming::New(revision) => insert(connection, &new.service, revision).await?,
    }
    Ok(naming.into_revision())
}

/// All of a service, newest first.
pub(crate) async fn list(
    connection: &mut AnyConnection,
    service: &ServiceName,
) -> Result<Vec<Revision>, Fault> {
    let rows = sqlx::query(
        "SELECT r.number, r.digest, r.created_at, r.created_by, r.cause, r.adopted, r.signers, n.name
         FROM revisions r LEFT JOIN revision_names n ON n.service = r.service AND n.number = r.number
         WHERE r.service = $1 ORDER BY r.number DESC, n.position",
    )
    .bind(service.as_str())
    .fetch_all(connection)
    .await?;
    let mut found: BTreeMap<RevisionNumber, Revision> = BTreeMap::new();
    for row in &rows {
        let revision = from_row(row)?;
        let name = row
            .try_get::<Option<String>, _>("name")?
            .map(|name| RevisionName::parse(&name))
            .transpose()
            .map_err(|error| Fault::Damaged(error.to_string()))?;
        let number = revision.number;
        found.entry(number).or_insert(revision).names.extend(name);
    }
    Ok(found.into_values().rev().collect())
}

/// Without its names.
fn from_row(row: &AnyRow) -> Result<Revision, Fault> {
    let number = row.try_get::<i64, _>("number")?;
    let number = u32::try_from(number)
        .map_err(|_| Fault::Damaged(format!("a revision has the number {number}")))?;
    let odd = |how: &str, error: serde_json::Error| {
        Fault::Damaged(format!("revision {number} was {how} oddly: {error}"))
    };
    let adopted = row
        .try_get::<Option<String>, _>("adopted")?
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| odd("adopted", error))?;
    let signers = row
        .try_get::<Option<String>, _>("signers")?
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| odd("signed", error))?;
    Ok(Revision {
        number: RevisionNumber(number),
        names: Vec::new(),
        digest: Digest::new(row.try_get::<String, _>("digest")?),
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        created_by: row.try_get("created_by")?,
        cause: row.try_get("cause")?,
        adopted,
        signers: signers.unwrap_or_default(),
    })
}

/// With its names.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    service: &ServiceName,
    revision: &Revision,
) -> Result<(), Fault> {
    let adopted = revision.adopted.as_ref().map(json).transpose()?;
    sqlx::query(
        "INSERT INTO revisions (service, number, digest, created_at, created_by, cause, adopted, signers)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(service.as_str())
    .bind(i64::from(revision.number.0))
    .bind(revision.digest.as_str())
    .bind(revision.created_at.as_millis())
    .bind(revision.created_by.as_str())
    .bind(revision.cause.as_deref())
    .bind(adopted)
    .bind(signers(revision)?)
    .execute(&mut *connection)
    .await?;
    insert_names(connection, service, revision, 0).await
}

async fn update_signers(
    connection: &mut AnyConnection,
    service: &ServiceName,
    revision: &Revision,
) -> Result<(), Fault> {
    sqlx::query("UPDATE revisions SET signers = $1 WHERE service = $2 AND number = $3")
        .bind(signers(revision)?)
        .bind(service.as_str())
        .bind(i64::from(revision.number.0))
        .execute(connection)
        .await?;
    Ok(())
}

fn signers(revision: &Revision) -> Result<Option<String>, Fault> {
    let signers = Some(&revision.signers).filter(|signers| !signers.is_empty());
    signers.map(json).transpose()
}

fn json(value: &impl serde::Serialize) -> Result<String, Fault> {
    Ok(serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))?)
}

/// Those from the place `from` on.
async fn insert_names(
    connection: &mut AnyConnection,
    service: &ServiceName,
    revision: &Revision,
    from: usize,
) -> Result<(), Fault> {
    for (place, name) in revision.names.iter().enumerate().skip(from) {
        sqlx::query(
            "INSERT INTO revision_names (service, name, number, position) VALUES ($1, $2, $3, $4)",
        )
        .bind(service.as_str())
        .bind(name.as_str())
        .bind(i64::from(revision.number.0))
        .bind(i64::try_from(place + 1).unwrap_or(i64::MAX))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
