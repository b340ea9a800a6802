//! A ledger in a SQLite file.

use std::path::{Path, PathBuf};

use sqlx::AnyConnection;
use sqlx::Connection;

use super::fault::Fault;

/// Takes SQLite's one write lock at once, so that what is read inside cannot change before it is written.
pub(crate) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// The file.
#[derive(Debug)]
pub(crate) struct SqliteFile {
    pub(crate) path: PathBuf,
    pub(crate) location: String,
    pub(crate) mode: Mode,
}

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Read,
    Write,
}

impl SqliteFile {
    pub(crate) fn new(path: PathBuf, mode: Mode) -> Self {
        Self {
            location: path.display().to_string(),
            path,
            mode,
        }
    }

    pub(crate) async fn connect(&self) -> Result<AnyConnection, Fault> {
        match self.mode {
            Mode::Read => connect(&self.path, Mode::Read).await,
            Mode::Write => writable(&self.path).await,
        }
    }
}

/// A connection whose commits are on the disk when they return.
pub(crate) async fn writable(path: &Path) -> Result<AnyConnection, Fault> {
    let mut connection = connect(path, Mode::Write).await?;
    sqlx::raw_sql("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

/// Connects to a file that is there. sqlx sets `foreign_keys` and a busy timeout of 5 s by itself.
pub(crate) async fn connect(path: &Path, mode: Mode) -> Result<AnyConnection, Fault> {
    sqlx::any::install_default_drivers();
    let configuration = |error: Box<dyn std::error::Error + Send + Sync>| {
        Fault::Database(sqlx::Error::Configuration(error))
    };
    // Without `.` and `..`, which a URL's parser would take out of the text and so past symbolic links.
    let path = std::fs::canonicalize(path).map_err(|error| Fault::Database(error.into()))?;
    let encoded = url::Url::from_file_path(&path)
        .map_err(|()| configuration("its path cannot be written as a URL".into()))?;
    let mode = match mode {
        Mode::Read => "ro",
        Mode::Write => "rw",
    };
    let url = format!("sqlite://{}?mode={mode}", encoded.path());
    Ok(AnyConnection::connect(&url).await?)
}
