//! Connections that are lost, answers that never come, and news.

use std::time::Duration;

use rollctl_postgres::{Options, Server, skip};

use super::testing::*;
use super::{SqlLedger, open};
use crate::core::event::Event;
use crate::core::ids::RolloutId;
use crate::ports::{Ledger, LedgerError, News, RequestKind};

/// A server that the test may kill, and a database on it.
pub(super) fn server_with(options: Options) -> Option<Server> {
    if skip() {
        return None;
    }
    let server = Server::with(options).unwrap();
    server.create_database("one").unwrap();
    Some(server)
}

async fn open_on(server: &Server) -> SqlLedger {
    let here = World::sqlite().here("laptop", "boot-1");
    open(&server.url("one"), here).await.unwrap()
}

#[track_caller]
fn is_away<T>(result: Result<T, LedgerError>) {
    let error = result.err();
    assert!(matches!(error, Some(LedgerError::Away { .. })), "{error:?}");
}

#[tokio::test]
async fn a_server_that_was_restarted_is_found_again_by_itself() {
    let Some(mut server) = server_with(Options::default()) else {
        return;
    };
    let ledger = open_on(&server).await;
    let lease = lease(&ledger).await;
    let now = World::sqlite().now();
    for round in 0..3 {
        match round {
            0 => server.stop().unwrap(),
            1 => server.kill().unwrap(),
            // Only our connection ends.
            _ => {
                server
                    .sql("one", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rollctl'")
                    .unwrap();
            }
        }
        if round < 2 {
            is_away(ledger.renew(&lease).await);
            is_away(ledger.holder(&service("web")).await);
            server.start_again().unwrap();
        }
        ledger.renew(&lease).await.unwrap();
        assert!(ledger.holder(&service("web")).await.unwrap().is_some());
        ledger
            .begin_rollout(&lease, now, &started("web", 'a'))
            .await
            .unwrap();
    }
    assert_eq!(
        whole(&ledger, "web").await,
        5,
        "each supersedes the one before"
    );
}

#[tokio::test]
async fn what_was_committed_while_nobody_heard_of_it_is_not_written_twice() {
    let Some(server) = server_with(Options::default()) else {
        return;
    };
    let ledger = open_on(&server).await;
    let lease = lease(&ledger).await;
    let now = World::sqlite().now();
    let first = started("web", 'a');
    // The server falls silent in the middle of the commit, and goes on when nobody waits any more.
    server
        .sql(
            "one",
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_sleep(7); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .unwrap();
    let paused = [(now, Event::RolloutPaused)];
    is_away(ledger.begin_rollout(&lease, now, &first).await);
    server.sql("one", "DROP TRIGGER slow ON events").unwrap();
    let begun = ledger.begin_rollout(&lease, now, &first).await.unwrap();
    assert_eq!((begun.rollout, begun.seq), (RolloutId(1), 1));
    assert_eq!(whole(&ledger, "web").await, 1);

    server
        .sql(
            "one",
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION slow()",
        )
        .unwrap();
    is_away(ledger.append_all(&lease, RolloutId(1), &paused).await);
    server.sql("one", "DROP TRIGGER slow ON events").unwrap();
    let appended = ledger
        .append_all(&lease, RolloutId(1), &paused)
        .await
        .unwrap();
    assert_eq!(appended[0].seq, 2);
    assert_eq!(whole(&ledger, "web").await, 2);
    // Without doubt the same is another event.
    ledger
        .append_all(&lease, RolloutId(1), &paused)
        .await
        .unwrap();
    assert_eq!(whole(&ledger, "web").await, 3);
}

#[tokio::test]
async fn what_was_not_committed_is_written_when_it_is_asked_again() {
    let Some(server) = server_with(Options::default()) else {
        return;
    };
    let ledger = open_on(&server).await;
    let lease = lease(&ledger).await;
    let now = World::sqlite().now();
    ledger
        .begin_rollout(&lease, now, &started("web", 'a'))
        .await
        .unwrap();
    let events: Vec<_> = (0..600).map(|_| (now, Event::RolloutPaused)).collect();
    server.freeze().unwrap();
    is_away(ledger.append_all(&lease, RolloutId(1), &events).await);
    is_away(ledger.append_all(&lease, RolloutId(1), &events).await);
    server.thaw().unwrap();
    let appended = ledger
        .append_all(&lease, RolloutId(1), &events)
        .await
        .unwrap();
    assert_eq!(appended.len(), 600);
    assert_eq!(whole(&ledger, "web").await, 601);
}

#[tokio::test]
async fn whoever_falls_asleep_with_the_lock_keeps_it_from_others_for_seconds_only() {
    let Some(world) = World::postgres() else {
        return;
    };
    let ledger = world.open().await;
    let asleep = open(&world.url(), world.here("laptop", "boot-1"))
        .await
        .unwrap();
    asleep.run_sql(super::postgres::BEGIN_WRITE).await.unwrap();
    let web = service("web");
    is_away(
        ledger
            .request(&web, RequestKind::Pause, "bert@server", world.now())
            .await,
    );
    let asked = ledger.request(&web, RequestKind::Pause, "bert@server", world.now());
    assert_eq!(asked.await.unwrap(), 1);
    let late = asleep.request(&web, RequestKind::Pause, "anna@laptop", world.now());
    assert_eq!(
        late.await.unwrap(),
        2,
        "it comes back by another connection"
    );
}

#[tokio::test]
async fn news_comes_at_once_and_what_was_told_meanwhile_is_not_missed() {
    let Some(server) = server_with(Options::default()) else {
        return;
    };
    let (controller, asker) = (open_on(&server).await, open_on(&server).await);
    let lease = lease(&controller).await;
    let now = World::sqlite().now();
    let long = Duration::from_secs(60);
    let web = service("web");
    // The first time it begins to listen, and says so.
    for news in [News::Requests, News::Events] {
        controller.wait_for(news, long).await;
    }
    let timed = |since: tokio::time::Instant| {
        assert!(
            since.elapsed() < Duration::from_secs(1),
            "{:?}",
            since.elapsed()
        );
    };
    for told_before in [false, true] {
        let asking = async {
            if !told_before {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            let asked = tokio::time::Instant::now();
            asker
                .request(&web, RequestKind::Pause, "bert@server", now)
                .await
                .unwrap();
            asked
        };
        let asked = match told_before {
            true => {
                let asked = asking.await;
                controller.wait_for(News::Requests, long).await;
                asked
            }
            false => tokio::join!(asking, controller.wait_for(News::Requests, long)).0,
        };
        timed(asked);
    }
    let begun = tokio::time::Instant::now();
    controller
        .begin_rollout(&lease, now, &started("web", 'a'))
        .await
        .unwrap();
    controller.wait_for(News::Events, long).await;
    timed(begun);
    // Nothing new: until the time is over. Its own answers were told too.
    controller.wait_for(News::Requests, long).await;
    let waited = tokio::time::Instant::now();
    controller
        .wait_for(News::Requests, Duration::from_millis(300))
        .await;
    assert!(waited.elapsed() >= Duration::from_millis(290));
}
