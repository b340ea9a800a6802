//! Events in SQL: the only place that writes them.

use sqlx::Row;
use sqlx::{AnyConnection, any::AnyRow};

use super::chain::{Chain, Link, NOTHING_BEFORE, Visit, Walk, canonical_body, hash, kind_of};
use super::fault::{Fault, Misuse};
use super::row::RolloutRow;
use super::{request, sql_leases, sql_requests, sql_rollouts};
use crate::core::event::{Event, RecordedEvent};
use crate::core::ids::{HostName, RolloutId, ServiceName};
use crate::core::time::Timestamp;
use crate::ports::Lease;

/// How many events a walk along a chain holds in memory.
const PAGE: i64 = 1_000;

/// Events in one statement: a parameter for each of their columns, of which SQLite takes 32,766 and PostgreSQL 65,535.
const EVENTS_AT_ONCE: usize = 250;

/// Supersedes what is unfinished, then begins the new rollout; one transaction. Under a valid lease nobody else works
/// on the service, so whatever is unfinished is paused, interrupted, or was left behind by this very controller. In
/// `doubt` it may have been begun already.
pub(crate) async fn begin(
    connection: &mut AnyConnection,
    lease: &Lease,
    at: Timestamp,
    first: &Event,
    doubt: bool,
) -> Result<RecordedEvent, Fault> {
    sql_leases::fenced(connection, lease).await?;
    let unfinished = sql_rollouts::unfinished(connection, &lease.service).await?;
    if let Some(newest) = unfinished
        .last()
        .filter(|newest| doubt && newest.epoch == lease.epoch)
    {
        let found = list(connection, newest.record.id, 0).await?;
        if let Some(begun) = same(&found, &[(at, first.clone())]) {
            return Ok(begun.clone());
        }
    }
    let id = sql_rollouts::next_id(connection).await?;
    let new = RolloutRow::begun(id, lease, at, first)?;
    let superseded = Event::RolloutSuperseded { by: id };
    for old in unfinished {
        let old = old.after(lease, at, &superseded)?;
        let mut end = End::of(connection, &old).await?;
        insert(connection, &old, &mut end, &[(at, superseded.clone())]).await?;
        sql_rollouts::update(connection, &old).await?;
    }
    sql_rollouts::insert(connection, &new).await?;
    let mut end = End::of(connection, &new).await?;
    let begun = insert(connection, &new, &mut end, &[(at, first.clone())]).await?;
    let begun = begun.into_iter().next();
    begun.ok_or(Fault::Misuse(Misuse("a rollout begins with an event")))
}

/// The one recorded event, if it is all that there is and is the same as what was to be written.
fn same<'a>(
    found: &'a [RecordedEvent],
    events: &[(Timestamp, Event)],
) -> Option<&'a RecordedEvent> {
    is_same(found, events).then(|| found.first()).flatten()
}

fn is_same(found: &[RecordedEvent], events: &[(Timestamp, Event)]) -> bool {
    let written = found.iter().map(|one| (&one.at, &one.event));
    written.eq(events.iter().map(|(at, event)| (at, event)))
}

/// Appends to a rollout that is not over. In `doubt` it may have been done already: then there is something after that
/// event.
pub(crate) async fn append(
    connection: &mut AnyConnection,
    lease: &Lease,
    rollout: RolloutId,
    events: &[(Timestamp, Event)],
    doubt: Option<u64>,
) -> Result<Vec<RecordedEvent>, Fault> {
    sql_leases::fenced(connection, lease).await?;
    let before = sql_rollouts::find(connection, rollout)
        .await?
        .ok_or(Misuse("there is no such rollout"))?;
    if let Some(after) = doubt {
        let found = list(connection, rollout, after).await?;
        if !found.is_empty() && is_same(&found, events) {
            return Ok(found);
        }
    }
    let mut end = End::of(connection, &before).await?;
    let mut after = before.clone();
    for (at, event) in events {
        after = after.after(lease, *at, event)?;
    }
    let recorded = insert(connection, &after, &mut end, events).await?;
    if after != before {
        sql_rollouts::update(connection, &after).await?;
    }
    Ok(recorded)
}

/// Where the next event of a rollout goes.
pub(crate) struct End {
    /// The hash of the service's last one.
    previous: Option<String>,
    seq: i64,
    id: i64,
}

impl End {
    /// The same place, for the first event of another rollout.
    pub(crate) fn of_next(self) -> Self {
        Self { seq: 1, ..self }
    }

