//! Leases: who may work on a service.

use std::time::Duration;

use super::{contract, staging};
use crate::core::event::Event;
use crate::core::ids::RolloutId;
use crate::ledger::LEASE;
use crate::ledger::testing::*;
use crate::ports::{Holder, LedgerError};

contract!(
    a_rollout_without_a_driver_is_interrupted,
    a_held_lease_says_who_has_it,
    a_lease_passes_on_only_when_it_is_free,
    every_word_on_a_holder_is_the_last_ones,
    a_displaced_controller_writes_nothing,
    a_laptop_that_slept_too_long_writes_nothing,
    a_lease_that_ran_out_but_was_not_taken_is_still_ours,
    a_lease_that_was_given_back_is_gone
);

async fn a_rollout_without_a_driver_is_interrupted(world: World) {
    let ledger = world.open().await;
    let elsewhere = world.open_on("server", "boot-9").await;
    let after_reboot = world.open_on("laptop", "boot-2").await;
    let mine = lease(&*ledger).await;
    ledger
        .begin_rollout(&mine, world.now(), &started("web", 'a'))
        .await
        .unwrap();
    let outcome = async |ledger: &dyn crate::ledger::Chained| {
        ledger.rollout(RolloutId(1)).await.unwrap().unwrap().outcome
    };
    assert_eq!(outcome(&*ledger).await, "running");
    assert_eq!(outcome(&*elsewhere).await, "running");

    // Only where its process could be seen is it known to be dead.
    world.kill(812);
    assert_eq!(outcome(&*ledger).await, "interrupted");
    assert_eq!(outcome(&*elsewhere).await, "running");
    assert_eq!(outcome(&*after_reboot).await, "running");
    world.pass(LEASE - Duration::from_millis(1));
    assert_eq!(outcome(&*elsewhere).await, "running");
    world.pass(Duration::from_millis(1));
    assert_eq!(outcome(&*elsewhere).await, "interrupted");
    let listed = elsewhere.rollouts(&service("web"), 9).await.unwrap();
    assert_eq!(listed[0].outcome, "interrupted");

    // A lease that somebody else has is not this rollout's.
    let other = ledger
        .acquire(&service("web"), &holder(900), false)
        .await
        .unwrap();
    assert_eq!(outcome(&*ledger).await, "interrupted");
    ledger
        .append(&other, RolloutId(1), world.now(), &staging("web-01"))
        .await
        .unwrap();
    assert_eq!(outcome(&*ledger).await, "running");
    ledger.release(&other).await.unwrap();
    assert_eq!(outcome(&*ledger).await, "interrupted");

    // A paused one waits for somebody, whether its controller lives or not.
    let third = ledger
        .acquire(&service("web"), &holder(901), false)
        .await
        .unwrap();
    ledger
        .append(&third, RolloutId(1), world.now(), &Event::RolloutPaused)
        .await
        .unwrap();
    ledger.release(&third).await.unwrap();
    assert_eq!(outcome(&*ledger).await, "paused");
}

async fn a_held_lease_says_who_has_it(world: World) {
    let ledger = world.open().await;
    lease(&*ledger).await;
    world.pass(Duration::from_millis(4_321));
    let error = ledger
        .acquire(&service("web"), &holder(900), false)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "anna@laptop (pid 812) has been working on `web` since 2023-11-14T22:13:20Z"
    );
    assert!(matches!(error, LedgerError::LeaseHeld { .. }));
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("rollctl status web --watch"))
    );
}

async fn a_lease_passes_on_only_when_it_is_free(world: World) {
    let laptop = world.open().await;
    let rebooted = world.open_on("laptop", "boot-2").await;
    let server = world.open_on("server", "boot-1").await;
    let asks = |machine: &str, boot: &str| Holder {
        machine: machine.to_owned(),
        boot: boot.to_owned(),
        ..holder(900)
    };
    let web = service("web");
    let mut epoch = 0;
    // Where it asks from; whether the holder is dead; how long it was silent; whether it insists; whether it gets it.
    for (row, (asked, machine, boot, dead, silent, insists, gets_it)) in [
        (&laptop, "laptop", "boot-1", false, 0, false, false),
        (&laptop, "laptop", "boot-1", false, 14_999, false, false),
        (&laptop, "laptop", "boot-1", false, 15_000, false, true),
        (&laptop, "laptop", "boot-1", false, 0, true, true),
        (&laptop, "laptop", "boot-1", true, 0, false, true),
        (&rebooted, "laptop", "boot-2", true, 0, false, false),
        (&rebooted, "laptop", "boot-2", true, 15_000, false, true),
        (&server, "server", "boot-1", true, 0, false, false),
        (&server, "server", "boot-1", true, 0, true, true),
    ]
    .into_iter()
    .enumerate()
    {
        let pid = 1_000 + u32::try_from(row).unwrap();
        let old = laptop.acquire(&web, &holder(pid), true).await.unwrap();
        assert!(old.epoch.0 > epoch, "row {row}");
        epoch = old.epoch.0;
        if dead {
            world.kill(pid);
        }
        world.pass(Duration::from_millis(silent));
        match asked.acquire(&web, &asks(machine, boot), insists).await {
            Ok(new) => {
                assert!(gets_it, "row {row}");
                assert!(new.epoch.0 > epoch, "row {row}");
                epoch = new.epoch.0;
            }
            Err(error) => {
                assert!(!gets_it, "row {row}: {error}");
                assert!(
                    matches!(error, LedgerError::LeaseHeld { .. }),
                    "row {row}: {error:?}"
                );
            }
        }
    }
}

