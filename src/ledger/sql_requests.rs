//! Requests in SQL.

use sqlx::Row;
use sqlx::{AnyConnection, any::AnyRow};

use super::fault::Fault;
use super::{request, sql_leases};
use crate::core::ids::ServiceName;
use crate::core::time::Timestamp;
use crate::ports::{Answer, Lease, Request, RequestKind};

pub(crate) async fn insert(
    connection: &mut AnyConnection,
    service: &ServiceName,
    kind: RequestKind,
    by: &str,
    at: Timestamp,
) -> Result<i64, Fault> {
    let row = sqlx::query("SELECT COALESCE(MAX(id), 0) + 1 AS next FROM requests")
        .fetch_one(&mut *connection)
        .await?;
    let id: i64 = row.try_get("next")?;
    sqlx::query(
        r#"INSERT INTO requests (id, service, kind, "by", "at") VALUES ($1, $2, $3, $4, $5)"#,
    )
    .bind(id)
    .bind(service.as_str())
    .bind(kind.as_str())
    .bind(by)
    .bind(at.as_millis())
    .execute(connection)
    .await?;
    Ok(id)
}

/// The open ones of the lease's service, oldest first.
pub(crate) async fn open(
    connection: &mut AnyConnection,
    lease: &Lease,
) -> Result<Vec<Request>, Fault> {
    sql_leases::fenced(connection, lease).await?;
    let rows = sqlx::query(
        r#"SELECT id, service, kind, "by", "at", answer, reason FROM requests
           WHERE service = $1 AND answered_at IS NULL ORDER BY id"#,
    )
    .bind(lease.service.as_str())
    .fetch_all(connection)
    .await?;
    rows.iter().map(from_row).collect()
}

pub(crate) async fn find(
    connection: &mut AnyConnection,
    request: i64,
) -> Result<Option<Request>, Fault> {
    sqlx::query(
        r#"SELECT id, service, kind, "by", "at", answer, reason FROM requests WHERE id = $1"#,
    )
    .bind(request)
    .fetch_optional(connection)
    .await?
    .map(|row| from_row(&row))
    .transpose()
}

pub(crate) async fn answer(
    connection: &mut AnyConnection,
    lease: &Lease,
    request: i64,
    at: Timestamp,
    answer: &Answer,
) -> Result<bool, Fault> {
    sql_leases::fenced(connection, lease).await?;
    let found = find(connection, request).await?;
    if !request::is_open(found.as_ref(), lease)? {
        return Ok(false);
    }
    close(connection, Which::One(request), at, answer).await?;
    Ok(true)
}

pub(crate) async fn withdraw(
    connection: &mut AnyConnection,
    request: i64,
    at: Timestamp,
) -> Result<bool, Fault> {
    let answer = request::withdrawn();
    Ok(close(connection, Which::One(request), at, &answer).await? > 0)
}

/// Answers all open ones of a service alike.
pub(crate) async fn answer_all(
    connection: &mut AnyConnection,
    service: &ServiceName,
    at: Timestamp,
    answer: &Answer,
) -> Result<(), Fault> {
    close(connection, Which::AllOf(service), at, answer).await?;
    Ok(())
}

enum Which<'a> {
    One(i64),
    AllOf(&'a ServiceName),
}

/// Answers those that are open; how many.
async fn close(
    connection: &mut AnyConnection,
    which: Which<'_>,
    at: Timestamp,
    answer: &Answer,
) -> Result<u64, Fault> {
    let (answer, reason) = match answer {
        Answer::Taken => (TAKEN, None),
        Answer::Refused { reason } => (REFUSED, Some(reason.as_str())),
    };
    let query = match which {
        Which::One(id) => sqlx::query(
            "UPDATE requests SET answered_at = $1, answer = $2, reason = $3
             WHERE answered_at IS NULL AND id = $4",
        )
        .bind(at.as_millis())
        .bind(answer)
        .bind(reason)
        .bind(id),
        Which::AllOf(service) => sqlx::query(
            "UPDATE requests SET answered_at = $1, answer = $2, reason = $3
             WHERE answered_at IS NULL AND service = $4",
        )
        .bind(at.as_millis())
        .bind(answer)
        .bind(reason)
        .bind(service.as_str()),
    };
    Ok(query.execute(connection).await?.rows_affected())
}

const TAKEN: &str = "taken";
const REFUSED: &str = "refused";

fn from_row(row: &AnyRow) -> Result<Request, Fault> {
    let id: i64 = row.try_get("id")?;
    let kind: String = row.try_get("kind")?;
    let kind = [RequestKind::Pause, RequestKind::Approve, RequestKind::Abort]
        .into_iter()
        .find(|known| known.as_str() == kind)
        .ok_or_else(|| Fault::Damaged(format!("request {id} is of the kind `{kind}`")))?;
    let answer: Option<String> = row.try_get("answer")?;
    let answer = match answer.as_deref() {
        None => None,
        Some(TAKEN) => Some(Answer::Taken),
        Some(REFUSED) => Some(Answer::Refused {
            reason: row
                .try_get::<Option<String>, _>("reason")?
                .unwrap_or_default(),
        }),
        Some(other) => {
            return Err(Fault::Damaged(format!(
                "request {id} was answered with `{other}`"
            )));
        }
    };
    Ok(Request {
        id,
        service: ServiceName::new(row.try_get::<String, _>("service")?),
        kind,
        by: row.try_get("by")?,
        at: Timestamp::from_millis(row.try_get("at")?),
        answer,
    })
}