    pub(crate) async fn of(
        connection: &mut AnyConnection,
        row: &RolloutRow,
    ) -> Result<Self, Fault> {
        let last = sqlx::query(
            "SELECT (SELECT hash FROM events WHERE service = $1 ORDER BY id DESC LIMIT 1) AS previous,
                    (SELECT COALESCE(MAX(seq), 0) + 1 FROM events WHERE rollout = $2) AS seq,
                    (SELECT COALESCE(MAX(id), 0) + 1 FROM events) AS id",
        )
        .bind(row.record.service.as_str())
        .bind(row.record.id.0)
        .fetch_one(connection)
        .await?;
        Ok(Self {
            previous: last.try_get("previous")?,
            seq: last.try_get("seq")?,
            id: last.try_get("id")?,
        })
    }
}

/// Links events to the service's last one; some void the requests that are open.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    row: &RolloutRow,
    end: &mut End,
    events: &[(Timestamp, Event)],
) -> Result<Vec<RecordedEvent>, Fault> {
    let mut recorded = Vec::with_capacity(events.len());
    for chunk in events.chunks(EVENTS_AT_ONCE) {
        let mut rows = Vec::with_capacity(chunk.len());
        for (at, event) in chunk {
            if let Some(answer) = request::voided_by(event) {
                let service = &row.record.service;
                sql_requests::answer_all(connection, service, *at, &answer).await?;
            }
            rows.push(linked(row.record.id, end, *at, event)?);
        }
        insert_rows(connection, &row.record.service, &rows).await?;
        recorded.extend(rows.into_iter().map(|row| row.recorded));
    }
    Ok(recorded)
}

/// An event as it is stored.
struct EventRow {
    id: i64,
    body: String,
    recorded: RecordedEvent,
}

/// The event after `end`, which it moves on.
fn linked(
    rollout: RolloutId,
    end: &mut End,
    at: Timestamp,
    event: &Event,
) -> Result<EventRow, Fault> {
    let (id, seq) = (end.id, unsigned(end.seq)?);
    let body = canonical_body(event).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let previous = end.previous.as_deref().unwrap_or(NOTHING_BEFORE);
    let hash = hash(previous, rollout, seq, at, &body);
    *end = End {
        previous: Some(hash.clone()),
        seq: end.seq + 1,
        id: id + 1,
    };
    let recorded = RecordedEvent {
        rollout,
        seq,
        at,
        event: event.clone(),
        hash,
    };
    Ok(EventRow { id, body, recorded })
}

/// One statement for all: on a server each is a round trip, and everybody else waits meanwhile.
async fn insert_rows(
    connection: &mut AnyConnection,
    service: &ServiceName,
    rows: &[EventRow],
) -> Result<(), Fault> {
    const COLUMNS: usize = 9;
    if rows.is_empty() {
        return Ok(());
    }
    let sql = format!(
        r#"INSERT INTO events (id, service, rollout, seq, "at", kind, host, body, hash) VALUES {}"#,
        sql_rollouts::places(rows.len(), COLUMNS)
    );
    // The usual few are kept prepared; every other number of rows would be another statement to keep.
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(rows.len() <= 4);
    for EventRow { id, body, recorded } in rows {
        query = query
            .bind(*id)
            .bind(service.as_str())
            .bind(recorded.rollout.0)
            .bind(i64::try_from(recorded.seq).unwrap_or(i64::MAX))
            .bind(recorded.at.as_millis())
            .bind(kind_of(body))
            .bind(recorded.event.host().map(|host| host.as_str()))
            .bind(body.as_str())
            .bind(recorded.hash.as_str());
    }
    query.execute(connection).await?;
    Ok(())
}

