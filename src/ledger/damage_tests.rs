//! Files that are no usable ledger, and what a file promises beyond the contract.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::task::Poll;

use super::testing::*;
use super::{Chain, Chained, SqlLedger, open, open_existing};
use crate::core::event::Event;
use crate::core::ids::RolloutId;
use crate::ports::{Ledger, LedgerError};

async fn open_file(world: &World) -> SqlLedger {
    let here = world.here("laptop", "boot-1");
    open(&world.url(), here).await.unwrap()
}

/// A ledger with some hundred events, closed, all in one file.
async fn filled() -> World {
    let world = World::sqlite();
    let ledger = open_file(&world).await;
    let lease = lease(&ledger).await;
    let first = started("web", 'a');
    for _ in 0..60 {
        let begun = ledger.begin_rollout(&lease, world.now(), &first).await;
        let rollout = begun.unwrap().rollout;
        let paused = Event::RolloutPaused;
        ledger
            .append(&lease, rollout, world.now(), &paused)
            .await
            .unwrap();
    }
    ledger.close().await.unwrap();
    world
}

/// Changes the file's bytes.
fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

async fn change_by_sql(world: &World, sql: &'static str) {
    let ledger = open_file(world).await;
    ledger.run_sql(sql).await.unwrap();
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_refused_and_left_as_it_is() {
    let plain = |change: fn(&mut Vec<u8>)| Box::new(change);
    let half = plain(|bytes| bytes.truncate(bytes.len() / 2));
    let cut = plain(|bytes| bytes.truncate(bytes.len() - 4_096));
    let odd = plain(|bytes| bytes.truncate(bytes.len() - 1));
    let text = plain(|bytes| *bytes = b"hosts:\n  - web-01\n".repeat(300));
    let empty = plain(Vec::clear);
    let no_start = plain(|bytes| bytes[..100].fill(0));
    let holes = plain(|bytes| bytes[4_096..8 * 4_096].fill(0xA5));
    let zeros = plain(|bytes| bytes[2 * 4_096..].fill(0));
    let foreign = plain(|bytes| bytes[68..72].copy_from_slice(&[0, 0, 0, 7]));
    for (row, change, problem) in [
        ("half of it is gone", half, "is damaged: "),
        ("its last page is gone", cut, "is damaged: "),
        ("its last byte is gone", odd, "is damaged: "),
        ("it is a text", text, "is not a ledger"),
        ("it is empty", empty, "is an empty file"),
        ("its header is gone", no_start, "is not a ledger"),
        ("its first pages are overwritten", holes, "is damaged: "),
        ("all but its first pages is zeros", zeros, "is damaged: "),
        (
            "it is another program's",
            foreign,
            "is a database of another program",
        ),
    ] {
        let world = filled().await;
        let path = world.path();
        edit(&path, *change);
        let before = std::fs::read(&path).unwrap();
        let here = world.here("laptop", "boot-1");
        for error in [
            open(&world.url(), here.clone())
                .await
                .map(drop)
                .expect_err(row),
            open_existing(&world.url(), here)
                .await
                .map(drop)
                .expect_err(row),
        ] {
            let LedgerError::Unusable {
                location,
                problem: is,
                hint,
            } = &error
            else {
                panic!("{row}: {error:?}");
            };
            assert!(is.starts_with(problem), "{row}: {is}");
            assert_eq!(*location, path.display().to_string(), "{row}");
            assert!(!hint.is_empty(), "{row}");
        }
        assert!(
            std::fs::read(&path).unwrap() == before,
            "{row}: it was changed"
        );
    }
}

#[tokio::test]
async fn a_ledger_of_a_later_rollctl_is_refused() {
    let world = filled().await;
    change_by_sql(&world, "UPDATE meta SET schema_version = 99").await;
    let before = std::fs::read(world.path()).unwrap();
    let error = open(&world.url(), world.here("laptop", "boot-1"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("has schema version 99; this rollctl knows up to 4"),
        "{error}"
    );
    assert_eq!(
        error.hint().as_deref(),
        Some("it was written by a later rollctl: use that one")
    );
    assert!(std::fs::read(world.path()).unwrap() == before);
}

#[tokio::test]
async fn a_log_without_its_ledger_is_not_played_into_a_new_one() {
    let world = World::sqlite();
    let ledger = open_file(&world).await;
    lease(&ledger).await;
    let log = format!("{}-wal", world.path().display());
    assert!(std::fs::metadata(&log).unwrap().len() > 0, "it is open");
    std::fs::remove_file(world.path()).unwrap();
    let here = world.here("laptop", "boot-1");
    for error in [
        open(&world.url(), here.clone())
            .await
            .map(drop)
            .unwrap_err(),
        open_existing(&world.url(), here)
            .await
            .map(drop)
            .unwrap_err(),
    ] {
        assert!(
            error
                .to_string()
                .ends_with("is gone, but its log `-wal` is there"),
            "{error}"
        );
    }
    assert!(!world.path().exists());
}

#[tokio::test]
async fn a_folder_or_a_path_through_a_file_is_refused() {
    let world = filled().await;
    let here = world.here("laptop", "boot-1");
    let folder = world.path().parent().unwrap().to_owned();
    let url = format!("sqlite:{}", folder.display());
    let error = open(&url, here.clone()).await.unwrap_err();
    assert!(
        error.to_string().ends_with("is not a plain file"),
        "{error}"
    );
    let error = open(&format!("{}/x.db", world.url()), here)
        .await
        .unwrap_err();
    assert!(error.to_string().ends_with("cannot be opened"), "{error}");
}

#[tokio::test]
async fn a_new_ledger_is_its_owners_alone() {
    let world = World::sqlite();
    let ledger = open_file(&world).await;
    lease(&ledger).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = world.path().parent().unwrap().to_owned();
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(folder.parent().unwrap()), 0o700);
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{file:?}");
    }
}

