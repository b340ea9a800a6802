//! `[ledger] url = "postgres://..."`.

use url::{Host, Url};

use super::mistake::Findings;
use super::paths::resolve;
use super::reader::Entry;
use super::suggest::{list, nearest};

/// What may stand behind the `?`; the driver knows more, which nobody needs or which is secret.
const PARAMETERS: [&str; 7] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "options",
    "application_name",
];

/// Of libpq's, without `allow`, which the driver takes for `disable`.
const MODES: [&str; 5] = ["disable", "prefer", "require", "verify-ca", "verify-full"];

const EXAMPLE: &str =
    "write `url = \"postgres://rollctl@db.example.net/rollctl?sslmode=verify-full\"`";

/// Whether a ledger's URL means a PostgreSQL server.
pub(crate) fn is_meant(text: &str) -> bool {
    ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
}

/// The URL, its files with absolute paths. It has no secret in it.
pub(crate) fn ledger(text: &str, entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<String> {
    let mut url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            f.wrong_help(&entry.at, format!("`url` is no URL: {error}"), EXAMPLE);
            return None;
        }
    };
    let has_password = url.query_pairs().any(|(name, _)| name == "password");
    if url.password().is_some() || has_password {
        f.wrong_help(
            &entry.at,
            "`url` has a password, for everybody who reads the inventory",
            "take it out; it comes from `PGPASSWORD`, or from `~/.pgpass`",
        );
        return None;
    }
    if url.path().len() <= 1 || url.fragment().is_some() {
        f.wrong_help(&entry.at, "`url` names no database", EXAMPLE);
        return None;
    }
    let parameters = parameters(&url, entry, f)?;
    warn_of_open_line(&url, &parameters, entry, f);
    if !parameters.is_empty() {
        url.query_pairs_mut().clear().extend_pairs(&parameters);
    }
    Some(url.into())
}

fn parameters(url: &Url, entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<Vec<(String, String)>> {
    let mut known = Vec::new();
    for (name, value) in url.query_pairs() {
        let value = match name.as_ref() {
            "sslmode" if !MODES.contains(&value.as_ref()) => {
                let help = format!("write {}", list(MODES));
                f.wrong_help(&entry.at, format!("`sslmode` cannot be `{value}`"), help);
                return None;
            }
            "sslrootcert" | "sslcert" | "sslkey" => {
                resolve(&value, entry, f)?.to_string_lossy().into_owned()
            }
            other if PARAMETERS.contains(&other) => value.into_owned(),
            other => {
                let unknown = format!("unknown parameter `{other}`");
                match nearest(other, PARAMETERS) {
                    Some(meant) => {
                        f.wrong(&entry.at, format!("{unknown}, did you mean `{meant}`?"))
                    }
                    None => f.wrong_help(
                        &entry.at,
                        unknown,
                        format!("known here: {}", list(PARAMETERS)),
                    ),
                }
                return None;
            }
        };
        known.push((name.into_owned(), value));
    }
    Some(known)
}

/// The ledger says what was released to whom: whoever sits between may read it, or be taken for the server.
fn warn_of_open_line(
    url: &Url,
    parameters: &[(String, String)],
    entry: &Entry<'_>,
    f: &mut Findings<'_>,
) {
    let find = |wanted: &str| {
        let mut named = parameters.iter().filter(|(name, _)| name == wanted);
        named.next_back().map(|(_, value)| value.as_str())
    };
    let host = find("host").or(url.host_str()).unwrap_or_default();
    let is_open = matches!(find("sslmode"), None | Some("disable" | "prefer"));
    if is_open && !is_this_machine(host) {
        f.warn(
            &entry.at,
            format!("nothing is sure to keep the line to `{host}` from being read"),
            "add `?sslmode=verify-full`, and `&sslrootcert=FILE` for a certificate by an authority of your own",
        );
    }
}

/// A socket's folder, or an address of this machine itself.
fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || host.starts_with('/') || host.to_ascii_lowercase().starts_with("%2f") {
        return true;
    }
    match Host::parse(host) {
        Ok(Host::Domain(name)) => name == "localhost",
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Err(_) => host
            .parse::<std::net::Ipv6Addr>()
            .is_ok_and(|address| address.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_machines_are_far_away() {
        for (host, is_here) in [
            ("", true),
            ("/run/postgresql", true),
            ("%2Frun%2Fpostgresql", true),
            ("localhost", true),
            ("127.0.0.1", true),
            ("[::1]", true),
            ("::1", true),
            ("db.example.net", false),
            ("192.0.2.1", false),
            ("[2001:db8::1]", false),
            ("localhost.example.net", false),
        ] {
            assert_eq!(is_this_machine(host), is_here, "{host}");
        }
    }
}