/// The events of a rollout after `after`, in order.
pub(crate) async fn list(
    connection: &mut AnyConnection,
    rollout: RolloutId,
    after: u64,
) -> Result<Vec<RecordedEvent>, Fault> {
    let rows = sqlx::query(
        r#"SELECT rollout, seq, "at", body, hash FROM events WHERE rollout = $1 AND seq > $2 ORDER BY seq"#,
    )
    .bind(rollout.0)
    .bind(i64::try_from(after).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    rows.iter().map(recorded).collect()
}

/// The events of a service that are about a host, or about none, in the order in which they were written.
pub(crate) async fn of_host(
    connection: &mut AnyConnection,
    service: &ServiceName,
    host: &HostName,
) -> Result<Vec<RecordedEvent>, Fault> {
    let rows = sqlx::query(
        r#"SELECT rollout, seq, "at", body, hash FROM events
           WHERE service = $1 AND (host = $2 OR host IS NULL) ORDER BY id"#,
    )
    .bind(service.as_str())
    .bind(host.as_str())
    .fetch_all(connection)
    .await?;
    rows.iter().map(recorded).collect()
}

fn recorded(row: &AnyRow) -> Result<RecordedEvent, Fault> {
    let link = link(row)?;
    let event = serde_json::from_str(&link.body).map_err(|error| {
        let (rollout, seq) = (link.rollout, link.seq);
        Fault::Damaged(format!(
            "event {seq} of rollout {rollout} cannot be read: {error}"
        ))
    })?;
    Ok(RecordedEvent {
        rollout: link.rollout,
        seq: link.seq,
        at: link.at,
        event,
        hash: link.hash,
    })
}

/// Walks along a service's chain, page by page.
pub(crate) async fn audit(
    connection: &mut AnyConnection,
    service: &ServiceName,
    visit: Visit<'_>,
) -> Result<Chain, Fault> {
    let mut walk = Walk::new(service);
    let mut after = 0_i64;
    let mut listed: Option<Vec<RolloutRow>> = None;
    loop {
        let rows = sqlx::query(
            r#"SELECT id, rollout, seq, "at", kind, host, body, hash FROM events
               WHERE service = $1 AND id > $2 ORDER BY id LIMIT $3"#,
        )
        .bind(service.as_str())
        .bind(after)
        .bind(PAGE)
        .fetch_all(&mut *connection)
        .await;
        let rows = match rows {
            Ok(rows) => rows,
            // The whole page is refused for one value that is no text any more.
            Err(error) => match unreadable(connection, after).await? {
                Some((rollout, seq)) => return Ok(cannot_be_read(rollout, seq)),
                None => return Err(error.into()),
            },
        };
        for row in &rows {
            match read(row).and_then(|link| walk.step(&link)) {
                Ok(event) => visit(&event),
                Err(broken) => return Ok(broken),
            }
            after = row.try_get("id")?;
        }
        // Nothing was written while the list was read: the two belong together.
        listed = match (rows.is_empty(), listed) {
            (false, _) => None,
            (true, Some(listed)) => return Ok(walk.end(&listed)),
            (true, None) => Some(sql_rollouts::all(connection, service).await?),
        };
    }
}

/// A row with what is listed beside the event. What cannot be read is where the chain breaks.
fn read(row: &AnyRow) -> Result<Link, Chain> {
    let whole = || -> Result<Link, Fault> {
        Ok(Link {
            columns: Some((row.try_get("kind")?, row.try_get("host")?)),
            ..link(row)?
        })
    };
    whole().map_err(|_| {
        let (rollout, seq) = place(row);
        cannot_be_read(rollout, seq)
    })
}

/// The first event after `after` of which a value cannot be read, whatever its service.
pub(crate) async fn unreadable(
    connection: &mut AnyConnection,
    mut after: i64,
) -> Result<Option<(RolloutId, u64)>, Fault> {
    loop {
        let next =
            sqlx::query("SELECT id, rollout, seq FROM events WHERE id > $1 ORDER BY id LIMIT 1")
                .bind(after)
                .fetch_optional(&mut *connection)
                .await?;
        let Some(next) = next else {
            return Ok(None);
        };
        after = next.try_get("id")?;
        let whole = sqlx::query("SELECT * FROM events WHERE id = $1")
            .bind(after)
            .fetch_one(&mut *connection)
            .await;
        if whole.is_err() {
            return Ok(Some(place(&next)));
        }
    }
}

/// As far as it can be read.
fn place(row: &AnyRow) -> (RolloutId, u64) {
    let number = |column| row.try_get::<i64, _>(column).unwrap_or(0);
    let seq = u64::try_from(number("seq")).unwrap_or(0);
    (RolloutId(number("rollout")), seq)
}

fn cannot_be_read(rollout: RolloutId, seq: u64) -> Chain {
    Chain::Broken {
        rollout,
        seq,
        problem: "it cannot be read".to_owned(),
    }
}

fn link(row: &AnyRow) -> Result<Link, Fault> {
    Ok(Link {
        rollout: RolloutId(row.try_get("rollout")?),
        seq: unsigned(row.try_get("seq")?)?,
        at: Timestamp::from_millis(row.try_get("at")?),
        body: row.try_get("body")?,
        hash: row.try_get("hash")?,
        columns: None,
    })
}

fn unsigned(seq: i64) -> Result<u64, Fault> {
    u64::try_from(seq).map_err(|_| Fault::Damaged(format!("an event has the number {seq}")))
}
