//! Opening a ledger, and making a new one.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sqlx::AnyConnection;
use sqlx::Connection;

use super::database::Database;
use super::fault::{Fault, file, unusable};
use super::filesystem::network_file_system;
use super::here::Here;
use super::inspect::{APPLICATION_ID, refuse_unusable};
use super::migrate::{self, Dialect};
use super::place::sqlite_path;
use super::postgres_open;
use super::postgres_url::is_postgres;
use super::sql_ledger::SqlLedger;
use super::sqlite::{BEGIN_WRITE, Mode, SqliteFile, connect, writable};
use crate::core::ids::LedgerId;
use crate::ports::LedgerError;

/// Opens the ledger of a `sqlite:PATH` or `postgres://...` URL for reading and writing, and makes it when there is none:
/// in a file (folders with mode 0700, the file with 0600; a relative path is relative to the process's working folder),
/// or as tables in a database that is there.
///
/// # Errors
/// `Unusable` when what is there is not a ledger, damaged, too new, on a network file system or does not let us in, and
/// for other URLs; `Away` when the server cannot be reached; `Database` when it fails otherwise. Nothing that was there
/// is changed then.
pub async fn open(url: &str, here: Here) -> Result<SqlLedger, LedgerError> {
    if is_postgres(url) {
        return postgres_open::open(url, here).await;
    }
    let path = absolute(sqlite_path(url)?)?;
    let location = path.display().to_string();
    refuse_network(&path, &location)?;
    if !exists(&path, &location)? {
        make(&path, &location, &here).await?;
    }
    inspected(&path, &location).await?.close().await.ok();
    let connection = writable(&path)
        .await
        .map_err(|fault| fault.at(&location, "opening it"))?;
    let database = Database::Sqlite(SqliteFile::new(path, Mode::Write));
    SqlLedger::over(connection, database, here).await
}

/// Opens the ledger of a URL for reading only; nothing when there is none. It makes no ledger, and every
/// attempt to record something in it fails.
///
/// # Errors
/// As [`open`].
pub async fn open_existing(url: &str, here: Here) -> Result<Option<SqlLedger>, LedgerError> {
    if is_postgres(url) {
        return postgres_open::open_existing(url, here).await;
    }
    let path = absolute(sqlite_path(url)?)?;
    let location = path.display().to_string();
    if !exists(&path, &location)? {
        return Ok(None);
    }
    refuse_network(&path, &location)?;
    let connection = inspected(&path, &location).await?;
    let database = Database::Sqlite(SqliteFile::new(path, Mode::Read));
    SqlLedger::over(connection, database, here).await.map(Some)
}

fn absolute(path: PathBuf) -> Result<PathBuf, LedgerError> {
    std::path::absolute(&path)
        .map_err(|error| io_error(&path.display().to_string(), "finding it", error))
}

fn refuse_network(path: &Path, location: &str) -> Result<(), LedgerError> {
    match network_file_system(path) {
        Some(kind) => Err(unusable(
            location,
            format!("is on a network file system ({kind}), on which SQLite's locks do not hold"),
            "set `ledger.url` to a path on a local disk",
        )),
        None => Ok(()),
    }
}

/// Whether a file is there. One that was lost while its write-ahead log remains counts as damaged: SQLite would play
/// that log into whatever new file appears beside it.
fn exists(path: &Path, location: &str) -> Result<bool, LedgerError> {
    match std::fs::metadata(path) {
        Ok(file) if file.is_file() => Ok(true),
        Ok(_) => Err(unusable(
            location,
            "is not a plain file",
            "set `ledger.url` to the path of a file",
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if std::fs::symlink_metadata(path).is_ok() {
                return Err(unusable(
                    location,
                    "is a link to a file that is not there",
                    "put the file back (is its disk mounted?), or remove the link to begin an empty ledger",
                ));
            }
            let log = format!("{location}-wal");
            if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
                return Err(unusable(
                    location,
                    "is gone, but its log `-wal` is there",
                    format!(
                        "put the file back beside `{log}`; or move `{log}` away to begin an empty ledger"
                    ),
                ));
            }
            Ok(false)
        }
        Err(error) => Err(io_error(location, "finding it", error)),
    }
}

