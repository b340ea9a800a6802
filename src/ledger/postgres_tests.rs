//! What only a server has: other people's tables, passwords and certificates, and a clock of its own.

use std::sync::Arc;
use std::time::Duration;

use rollctl_postgres::Options;

use super::migrate::SCHEMA;
use super::postgres_away_tests::server_with;
use super::testing::*;
use super::{LEASE, open, open_existing};
use crate::ports::{Ledger, LedgerError};

#[tokio::test]
async fn reading_makes_no_ledger_and_changes_none() {
    let Some(world) = World::postgres() else {
        return;
    };
    let here = world.here("laptop", "boot-1");
    let found = open_existing(&world.url(), here.clone()).await.unwrap();
    assert!(found.is_none());
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    let count = world.server().sql(world.database(), tables).unwrap();
    assert_eq!(count, "0");

    let ledger = world.open().await;
    lease(&*ledger).await;
    let reader = open_existing(&world.url(), here).await.unwrap().unwrap();
    assert!(reader.holder(&service("web")).await.unwrap().is_some());
    let error = reader
        .record_revision(&revision("web", 'a', None))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
    assert!(ledger.revisions(&service("web")).await.unwrap().is_empty());

    // Somebody who may only look.
    let rights = "CREATE ROLE guest LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest;
                  GRANT USAGE ON SCHEMA set TO guest";
    world.server().sql(world.database(), rights).unwrap();
    let url = world.url().replace("rollctl@", "guest@");
    let here = world.here("laptop", "boot-1");
    let guest = open_existing(&url, here.clone()).await.unwrap().unwrap();
    assert!(guest.holder(&service("web")).await.unwrap().is_some());
    let may_write = open(&url, here).await.unwrap();
    let error = may_write
        .record_revision(&revision("web", 'a', None))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("does not allow it"), "{error}");
}

#[tokio::test]
async fn many_machines_make_one_ledger_and_give_each_number_once() {
    let Some(world) = World::postgres() else {
        return;
    };
    made_by_many(&world).await;
}