#[tokio::test]
async fn reading_makes_no_ledger_and_changes_none() {
    let world = World::sqlite();
    let here = world.here("laptop", "boot-1");
    assert!(
        open_existing(&world.url(), here.clone())
            .await
            .unwrap()
            .is_none()
    );
    assert!(!world.path().parent().unwrap().exists());

    let world = filled().await;
    let before = std::fs::read(world.path()).unwrap();
    let ledger = open_existing(&world.url(), here).await.unwrap().unwrap();
    assert_eq!(
        ledger.rollouts(&service("web"), 999).await.unwrap().len(),
        60
    );
    let error = ledger
        .record_revision(&revision("web", 'a', None))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
    ledger.close().await.unwrap();
    assert!(std::fs::read(world.path()).unwrap() == before);
}

#[tokio::test]
async fn names_of_files_are_not_taken_for_parts_of_a_url() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::sqlite();
    for name in [
        "a b.db",
        "50%.db",
        "a%20b.db",
        "x#y.db",
        "größe.db",
        "'\"$(id)`.db",
        "..db",
        "-v.db",
    ] {
        let path = folder.path().join(name);
        let url = format!("sqlite:{}/./{name}", folder.path().display());
        let here = world.here("laptop", "boot-1");
        let ledger = open(&url, here.clone()).await.unwrap();
        let id = ledger.id();
        ledger.close().await.unwrap();
        assert!(path.is_file(), "{name}");
        let again = open_existing(&url, here).await.unwrap().unwrap();
        assert_eq!(again.id(), id, "{name}");
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_loses_nothing() {
    let world = filled().await;
    let ledger = open_file(&world).await;
    let lease = ledger
        .acquire(&service("web"), &holder(1), true)
        .await
        .unwrap();
    let first = started("web", 'a');
    let before = whole(&ledger, "web").await;
    ledger.run_sql("PRAGMA max_page_count = 1").await.unwrap();
    let mut written = 0;
    let error = loop {
        match ledger.begin_rollout(&lease, world.now(), &first).await {
            // It supersedes the one before.
            Ok(_) => written += 2,
            Err(error) => break error,
        }
    };
    assert!(
        error
            .to_string()
            .ends_with("cannot be written: its disk is full"),
        "{error}"
    );
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("free some space"))
    );
    assert_eq!(whole(&ledger, "web").await, before + written);
    ledger
        .run_sql("PRAGMA max_page_count = 1000000")
        .await
        .unwrap();
    ledger
        .begin_rollout(&lease, world.now(), &first)
        .await
        .unwrap();
    assert_eq!(whole(&ledger, "web").await, before + written + 2);
}

