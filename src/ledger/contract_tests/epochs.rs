//! Who works on a service, and under which epoch.

use std::time::Duration;

use super::{contract, staging};
use crate::core::ids::{Epoch, RolloutId};
use crate::ledger::testing::*;
use crate::ledger::{Chained, LEASE};
use crate::ports::{Answer, Holder, LedgerError, LiveHolder, RequestKind};

contract!(
    whoever_works_on_a_service_is_known,
    a_raised_epoch_is_above_all_and_voids_the_old_lease,
    what_runs_goes_on_running_under_a_raised_epoch,
    no_host_can_use_the_epochs_up
);

async fn whoever_works_on_a_service_is_known(world: World) {
    let ledger = world.open().await;
    let server = world.open_on("server", "boot-9").await;
    let web = service("web");
    assert_eq!(ledger.holder(&web).await.unwrap(), None);
    let since = world.now();
    let lease = lease(&*ledger).await;
    world.pass(LEASE - Duration::from_millis(1));
    ledger.renew(&lease).await.unwrap();
    world.pass(Duration::from_secs(1));
    let anna = Some(LiveHolder {
        holder: holder(812),
        since,
    });
    assert_eq!(ledger.holder(&web).await.unwrap(), anna);
    assert_eq!(server.holder(&web).await.unwrap(), anna);
    assert_eq!(ledger.holder(&service("api")).await.unwrap(), None);

    // Only where its process could be seen is it known to be dead.
    world.kill(812);
    assert_eq!(ledger.holder(&web).await.unwrap(), None);
    assert_eq!(server.holder(&web).await.unwrap(), anna);
    world.pass(LEASE);
    assert_eq!(server.holder(&web).await.unwrap(), None);

    let bert = Holder {
        by: "bert@server".to_owned(),
        machine: "server".to_owned(),
        pid: 77,
        boot: "boot-9".to_owned(),
    };
    let next = server.acquire(&web, &bert, false).await.unwrap();
    let found = ledger.holder(&web).await.unwrap().unwrap();
    assert_eq!((found.holder, found.since), (bert, world.now()));
    server.release(&next).await.unwrap();
    assert_eq!(ledger.holder(&web).await.unwrap(), None);
}

async fn a_raised_epoch_is_above_all_and_voids_the_old_lease(world: World) {
    let ledger = world.open().await;
    let web = service("web");
    let first = started("web", 'a');
    let mut lease = lease(&*ledger).await;
    for seen in [0, lease.epoch.0, 40, 7] {
        let since = ledger.holder(&web).await.unwrap().unwrap().since;
        world.pass(Duration::from_secs(14));
        let raised = ledger.raise_epoch(&lease, Epoch(seen)).await.unwrap();
        assert_eq!(raised.service, web);
        assert!(
            raised.epoch.0 > seen && raised.epoch > lease.epoch,
            "{seen}"
        );
        let asked = ledger.request(&web, RequestKind::Pause, "bert@server", world.now());
        let asked = asked.await.unwrap();
        let lost = [
            ledger.renew(&lease).await.err(),
            ledger.release(&lease).await.err(),
            ledger.raise_epoch(&lease, Epoch(99)).await.err(),
            ledger.open_requests(&lease).await.err(),
            ledger
                .answer(&lease, asked, world.now(), &Answer::Taken)
                .await
                .err(),
            ledger
                .begin_rollout(&lease, world.now(), &first)
                .await
                .err(),
        ];
        for (row, error) in lost.into_iter().enumerate() {
            assert!(
                matches!(error, Some(LedgerError::LeaseLost { .. })),
                "{row}: {error:?}"
            );
        }
        // The holder is the same, and it is as good as renewed.
        world.pass(Duration::from_secs(14));
        let found = ledger.holder(&web).await.unwrap().unwrap();
        assert_eq!((found.holder, found.since), (holder(812), since));
        ledger.renew(&raised).await.unwrap();
        lease = raised;
    }
    assert_eq!(lease.epoch, Epoch(42), "40 was seen, and 7 after that");
    ledger
        .begin_rollout(&lease, world.now(), &first)
        .await
        .unwrap();
    ledger.release(&lease).await.unwrap();
    let next = ledger.acquire(&web, &holder(900), false).await.unwrap();
    assert!(next.epoch > lease.epoch, "it never falls back");
    let gone = ledger.raise_epoch(&lease, Epoch(99)).await;
    assert!(matches!(gone, Err(LedgerError::LeaseLost { .. })));
}

async fn what_runs_goes_on_running_under_a_raised_epoch(world: World) {
    let ledger = world.open().await;
    let outcome = async |ledger: &dyn Chained, rollout| {
        let listed = ledger.rollout(RolloutId(rollout)).await.unwrap();
        listed.unwrap().outcome
    };
    let lease = lease(&*ledger).await;
    let api = ledger.acquire(&service("api"), &holder(813), false).await;
    let api = api.unwrap();
    for (lease, of) in [(&lease, "web"), (&api, "api")] {
        ledger
            .begin_rollout(lease, world.now(), &started(of, 'a'))
            .await
            .unwrap();
    }
    let raised = ledger.raise_epoch(&lease, Epoch(40)).await.unwrap();
    assert_eq!(outcome(&*ledger, 1).await, "running");
    assert_eq!(outcome(&*ledger, 2).await, "running");
    let late = ledger
        .append(&lease, RolloutId(1), world.now(), &staging("web-01"))
        .await;
    assert!(matches!(late, Err(LedgerError::LeaseLost { .. })));
    ledger
        .append(&raised, RolloutId(1), world.now(), &staging("web-01"))
        .await
        .unwrap();

    // One that was left behind under an earlier lease stays interrupted.
    ledger.release(&raised).await.unwrap();
    let next = ledger.acquire(&service("web"), &holder(900), false).await;
    ledger.raise_epoch(&next.unwrap(), Epoch(90)).await.unwrap();
    assert_eq!(outcome(&*ledger, 1).await, "interrupted");
}

async fn no_host_can_use_the_epochs_up(world: World) {
    let ledger = world.open().await;
    let lease = lease(&*ledger).await;
    for seen in [i64::MAX, i64::MAX - 1, i64::MAX / 2 + 1] {
        let raised = ledger.raise_epoch(&lease, Epoch(seen)).await;
        assert!(
            matches!(raised, Err(LedgerError::Database { .. })),
            "{seen}: {raised:?}"
        );
    }
    ledger.renew(&lease).await.unwrap();
    let raised = ledger.raise_epoch(&lease, Epoch(i64::MAX / 2)).await;
    let raised = raised.unwrap();
    let next = ledger.acquire(&service("web"), &holder(900), true).await;
    assert!(next.unwrap().epoch > raised.epoch);
    let api = ledger.acquire(&service("api"), &holder(812), true).await;
    let lowest = ledger.raise_epoch(&api.unwrap(), Epoch(i64::MIN)).await;
    assert_eq!(lowest.unwrap().epoch, Epoch(2));
}
