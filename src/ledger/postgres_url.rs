//! The URL of a ledger on a PostgreSQL server: what is shown of it, and what the driver is given.

use url::{Host, Url};

use super::fault::unusable;
use crate::ports::LedgerError;

/// Whether a ledger's URL means PostgreSQL.
pub(crate) fn is_postgres(url: &str) -> bool {
    ["postgres:", "postgresql:"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
}

/// The URL without password and parameters; only its scheme where it cannot be told what is a password.
pub(crate) fn without_secrets(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return match text.split_once([':', '@', '?']) {
            Some((scheme, _)) => format!("{scheme}:..."),
            None => text.to_owned(),
        };
    };
    url.set_query(None);
    url.set_fragment(None);
    // Without a host there is nobody whose password it could be.
    if url.has_host() && url.set_password(None).is_err() {
        return format!("{}:...", url.scheme());
    }
    match url.has_host() || (is_postgres(text) && url.path().starts_with('/')) {
        true => url.to_string(),
        false => format!("{}:...", url.scheme()),
    }
}

/// The URL as sqlx takes it. Passwords it finds by itself: `PGPASSWORD`, then `PGPASSFILE` or `~/.pgpass`.
///
/// # Errors
/// `Unusable` when it is no URL.
pub(crate) fn for_driver(text: &str) -> Result<Url, LedgerError> {
    let mut url = Url::parse(text).map_err(|error| {
        unusable(
            &without_secrets(text),
            format!("its URL is not understood: {error}"),
            "write `ledger.url = \"postgres://USER@HOST/DATABASE\"`",
        )
    })?;
    // The driver looks up the name `[::1]` as it stands, brackets and all.
    if let Some(Host::Ipv6(address)) = url.host().map(|host| host.to_owned()) {
        url.query_pairs_mut()
            .append_pair("host", &address.to_string());
    } else if let Some(address) = url
        .host_str()
        .and_then(|host| host.strip_prefix('[')?.strip_suffix(']'))
        .map(str::to_owned)
    {
        url.query_pairs_mut().append_pair("host", &address);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        for (url, shown) in [
            ("postgres://u:geheim@db/x", "postgres://u@db/x"),
            (
                "postgres://u:geheim@db:5433/x?sslmode=require",
                "postgres://u@db:5433/x",
            ),
            ("postgresql://db/x?password=geheim", "postgresql://db/x"),
            ("postgres:///x?host=/run/postgresql", "postgres:///x"),
            (
                "postgres://u@%2Frun%2Fpostgresql/x",
                "postgres://u@%2Frun%2Fpostgresql/x",
            ),
            ("postgres://u:geheim@db:port/x", "postgres:..."),
            ("postgres:geheim", "postgres:..."),
        ] {
            assert_eq!(without_secrets(url), shown, "{url}");
        }
    }

    #[test]
    fn the_driver_gets_addresses_without_brackets() {
        for (url, given) in [
            (
                "postgres://u@db/x?sslmode=require",
                "postgres://u@db/x?sslmode=require",
            ),
            (
                "postgres://u@[::1]:5433/x",
                "postgres://u@[::1]:5433/x?host=%3A%3A1",
            ),
            ("postgres:///x?host=/run/pg", "postgres:///x?host=/run/pg"),
        ] {
            assert_eq!(for_driver(url).unwrap().as_str(), given, "{url}");
        }
        let error = for_driver("postgres://u:geheim@db:port/x").unwrap_err();
        assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
    }
}
