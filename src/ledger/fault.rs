//! What goes wrong inside the ledger, and how it becomes a [`LedgerError`].

use crate::ports::LedgerError;

/// A call that no correct controller makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(pub(crate) &'static str);

impl From<Misuse> for String {
    fn from(misuse: Misuse) -> Self {
        misuse.0.to_owned()
    }
}

/// An error that does not know yet in which ledger it happened.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The database said so.
    Database(sqlx::Error),
    /// A stored value makes no sense.
    Damaged(String),
    /// The rules said so.
    Refused(LedgerError),
    /// It was asked, and nothing came back in time: whether it was done is not known.
    NoAnswer,
    /// What was read could not be written to where it was to go.
    Output(std::io::Error),
    /// See [`Misuse`].
    Misuse(Misuse),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Self {
        Self::Refused(error)
    }
}

impl From<Misuse> for Fault {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

impl Fault {
    /// Whether the database has failed, not what was asked of it: then its connection is not to be used any more.
    pub(crate) fn is_databases(&self) -> bool {
        matches!(self, Self::Database(_) | Self::NoAnswer)
    }

    /// The error of the ledger at `location` while `doing` that.
    pub(crate) fn at(self, location: &str, doing: &'static str) -> LedgerError {
        match self {
            Self::Refused(error) => error,
            Self::Damaged(what) => damaged(location, &what),
            Self::NoAnswer => LedgerError::Away {
                location: location.to_owned(),
                problem: "it does not answer".to_owned(),
            },
            Self::Misuse(misuse) => LedgerError::Database {
                location: location.to_owned(),
                doing,
                source: Box::new(misuse),
            },
            Self::Output(error) => LedgerError::Database {
                location: location.to_owned(),
                doing,
                source: Box::new(error),
            },
            Self::Database(error) => match result_code(&error) {
                Some(code) => {
                    by_result_code(code, location).unwrap_or_else(|| other(error, location, doing))
                }
                None => other(error, location, doing),
            },
        }
    }
}

fn other(error: sqlx::Error, location: &str, doing: &'static str) -> LedgerError {
    // sqlx's own text repeats that of its cause.
    let source: Box<dyn std::error::Error + Send + Sync> = match error {
        sqlx::Error::Io(error) => return file(error, location, doing),
        sqlx::Error::Database(error) => error,
        other => Box::new(other),
    };
    LedgerError::Database {
        location: location.to_owned(),
        doing,
        source,
    }
}

/// What the operating system said of the file or its folder.
pub(crate) fn file(error: std::io::Error, location: &str, doing: &'static str) -> LedgerError {
    use std::io::ErrorKind;
    let code = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(13),
        ErrorKind::ReadOnlyFilesystem => Some(8),
        ErrorKind::PermissionDenied
        | ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::AlreadyExists => Some(14),
        _ => None,
    };
    code.and_then(|code| by_result_code(code, location))
        .unwrap_or_else(|| LedgerError::Database {
            location: location.to_owned(),
            doing,
            source: Box::new(error),
        })
}

/// SQLite's primary result code. PostgreSQL's codes have letters or five digits.
fn result_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<u32>()
        .ok()
        .filter(|_| code.len() < 5)
        .map(|extended| match extended {
            NO_ROOM_FOR_SHM => 13,
            other => other & 0xff,
        })
}

/// `SQLITE_IOERR_SHMSIZE`: the file beside the ledger that readers and writers share cannot be made as long as it must be.
const NO_ROOM_FOR_SHM: u32 = 4874;

fn is_read_only(location: &str) -> bool {
    rustix::fs::statvfs(location)
        .is_ok_and(|stat| stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// What a person can do something about; the numbers are SQLite's (<https://sqlite.org/rescode.html>).
fn by_result_code(code: u32, location: &str) -> Option<LedgerError> {
    // Without the files beside it that readers share, SQLite only says that it cannot open what it cannot write.
    let code = match code {
        14 if is_read_only(location) => 8,
        code => code,
    };
    let (problem, hint) = match code {
        3 | 14 => (
            "cannot be opened",
            "look at the owner and the mode of the file and of its folder, at the mount, and whether the disk is full",
        ),
        5 | 6 => (
            "another process has kept it locked for 5 s",
            "`fuser` shows which process has it open; run the command again when that is done",
        ),
        8 => (
            "cannot be written: it or its file system is read-only",
            "look at the owner and the mode of the file and of its folder, and at the mount",
        ),
        11 | 26 => return Some(damaged(location, "SQLite finds it malformed")),
        13 => (
            "cannot be written: its disk is full",
            "free some space there, then run the command again; what was recorded until now is safe",
        ),
        _ => return None,
    };
    Some(unusable(location, problem, hint))
}

/// The file is a ledger, but broken. Nothing is ever repaired or overwritten by itself.
pub(crate) fn damaged(location: &str, what: &str) -> LedgerError {
    unusable(
        location,
        format!("is damaged: {what}"),
        format!(
            "it was left as it is; put a backup in its place, or save what can be read with \
             `sqlite3 {location} .recover`, working on a copy of it and of its `-wal` file"
        ),
    )
}

pub(crate) fn unusable(
    location: &str,
    problem: impl Into<String>,
    hint: impl Into<String>,
) -> LedgerError {
    LedgerError::Unusable {
        location: location.to_owned(),
        problem: problem.into(),
        hint: hint.into(),
    }
}
