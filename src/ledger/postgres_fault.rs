//! What PostgreSQL, or the way to it, says when something goes wrong.

use std::io;

use super::fault::{Fault, unusable};
use crate::ports::LedgerError;

/// The error of the ledger at `location` while `doing` that.
pub(crate) fn error(fault: Fault, location: &str, doing: &'static str) -> LedgerError {
    match fault {
        Fault::Damaged(what) => unusable(
            location,
            format!("is damaged: {what}"),
            "it was left as it is; restore a backup of the database",
        ),
        Fault::NoAnswer => away(location, "it does not answer"),
        Fault::Database(sqlx::Error::Io(error)) => of_connection(&error, location),
        Fault::Database(sqlx::Error::Tls(error)) => no_trust(location, &error.to_string()),
        Fault::Database(sqlx::Error::Configuration(error)) => unusable(
            location,
            format!("its URL or the environment is not understood: {error}"),
            "look at `ledger.url`, and at what `env | grep ^PG` shows",
        ),
        Fault::Database(error) => match code(&error) {
            Some(code) => of_code(&code, &error, location),
            None => None,
        }
        .unwrap_or_else(|| Fault::Database(error).at(location, doing)),
        Fault::Refused(_) | Fault::Output(_) | Fault::Misuse(_) => fault.at(location, doing),
    }
}

/// Whether the connection is gone: the server was restarted, or something between cut it.
pub(crate) fn is_lost(fault: &Fault) -> bool {
    match fault {
        Fault::Database(sqlx::Error::Io(_)) => true,
        Fault::Database(error) => code(error).is_some_and(|code| is_gone(&code)),
        _ => false,
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .map(|code| code.into_owned())
}

/// Connections that ended, servers that stop or start, sessions that were ended (`25P03`: they stood idle with the lock).
fn is_gone(code: &str) -> bool {
    code.starts_with("08") || ["57P01", "57P02", "57P03", "57P05", "25P03"].contains(&code)
}

/// Somebody else was in the way: a lock that did not come in time, a deadlock, no connection left.
fn is_busy(code: &str) -> bool {
    ["55P03", "57014", "40001", "40P01", "53300"].contains(&code)
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn of_code(code: &str, error: &sqlx::Error, location: &str) -> Option<LedgerError> {
    let said = said(error);
    let (problem, hint) = match code {
        code if is_gone(code) || is_busy(code) => return Some(away(location, &said)),
        "28000" | "28P01" => (
            "does not let us in",
            "the password comes from `PGPASSWORD`, or from `~/.pgpass` (mode 0600); `pg_hba.conf` on the server says who may \
             come from where",
        ),
        "3D000" => (
            "there is no such database",
            "make it once, as the server's administrator: `CREATE DATABASE rollctl OWNER rollctl`",
        ),
        "42501" => (
            "does not allow it",
            "the user needs to own the database, or the schema in it: `ALTER DATABASE rollctl OWNER TO rollctl`",
        ),
        "25006" => (
            "cannot be written: it is read-only",
            "is it a standby? `ledger.url` has to name the primary",
        ),
        "53100" => (
            "cannot be written: its disk is full",
            "free some space there, then run the command again; what was recorded until now is safe",
        ),
        _ => return None,
    };
    Some(unusable(location, format!("{problem} ({said})"), hint))
}

/// The server's own words.
fn said(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(error) => error.message().to_owned(),
        None => error.to_string(),
    }
}

fn of_connection(error: &io::Error, location: &str) -> LedgerError {
    match error.kind() {
        // What rustls refuses arrives as this.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            no_trust(location, &error.to_string())
        }
        _ => away(location, &error.to_string()),
    }
}

fn no_trust(location: &str, problem: &str) -> LedgerError {
    unusable(
        location,
        format!("no trusted connection: {problem}"),
        "`sslmode=verify-full` wants a certificate for the host's name, by a CA that this machine knows or that \
         `sslrootcert=FILE` holds",
    )
}

fn away(location: &str, problem: &str) -> LedgerError {
    LedgerError::Away {
        location: location.to_owned(),
        problem: problem.to_owned(),
    }
}
