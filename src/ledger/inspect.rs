//! Whether a file is a ledger that this rollctl can use. Looks at it through a connection that cannot write.
//!
//! The file is never opened other than by SQLite: closing any descriptor of it would drop every POSIX lock that this
//! process holds on it, also those of a connection at work.

use std::path::Path;

use sqlx::AnyConnection;
use sqlx::Row;

use super::fault::{Fault, damaged, unusable};
use super::migrate;
use crate::ports::LedgerError;

/// `roll`, in the header of every ledger.
pub(crate) const APPLICATION_ID: i64 = 0x726F_6C6C;

/// Refuses what is no ledger, is damaged, or comes from a later rollctl; the version of what can be used.
///
/// # Errors
/// `Unusable` with what is wrong and what can be done; `Database` when reading fails.
pub(crate) async fn refuse_unusable(
    connection: &mut AnyConnection,
    path: &Path,
    location: &str,
) -> Result<i64, LedgerError> {
    if size_of(path) == 0 {
        return Err(unusable(
            location,
            "is an empty file, not a ledger",
            "if no ledger was ever there, remove it and run the command again; else put a backup in its place",
        ));
    }
    let found = match read(connection, path).await {
        Err(Fault::Database(error)) if is_no_database(&error) => {
            return Err(unusable(
                location,
                "is not a ledger, or its beginning was overwritten: SQLite does not know it",
                "it was left as it is; set `ledger.url` to another path, or put a backup in its place",
            ));
        }
        other => other.map_err(|fault| fault.at(location, "reading its version"))?,
    };
    match found {
        Found::Foreign => Err(unusable(
            location,
            "is a database of another program, not a ledger of rollctl",
            "it was left as it is; set `ledger.url` to another path",
        )),
        Found::Damaged(what) => Err(damaged(location, &what)),
        Found::Version(version) if version > migrate::SCHEMA => {
            Err(migrate::refuse_later(location, version))
        }
        Found::Version(version) => Ok(version),
    }
}

enum Found {
    Foreign,
    Damaged(String),
    Version(i64),
}

async fn read(connection: &mut AnyConnection, path: &Path) -> Result<Found, Fault> {
    let row = sqlx::query("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    if row.try_get::<i64, _>(0)? != APPLICATION_ID {
        return Ok(Found::Foreign);
    }
    if ends_within_a_page(connection, path).await? {
        return Ok(Found::Damaged("its end is missing".to_owned()));
    }
    for check in checks(size_of(path)) {
        let row = sqlx::query(*check).fetch_one(&mut *connection).await?;
        let found: String = row.try_get(0)?;
        if found != "ok" {
            return Ok(Found::Damaged(found.replace('\n', " ")));
        }
    }
    Ok(Found::Version(migrate::version(connection).await?))
}

/// SQLite takes the missing rest of the last page for zeros. While there is a log, the file may end anywhere: the log
/// has the page.
async fn ends_within_a_page(connection: &mut AnyConnection, path: &Path) -> Result<bool, Fault> {
    let row = sqlx::query("PRAGMA page_size")
        .fetch_one(&mut *connection)
        .await?;
    let page = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0);
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    Ok(size_of(Path::new(&log)) == 0 && size_of(path).checked_rem(page) != Some(0))
}

fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// A check reads all that it checks, a megabyte in some 5 ms, at the begin of every command. Up to this size that is the
/// whole ledger.
const CHECKED_WHOLE: u64 = 8 << 20;

const WHOLE: &[&str] = &["PRAGMA quick_check(1)"];

/// Everything but the events: damage in those shows when they are read, and in their chain.
const ALL_BUT_EVENTS: &[&str] = &[
    "PRAGMA quick_check(meta)",
    "PRAGMA quick_check(revisions)",
    "PRAGMA quick_check(revision_names)",
    "PRAGMA quick_check(rollouts)",
    "PRAGMA quick_check(instances)",
    "PRAGMA quick_check(requests)",
    "PRAGMA quick_check(holds)",
    "PRAGMA quick_check(leases)",
];

/// What is asked of a ledger of that size before it is used.
fn checks(size: u64) -> &'static [&'static str] {
    match size <= CHECKED_WHOLE {
        true => WHOLE,
        false => ALL_BUT_EVENTS,
    }
}

/// `SQLITE_NOTADB`.
fn is_no_database(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| code == "26")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::sqlite::writable;
    use crate::ledger::testing::World;

    #[tokio::test]
    async fn of_a_large_ledger_every_table_but_the_events_is_checked() {
        let world = World::sqlite();
        drop(world.open().await);
        let mut connection = writable(&world.path()).await.unwrap();
        let rows = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let mut tables: Vec<String> = rows.iter().map(|row| row.get("name")).collect();
        tables.retain(|table| table != "events");
        tables.sort();
        let mut checked: Vec<_> = checks(u64::MAX).to_vec();
        checked.sort_unstable();
        let expected: Vec<_> = tables
            .iter()
            .map(|table| format!("PRAGMA quick_check({table})"))
            .collect();
        assert_eq!(checked, expected);
        for check in checked.iter().chain(checks(1)) {
            let row = sqlx::query(*check).fetch_one(&mut connection).await;
            assert_eq!(row.unwrap().get::<String, _>(0), "ok", "{check}");
        }
    }
}
