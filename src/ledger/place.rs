//! Where a ledger is: its URL, and the path when none is given.

use std::path::PathBuf;

use etcetera::base_strategy::{BaseStrategy, Xdg};

use super::fault::unusable;
use super::postgres_url::{is_postgres, without_secrets};
use crate::core::ids::FleetName;
use crate::ports::LedgerError;

/// The ledger of a fleet that names none: `$XDG_STATE_HOME/rollctl/<fleet>.db`, below `~/.local/state` without that
/// variable.
///
/// # Errors
/// `Unusable` when nobody knows the user's home.
pub fn default_path(fleet: &FleetName) -> Result<PathBuf, LedgerError> {
    let file = format!("rollctl/{fleet}.db");
    let state = Xdg::new().ok().and_then(|user| user.state_dir());
    state.map(|state| state.join(&file)).ok_or_else(|| {
        unusable(
            &format!("$XDG_STATE_HOME/{file}"),
            "the user's home is not known",
            "set `HOME`, or `ledger.url = \"sqlite:PATH\"` in the inventory",
        )
    })
}

/// The file beside which a ledger's artifacts lie when the inventory gives no other place: the ledger itself; of one on a
/// server, the file that it would be on this machine.
///
/// # Errors
/// As [`default_path`] and [`sqlite_path`].
pub fn place_on_this_machine(url: &str, fleet: &FleetName) -> Result<PathBuf, LedgerError> {
    match is_postgres(url) {
        true => default_path(fleet),
        false => sqlite_path(url),
    }
}

/// The file of a `sqlite:PATH` URL (`sqlite://PATH` too), as it is written there.
///
/// # Errors
/// `Unusable` for every other URL, and for one with parameters.
pub fn sqlite_path(url: &str) -> Result<PathBuf, LedgerError> {
    let Some(rest) = url.strip_prefix("sqlite:") else {
        return Err(refused_scheme(url));
    };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let problem = match path {
        "" => "its URL has no path",
        ":memory:" => "a database in memory would forget everything",
        path if path.contains('?') => "its URL has parameters, which are not supported",
        path if path.contains('\0') => "its path has a null character",
        path => return Ok(PathBuf::from(path)),
    };
    Err(unusable(
        url,
        problem,
        "write `ledger.url = \"sqlite:PATH\"`",
    ))
}

fn refused_scheme(url: &str) -> LedgerError {
    let location = without_secrets(url);
    unusable(
        &location,
        "its URL is not understood",
        "write `ledger.url = \"sqlite:PATH\"` or `postgres://USER@HOST/DATABASE`, or leave it out for the default path",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_sqlite_name_a_path() {
        for (url, path) in [
            ("sqlite:production.db", "production.db"),
            ("sqlite:/var/lib/a b%20c#d.db", "/var/lib/a b%20c#d.db"),
            ("sqlite:///var/lib/x.db", "/var/lib/x.db"),
        ] {
            assert_eq!(sqlite_path(url).unwrap(), PathBuf::from(path), "{url}");
        }
    }

    #[test]
    fn other_urls_are_refused_without_their_secrets() {
        for (url, location, problem) in [
            (
                "mysql://u:hunter2@db/x",
                "mysql://u@db/x",
                "its URL is not understood",
            ),
            ("u:hunter2@db", "u:...", "its URL is not understood"),
            (
                "production.db",
                "production.db",
                "its URL is not understood",
            ),
            ("sqlite:", "sqlite:", "its URL has no path"),
            (
                "sqlite::memory:",
                "sqlite::memory:",
                "a database in memory would forget everything",
            ),
            (
                "sqlite:x.db?mode=rwc",
                "sqlite:x.db?mode=rwc",
                "its URL has parameters, which are not supported",
            ),
        ] {
            let error = sqlite_path(url).unwrap_err();
            assert!(
                error
                    .hint()
                    .is_some_and(|hint| hint.contains("sqlite:PATH"))
            );
            let LedgerError::Unusable {
                location: is,
                problem: says,
                ..
            } = error
            else {
                panic!("{url}: {error:?}");
            };
            assert_eq!((is.as_str(), says.as_str()), (location, problem), "{url}");
        }
    }

    #[test]
    fn the_default_is_in_the_state_folder() {
        let path = default_path(&FleetName::new("production")).unwrap();
        assert!(path.is_absolute());
        assert!(path.ends_with("rollctl/production.db"), "{path:?}");
    }
}