#[tokio::test]
async fn events_cannot_be_changed_or_deleted() {
    let world = filled().await;
    let ledger = open_file(&world).await;
    for sql in [
        "UPDATE events SET body = '{}' WHERE id = 2",
        "DELETE FROM events WHERE id = 2",
        "DELETE FROM events",
    ] {
        let error = ledger.run_sql(sql).await.unwrap_err();
        assert!(
            error.to_string().contains("events are append-only"),
            "{sql}: {error}"
        );
    }
    assert_eq!(whole(&ledger, "web").await, 179);
}

#[tokio::test]
async fn whoever_takes_the_guard_away_is_found_by_the_chain() {
    const FREE: &str = "DROP TRIGGER events_are_not_changed; DROP TRIGGER events_are_not_deleted;";
    for (sql, rollout, seq) in [
        (
            r#"UPDATE events SET body = replace(body, 'anna', 'bert') WHERE id = 1"#,
            1,
            1,
        ),
        (
            r#"UPDATE events SET "at" = "at" + 1 WHERE rollout = 7 AND seq = 2"#,
            7,
            2,
        ),
        (
            "UPDATE events SET hash = upper(hash) WHERE rollout = 7 AND seq = 2",
            7,
            2,
        ),
        ("DELETE FROM events WHERE id = 1", 1, 2),
        ("DELETE FROM events WHERE rollout = 7 AND seq = 2", 7, 3),
        ("DELETE FROM events WHERE rollout = 7 AND seq = 3", 8, 1),
        ("DELETE FROM events WHERE rollout = 7", 8, 1),
        (
            "UPDATE events SET id = id + 1000 WHERE rollout = 7 AND seq = 2",
            7,
            3,
        ),
        ("UPDATE events SET body = ' ' || body WHERE id = 1", 1, 1),
    ] {
        let world = filled().await;
        change_by_sql(&world, FREE).await;
        change_by_sql(&world, sql).await;
        let ledger = open_file(&world).await;
        let found = ledger.verify_chain(&service("web")).await.unwrap();
        let Chain::Broken {
            rollout: at,
            seq: event,
            ..
        } = found
        else {
            panic!("{sql}: {found:?}");
        };
        assert_eq!((at, event), (RolloutId(rollout), seq), "{sql}");
    }
}

#[tokio::test]
async fn many_processes_make_one_ledger_and_give_each_number_once() {
    let world = World::sqlite();
    made_by_many(&world).await;
}

/// With time stopped as well: the ledger waits for no timer.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_midway_leaves_all_or_nothing() {
    let world = filled().await;
    let ledger = open_file(&world).await;
    let web = service("web");
    let lease = ledger.acquire(&web, &holder(1), true).await.unwrap();
    let first = started("web", 'a');
    let mut given_up = 0;
    for patience in 0..30_u32 {
        let before = whole(&ledger, "web").await;
        let mut call = ledger.begin_rollout(&lease, world.now(), &first);
        let mut polls = 0;
        let done = std::future::poll_fn(|context| {
            polls += 1;
            match call.as_mut().poll(context) {
                Poll::Pending if polls > patience => Poll::Ready(None),
                other => other.map(Some),
            }
        })
        .await;
        drop(call);
        let added = whole(&ledger, "web").await - before;
        match done {
            Some(begun) => assert_eq!(added, 2, "{begun:?}"),
            None => {
                given_up += 1;
                assert!(added == 0 || added == 2, "{added}");
            }
        }
    }
    assert!(given_up > 0);
}

#[tokio::test]
async fn a_call_that_was_given_up_while_it_waited_writes_nothing_later() {
    let world = filled().await;
    let (ledger, other) = (open_file(&world).await, open_file(&world).await);
    let lease = ledger
        .acquire(&service("web"), &holder(1), true)
        .await
        .unwrap();
    let first = started("web", 'a');
    for _ in 0..5 {
        let before = whole(&ledger, "web").await;
        other.run_sql("BEGIN IMMEDIATE").await.unwrap();
        let call = ledger.begin_rollout(&lease, world.now(), &first);
        let soon = std::time::Duration::from_millis(20);
        assert!(
            tokio::time::timeout(soon, call).await.is_err(),
            "it waits for the lock"
        );
        other.run_sql("ROLLBACK").await.unwrap();
        other
            .record_revision(&revision("web", 'a', None))
            .await
            .unwrap();
        assert_eq!(whole(&ledger, "web").await, before);
        ledger.renew(&lease).await.unwrap();
    }
}