#[tokio::test]
async fn what_is_no_ledger_of_ours_is_refused_and_left_as_it_is() {
    let Some(world) = World::postgres() else {
        return;
    };
    let (server, url) = (world.server(), world.url());
    let sql = |sql: &str| server.sql(world.database(), sql).unwrap();
    let refused = async || {
        let here = world.here("laptop", "boot-1");
        let mut texts = Vec::new();
        for error in [
            open(&url, here.clone()).await.map(drop).unwrap_err(),
            open_existing(&url, here).await.map(drop).unwrap_err(),
        ] {
            assert!(matches!(error, LedgerError::Unusable { .. }), "{error:?}");
            assert!(error.hint().is_some(), "{error}");
            texts.push(error.to_string());
        }
        texts
    };
    sql("CREATE TABLE events (id int)");
    for text in refused().await {
        assert!(
            text.contains("a table `events` of another program"),
            "{text}"
        );
    }
    sql("DROP TABLE events; CREATE TABLE meta (x int); GRANT ALL ON meta TO rollctl");
    for text in refused().await {
        assert!(text.contains("a table `meta` of another program"), "{text}");
    }
    // Tables of other names are nobody's business.
    sql("DROP TABLE meta; CREATE TABLE customers (id int)");
    drop(world.open().await);
    sql("UPDATE meta SET schema_version = 99");
    for text in refused().await {
        assert!(
            text.ends_with(&format!(
                "has schema version 99; this rollctl knows up to {SCHEMA}"
            )),
            "{text}"
        );
    }
    sql("DELETE FROM meta");
    for text in refused().await {
        assert!(text.contains("is damaged"), "{text}");
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_how_and_no_password() {
    let options = Options {
        password: Some("geheim".to_owned()),
        ..Options::default()
    };
    let Some(server) = server_with(options) else {
        return;
    };
    let here = World::sqlite().here("laptop", "boot-1");
    let with = |password: &str| server.url("one").replace('@', &format!(":{password}@"));
    let nowhere = with("geheim").replace("/one", "/other");
    for (url, problem) in [
        (with("geheimnis"), "does not let us in"),
        (server.url("one"), "does not let us in"),
        (nowhere, "there is no such database"),
    ] {
        let error = open(&url, here.clone()).await.unwrap_err();
        let text = format!("{error} {error:?} {:?}", error.hint());
        assert!(text.contains(problem), "{text}");
        assert!(!text.contains("geheim"), "{text}");
    }
    server
        .sql("one", "ALTER DATABASE one OWNER TO postgres")
        .unwrap();
    let error = open(&with("geheim"), here.clone()).await.unwrap_err();
    assert!(error.to_string().contains("does not allow it"), "{error}");
    server
        .sql("one", "ALTER DATABASE one OWNER TO rollctl")
        .unwrap();
    let ledger = open(&with("geheim"), here).await.unwrap();
    assert!(!format!("{:?}", ledger.id()).is_empty());
}

#[tokio::test]
async fn events_cannot_be_changed_deleted_or_truncated() {
    let Some(world) = World::postgres() else {
        return;
    };
    let ledger = world.open().await;
    let lease = lease(&*ledger).await;
    let first = started("web", 'a');
    ledger
        .begin_rollout(&lease, world.now(), &first)
        .await
        .unwrap();
    let by_hand = open(&world.url(), world.here("laptop", "boot-1"))
        .await
        .unwrap();
    for sql in [
        "UPDATE events SET body = '{}' WHERE id = 1",
        "DELETE FROM events",
        "TRUNCATE events",
    ] {
        let error = by_hand.run_sql(sql).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{sql}: {error}");
    }
    assert_eq!(whole(&*ledger, "web").await, 1);
}

#[tokio::test]
async fn leases_run_out_by_the_servers_clock_whatever_the_machines_say() {
    let Some(world) = World::postgres() else {
        return;
    };
    // A laptop whose clock is an hour late, and a server's whose clock is a day early.
    let (late, early) = (World::sqlite(), World::sqlite());
    early.pass(Duration::from_secs(86_400));
    let laptop = open(&world.url(), late.here("laptop", "boot-1"))
        .await
        .unwrap();
    let server = open(&world.url(), early.here("server", "boot-9"))
        .await
        .unwrap();
    let web = service("web");
    world.pass(Duration::from_secs(3_600));
    let mine = laptop.acquire(&web, &holder(812), false).await.unwrap();
    for silent in [0, 14_999] {
        world.pass(Duration::from_millis(silent));
        let held = server.acquire(&web, &holder(900), false).await;
        assert!(
            matches!(held, Err(LedgerError::LeaseHeld { .. })),
            "{held:?}"
        );
        assert!(server.holder(&web).await.unwrap().is_some());
    }
    laptop.renew(&mine).await.unwrap();
    early.pass(LEASE * 100);
    assert!(server.acquire(&web, &holder(900), false).await.is_err());
    world.pass(LEASE);
    assert_eq!(laptop.holder(&web).await.unwrap(), None);
    server.acquire(&web, &holder(900), false).await.unwrap();
}

#[tokio::test]
async fn only_a_server_that_proves_who_it_is_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, certificate, key) = certificates(folder.path());
    let options = Options {
        tls: Some((certificate, key)),
        password: Some("geheim".to_owned()),
    };
    let Some(server) = server_with(options) else {
        return;
    };
    let here = World::sqlite().here("laptop", "boot-1");
    let named = |host: &str, parameters: &str| {
        let url = server.url("one").replace('@', ":geheim@");
        format!("{}?{parameters}", url.replace("127.0.0.1", host))
    };
    let root = format!("sslrootcert={}", authority.display());
    for (host, parameters) in [
        ("localhost", format!("sslmode=verify-full&{root}")),
        ("127.0.0.1", format!("sslmode=verify-ca&{root}")),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("[::1]", "sslmode=require".to_owned()),
    ] {
        let url = named(host, &parameters);
        open(&url, here.clone()).await.unwrap();
    }
    for (host, parameters, problem) in [
        (
            "localhost",
            "sslmode=verify-full".to_owned(),
            "UnknownIssuer",
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-full&{root}"),
            "not valid for name",
        ),
        (
            "127.0.0.1",
            "sslmode=disable".to_owned(),
            "does not let us in",
        ),
    ] {
        let error = open(&named(host, &parameters), here.clone())
            .await
            .unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(problem), "{parameters}: {text}");
        assert!(matches!(error, LedgerError::Unusable { .. }), "{text}");
        assert!(!text.contains("geheim"), "{text}");
    }
}

/// An authority's certificate in a file, and a certificate for `localhost` by it, with its key.
fn certificates(folder: &std::path::Path) -> (std::path::PathBuf, String, String) {
    let openssl = |words: &[&str]| {
        let mut command = std::process::Command::new("openssl");
        let output = command.args(words).current_dir(folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    };
    let request = [
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
    ];
    let ca = ["-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test"];
    openssl(&[&request[..], &ca].concat());
    let own = [
        "-keyout",
        "key",
        "-out",
        "crt",
        "-subj",
        "/CN=localhost",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    openssl(&[&request[..], &own].concat());
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    (folder.join("ca.crt"), read("crt"), read("key"))
}

#[tokio::test]
async fn a_ledger_of_schema_1_is_brought_up_to_date_by_many_at_once() {
    let Some(world) = World::postgres() else {
        return;
    };
    let by_hand = [
        "SET ROLE rollctl;",
        include_str!("migrations/0001.sql"),
        include_str!("migrations/0001.postgres.sql"),
        include_str!("upgrade_tests/schema_1.sql"),
    ];
    let sql = by_hand.concat();
    world.server().sql(world.database(), &sql).unwrap();
    upgraded_by_many(&world).await;
    let schema = |world: &World| {
        let sql = "SELECT table_name, column_name, data_type, is_nullable, ordinal_position
                   FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 5";
        world.server().sql(world.database(), sql).unwrap()
    };
    let new = World::on(&Arc::clone(world.server()));
    drop(new.open().await);
    assert_eq!(schema(&world), schema(&new));
}
