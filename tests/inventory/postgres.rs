//! Ledgers on a server.

use rollctl::inventory::{Loaded, load};

fn with_ledger(folder: &std::path::Path, url: &str) -> Loaded {
    let path = folder.join("production.toml");
    let text = format!("[ledger]\nurl = \"{url}\"\n\n[hosts.web-01]\n");
    std::fs::write(&path, text).unwrap();
    load(&path).unwrap_or_else(|errors| panic!("{url}: {}", errors.render(false)))
}

#[test]
fn a_line_that_may_be_read_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    for (url, warns) in [
        ("postgres://rollctl@db.example.net/rollctl", true),
        (
            "postgresql://db.example.net:5433/rollctl?sslmode=prefer",
            true,
        ),
        ("postgres://db.example.net/rollctl?sslmode=disable", true),
        ("postgres:///rollctl?host=192.0.2.1", true),
        ("postgres://db.example.net/rollctl?sslmode=require", false),
        (
            "postgres://db.example.net/rollctl?sslmode=verify-full",
            false,
        ),
        ("postgres://localhost/rollctl", false),
        ("postgres://127.0.0.1:5433/rollctl?sslmode=disable", false),
        ("postgres://[::1]/rollctl", false),
        ("postgres:///rollctl?host=/run/postgresql", false),
        ("postgres://rollctl@%2Frun%2Fpostgresql/rollctl", false),
    ] {
        let loaded = with_ledger(folder.path(), url);
        let found = loaded.fleet.ledger_url.unwrap();
        assert_eq!(found.split('?').next(), url.split('?').next());
        let warnings: Vec<_> = loaded.warnings.iter().map(|one| &one.message).collect();
        assert_eq!(!warnings.is_empty(), warns, "{url}: {warnings:?}");
    }
}

#[test]
fn files_are_relative_to_the_inventory() {
    let folder = tempfile::tempdir().unwrap();
    let loaded = with_ledger(
        folder.path(),
        "postgres://db/rollctl?sslmode=verify-full&sslrootcert=./own%20ca.crt&sslkey=/etc/key&sslcert=/etc/crt",
    );
    let url = url::Url::parse(&loaded.fleet.ledger_url.unwrap()).unwrap();
    let values: Vec<_> = url
        .query_pairs()
        .map(|(_, value)| value.into_owned())
        .collect();
    let root = folder.path().join("own ca.crt");
    assert_eq!(
        values,
        [
            "verify-full",
            root.to_str().unwrap(),
            "/etc/key",
            "/etc/crt"
        ]
    );
}
