//! Ledgers of earlier schemas.

use super::inspect::APPLICATION_ID;
use super::open;
use super::sqlite::writable;
use super::testing::*;
use crate::core::event::Event;
use crate::core::ids::RolloutId;
use crate::ports::{Ledger, RequestKind};

/// A ledger as the rollctl of schema 1 left it.
async fn of_schema_1() -> World {
    let world = World::sqlite();
    let path = world.path();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "").unwrap();
    let mut connection = writable(&path).await.unwrap();
    let application = format!("PRAGMA application_id = {APPLICATION_ID}");
    for sql in [
        application.as_str(),
        include_str!("migrations/0001.sql"),
        include_str!("migrations/0001.sqlite.sql"),
        include_str!("upgrade_tests/schema_1.sql"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    sqlx::Connection::close(connection).await.unwrap();
    world
}

#[tokio::test]
async fn a_ledger_of_schema_1_is_brought_up_to_date_and_stays_whole() {
    let world = of_schema_1().await;
    let here = world.here("laptop", "boot-1");
    let ledger = open(&world.url(), here).await.unwrap();
    let web = service("web");
    assert_eq!(ledger.id().as_str(), "4310a8c3-0f71-49b6-bf3d-f7682f48bb1b");
    assert_eq!(whole(&ledger, "web").await, 5);
    assert_eq!(whole(&ledger, "api").await, 1);
    let names: Vec<String> = ledger.revisions(&web).await.unwrap()[1]
        .names
        .iter()
        .map(|name| name.as_str().to_owned())
        .collect();
    assert_eq!(names, ["v1"]);
    let listed = ledger.rollouts(&web, 9).await.unwrap();
    let outcomes: Vec<&str> = listed.iter().map(|row| row.outcome.as_str()).collect();
    assert_eq!(outcomes, ["paused", "completed"]);
    assert_eq!(ledger.events(RolloutId(3), 0).await.unwrap().len(), 3);

    // It can be gone on with.
    let lease = lease(&ledger).await;
    assert!(lease.epoch.0 > 1, "above the one that it gave before");
    let resumed = Event::RolloutResumed {
        by: "anna@laptop".to_owned(),
        retry: true,
        window: None,
        unattended: false,
    };
    ledger
        .append(&lease, RolloutId(3), world.now(), &resumed)
        .await
        .unwrap();
    let asked = ledger.request(&web, RequestKind::Abort, "bert@server", world.now());
    let asked = asked.await.unwrap();
    assert_eq!(ledger.open_requests(&lease).await.unwrap()[0].id, asked);
    assert_eq!(whole(&ledger, "web").await, 6);
}

#[tokio::test]
async fn many_processes_bring_one_ledger_up_to_date_once() {
    let world = of_schema_1().await;
    upgraded_by_many(&world).await;
}

#[tokio::test]
async fn a_new_ledger_and_one_brought_up_to_date_have_the_same_schema() {
    async fn schema(world: &World) -> Vec<String> {
        let here = world.here("laptop", "boot-1");
        open(&world.url(), here).await.unwrap();
        let mut connection = writable(&world.path()).await.unwrap();
        let rows =
            sqlx::query("SELECT COALESCE(sql, name) AS sql FROM sqlite_master ORDER BY name")
                .fetch_all(&mut connection)
                .await
                .unwrap();
        rows.iter().map(|row| sqlx::Row::get(row, "sql")).collect()
    }
    assert_eq!(
        schema(&of_schema_1().await).await,
        schema(&World::sqlite()).await
    );
}
