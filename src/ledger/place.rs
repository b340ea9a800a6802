//! Where a ledger is: its URL, and the path when none is given.

use std::path::PathBuf;

use etcetera::base_strategy::{BaseStrategy, Xdg};

use super::fault::unusable;
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
    if ["postgres:", "postgresql:"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return unusable(
            &location,
            "PostgreSQL cannot be used yet",
            "use `ledger.url = \"sqlite:PATH\"`, or leave it out for the default path",
        );
    }
    unusable(
        &location,
        "its URL is not understood",
        "write `ledger.url = \"sqlite:PATH\"`, or leave it out for the default path",
    )
}

/// The URL without password and parameters; only its scheme where it cannot be told what is a password.
fn without_secrets(text: &str) -> String {
    if let Ok(mut url) = url::Url::parse(text)
        && url.has_host()
        && url.set_password(None).is_ok()
    {
        url.set_query(None);
        url.set_fragment(None);
        return url.to_string();
    }
    match text.split_once([':', '@', '?']) {
        Some((scheme, _)) => format!("{scheme}:..."),
        None => text.to_owned(),
    }
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
                "postgres://u:hunter2@db/x",
                "postgres://u@db/x",
                "PostgreSQL cannot be used yet",
            ),
            (
                "postgresql://db/x?password=hunter2&sslmode=require",
                "postgresql://db/x",
                "PostgreSQL cannot be used yet",
            ),
            (
                "postgres://u:hunter2@db:port/x",
                "postgres:...",
                "PostgreSQL cannot be used yet",
            ),
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