async fn every_word_on_a_holder_is_the_last_ones(world: World) {
    let ledger = world.open_on("server", "boot-9").await;
    lease(&*ledger).await;
    let bert = Holder {
        by: "bert@server".to_owned(),
        machine: "server".to_owned(),
        pid: 77,
        boot: "boot-9".to_owned(),
    };
    let web = service("web");
    world.pass(Duration::from_secs(60));
    ledger.acquire(&web, &bert, true).await.unwrap();
    let held = ledger.acquire(&web, &holder(900), false).await.unwrap_err();
    assert_eq!(
        held.to_string(),
        "bert@server (pid 77) has been working on `web` since 2023-11-14T22:14:20Z"
    );
    world.kill(77);
    ledger.acquire(&web, &holder(900), false).await.unwrap();
}

async fn a_displaced_controller_writes_nothing(world: World) {
    let ledger = world.open().await;
    let old = lease(&*ledger).await;
    let first = started("web", 'a');
    ledger
        .begin_rollout(&old, world.now(), &first)
        .await
        .unwrap();
    let bert = Holder {
        by: "bert@server".to_owned(),
        ..holder(77)
    };
    let new = ledger.acquire(&service("web"), &bert, true).await.unwrap();
    let now = world.now();
    let lost = [
        ledger
            .append(&old, RolloutId(1), now, &Event::RolloutPaused)
            .await
            .err(),
        ledger.begin_rollout(&old, now, &first).await.err(),
        ledger.renew(&old).await.err(),
        ledger.release(&old).await.err(),
    ];
    for error in lost {
        assert_eq!(
            error.unwrap().to_string(),
            "the lease of `web` was lost: bert@server (pid 77) has had it since 2023-11-14T22:13:20Z"
        );
    }
    assert_eq!(whole(&*ledger, "web").await, 1);
    ledger
        .append(&new, RolloutId(1), now, &Event::RolloutPaused)
        .await
        .unwrap();
}

async fn a_laptop_that_slept_too_long_writes_nothing(world: World) {
    let laptop = world.open().await;
    let server = world.open_on("server", "boot-9").await;
    let old = lease(&*laptop).await;
    laptop
        .begin_rollout(&old, world.now(), &started("web", 'a'))
        .await
        .unwrap();
    world.pass(Duration::from_secs(3_600));
    let bert = Holder {
        by: "bert@server".to_owned(),
        machine: "server".to_owned(),
        pid: 77,
        boot: "boot-9".to_owned(),
    };
    let new = server.acquire(&service("web"), &bert, false).await.unwrap();
    for again in [false, true] {
        let lost = [
            laptop
                .append(&old, RolloutId(1), world.now(), &staging("web-01"))
                .await
                .err(),
            laptop.renew(&old).await.err(),
        ];
        for error in lost {
            assert!(
                matches!(error, Some(LedgerError::LeaseLost { .. })),
                "{error:?}"
            );
        }
        // Also when the other one is done.
        if !again {
            server.release(&new).await.unwrap();
        }
    }
    assert_eq!(whole(&*laptop, "web").await, 1);
}

async fn a_lease_that_ran_out_but_was_not_taken_is_still_ours(world: World) {
    let ledger = world.open().await;
    let mine = lease(&*ledger).await;
    ledger
        .begin_rollout(&mine, world.now(), &started("web", 'a'))
        .await
        .unwrap();
    world.pass(LEASE * 3);
    ledger
        .append(&mine, RolloutId(1), world.now(), &staging("web-01"))
        .await
        .unwrap();
    ledger.renew(&mine).await.unwrap();
    world.pass(LEASE - Duration::from_millis(1));
    let held = ledger.acquire(&service("web"), &holder(900), false).await;
    assert!(
        matches!(held, Err(LedgerError::LeaseHeld { .. })),
        "{held:?}"
    );
}

async fn a_lease_that_was_given_back_is_gone(world: World) {
    let ledger = world.open().await;
    let mine = lease(&*ledger).await;
    ledger.release(&mine).await.unwrap();
    let first = started("web", 'a');
    for error in [
        ledger.begin_rollout(&mine, world.now(), &first).await.err(),
        ledger.renew(&mine).await.err(),
        ledger.release(&mine).await.err(),
    ] {
        assert_eq!(
            error.unwrap().to_string(),
            "the lease of `web` was lost: it was given back"
        );
    }
    let next = ledger
        .acquire(&service("web"), &holder(900), false)
        .await
        .unwrap();
    assert!(next.epoch > mine.epoch);
    let unknown = ledger
        .renew(&crate::ports::Lease {
            service: service("db"),
            ..mine
        })
        .await;
    assert!(matches!(unknown, Err(LedgerError::LeaseLost { .. })));
}