/// Makes an empty ledger aside and moves it into place: whoever looks finds none or a whole one. When another process
/// was faster, its ledger stays.
async fn make(path: &Path, location: &str, here: &Here) -> Result<(), LedgerError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| io_error(location, "making its folder", error))?;
    let made = |error| io_error(location, "making it", error);
    let aside = tempfile::Builder::new()
        .prefix(".rollctl-new-ledger-")
        .tempfile_in(folder)
        .map_err(made)?
        .into_temp_path();
    fill(&aside, here)
        .await
        .map_err(|fault| fault.at(location, "making it"))?;
    match aside.persist_noclobber(path) {
        Ok(()) => std::fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(made),
        Err(failed) if failed.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(failed) => Err(made(failed.error)),
    }
}

async fn fill(path: &Path, here: &Here) -> Result<(), Fault> {
    let mut connection = connect(path, Mode::Write).await?;
    let application = format!("PRAGMA application_id = {APPLICATION_ID}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(application))
        .execute(&mut connection)
        .await?;
    let id = LedgerId::new(uuid::Uuid::new_v4().to_string());
    let mut transaction = connection.begin().await?;
    migrate::create(&mut transaction, Dialect::Sqlite, &id, here.now()).await?;
    transaction.commit().await?;
    sqlx::raw_sql("PRAGMA journal_mode = WAL")
        .execute(&mut connection)
        .await?;
    Ok(connection.close().await?)
}

/// A connection that only reads, to a ledger that was found good and has this rollctl's schema.
async fn inspected(path: &Path, location: &str) -> Result<AnyConnection, LedgerError> {
    let opening = |fault: Fault| fault.at(location, "opening it");
    let mut connection = connect(path, Mode::Read).await.map_err(opening)?;
    if refuse_unusable(&mut connection, path, location).await? < migrate::SCHEMA {
        let mut writer = writable(path).await.map_err(opening)?;
        upgrade(&mut writer)
            .await
            .map_err(|fault| fault.at(location, "bringing its schema up to date"))?;
        writer.close().await.ok();
    }
    Ok(connection)
}

async fn upgrade(connection: &mut AnyConnection) -> Result<(), Fault> {
    let mut transaction = connection.begin_with(BEGIN_WRITE).await?;
    migrate::upgrade(&mut transaction, Dialect::Sqlite).await?;
    Ok(transaction.commit().await?)
}

fn io_error(location: &str, doing: &'static str, error: std::io::Error) -> LedgerError {
    file(error, location, doing)
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;
    use crate::ledger::testing::World;
    use crate::ports::Ledger;

    #[tokio::test]
    async fn whoever_makes_a_ledger_last_finds_the_first_one() {
        let world = World::sqlite();
        let here = world.here("laptop", "boot-1");
        let first = open(&world.url(), here.clone()).await.unwrap();
        // As if it had looked before the first was there.
        make(&world.path(), "here", &here).await.unwrap();
        let again = open(&world.url(), here).await.unwrap();
        assert_eq!(again.id(), first.id());
        let folder = world.path().parent().unwrap().to_owned();
        let files = std::fs::read_dir(folder).unwrap();
        let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names.len(), 3, "nothing is left over: {names:?}");
    }

    #[tokio::test]
    async fn what_is_committed_is_on_the_disk() {
        let world = World::sqlite();
        let here = world.here("laptop", "boot-1");
        open(&world.url(), here).await.unwrap();
        let mut connection = writable(&world.path()).await.unwrap();
        for (setting, wanted) in [
            ("PRAGMA synchronous", 2),
            ("PRAGMA foreign_keys", 1),
            ("PRAGMA busy_timeout", 5_000),
            (
                "SELECT COUNT(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'",
                1,
            ),
        ] {
            let row = sqlx::query(setting)
                .fetch_one(&mut connection)
                .await
                .unwrap();
            assert_eq!(row.get::<i64, _>(0), wanted, "{setting}");
        }
    }
}
