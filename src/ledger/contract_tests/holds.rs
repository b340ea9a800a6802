//! Holds: at most one stands, those before are remembered.

use super::contract;
use crate::core::hold::{Hold, Remark};
use crate::core::time::Timestamp;
use crate::ledger::testing::*;

contract!(
    a_service_is_held_once_until_somebody_lifts_it,
    another_process_sees_a_hold
);

fn said(by: &str, at: i64, cause: Option<&str>) -> Remark {
    Remark {
        by: by.to_owned(),
        at: Timestamp::from_millis(at),
        cause: cause.map(str::to_owned),
    }
}

async fn a_service_is_held_once_until_somebody_lifts_it(world: World) {
    let ledger = world.open().await;
    let web = service("web");
    let (anna, bert) = (
        said("anna@laptop", 5, Some("it's moving")),
        said("bert@server", 6, None),
    );
    let lifted = said("bert@server", 7, Some("moved"));
    assert_eq!(ledger.holds(&web).await.unwrap(), []);
    assert!(
        !ledger.unhold(&web, &lifted).await.unwrap(),
        "nothing to lift"
    );
    assert!(ledger.hold(&web, &anna).await.unwrap());
    assert!(!ledger.hold(&web, &bert).await.unwrap(), "the first stands");
    assert!(ledger.hold(&service("api"), &bert).await.unwrap());
    assert!(ledger.unhold(&web, &lifted).await.unwrap());
    assert!(!ledger.unhold(&web, &lifted).await.unwrap());
    assert!(ledger.hold(&web, &bert).await.unwrap(), "once more");
    let expected = [
        Hold {
            placed: bert.clone(),
            lifted: None,
        },
        Hold {
            placed: anna,
            lifted: Some(lifted),
        },
    ];
    assert_eq!(ledger.holds(&web).await.unwrap(), expected, "newest first");
    assert_eq!(ledger.holds(&service("api")).await.unwrap().len(), 1);
    assert_eq!(ledger.holds(&service("db")).await.unwrap(), []);
}

async fn another_process_sees_a_hold(world: World) {
    let one = world.open().await;
    let other = world.open_on("server", "boot-9").await;
    let (web, anna) = (service("web"), said("anna@laptop", 5, None));
    assert!(one.hold(&web, &anna).await.unwrap());
    assert_eq!(other.holds(&web).await.unwrap()[0].placed, anna);
    assert!(other.unhold(&web, &anna).await.unwrap());
    assert!(one.holds(&web).await.unwrap()[0].lifted.is_some());
}
