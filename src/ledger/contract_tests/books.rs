//! A past that is taken in, and what is found in it.

use std::collections::BTreeMap;

use super::{contract, staging};
use crate::core::ids::{Epoch, HostName, RevisionNumber, RolloutId};
use crate::core::journal_line::JournalLine;
use crate::core::recall::{Memory, Recalled, recall};
use crate::core::revision::Manifest;
use crate::core::time::Timestamp;
use crate::ledger::testing::*;

contract!(
    a_past_is_taken_in_once,
    a_past_keeps_its_numbers_unless_another_service_has_one,
    a_host_has_its_own_events_and_those_about_none
);

/// Two revisions, and rollouts of these numbers that bring `vb` to one host.
fn past(of: &str, rollouts: &[i64]) -> Recalled {
    let manifest = |number: u32, letter| Manifest {
        service: service(of),
        number: RevisionNumber(number),
        names: vec![name(&format!("v{letter}"))],
        digest: digest(letter),
        architecture: None,
        files: Vec::new(),
        units: BTreeMap::new(),
        environment: false,
        created_at: Timestamp::from_millis(5),
        created_by: "anna@laptop".to_owned(),
        cause: None,
        adopted: None,
        signers: Vec::new(),
    };
    let line = |rollout: i64| JournalLine {
        at: Timestamp::from_millis(rollout),
        rollout: RolloutId(rollout),
        epoch: Epoch(rollout),
        by: "anna@laptop".to_owned(),
        from: None,
        to: Some(name("vb")),
        outcome: "confirmed".to_owned(),
        hash: None,
    };
    let memory = Memory {
        manifests: vec![manifest(3, 'a'), manifest(7, 'b')],
        journal: rollouts.iter().map(|rollout| line(*rollout)).collect(),
        unreadable: Vec::new(),
    };
    recall(
        &service(of),
        &BTreeMap::from([(HostName::new("web-01"), memory)]),
    )
}

async fn a_past_is_taken_in_once(world: World) {
    let ledger = world.open().await;
    let mine = lease(&*ledger).await;
    assert_eq!(ledger.services().await.unwrap(), []);
    ledger.restore(&mine, &past("web", &[4, 9])).await.unwrap();
    assert_eq!(ledger.services().await.unwrap(), [service("web")]);
    let numbers = |revisions: Vec<crate::core::revision::Revision>| {
        revisions.iter().map(|one| one.number.0).collect::<Vec<_>>()
    };
    let revisions = ledger.revisions(&service("web")).await.unwrap();
    assert_eq!(numbers(revisions), [7, 3]);
    let rollouts = ledger.rollouts(&service("web"), 9).await.unwrap();
    let found: Vec<_> = rollouts
        .iter()
        .map(|one| (one.id.0, one.outcome.as_str(), one.started_at.as_millis()))
        .collect();
    assert_eq!(found, [(9, "completed", 9), (4, "completed", 4)]);
    assert_eq!(whole(&*ledger, "web").await, 6);
    // Not on top of one that is there, and not without the lease.
    assert!(ledger.restore(&mine, &past("web", &[10])).await.is_err());
    ledger.release(&mine).await.unwrap();
    assert!(ledger.restore(&mine, &past("web", &[10])).await.is_err());
    assert_eq!(whole(&*ledger, "web").await, 6);
    // Numbers go on from there.
    let next = ledger.record_revision(&revision("web", 'c', None)).await;
    assert_eq!(next.unwrap().number.0, 8);
    let mine = lease(&*ledger).await;
    let first = started("web", 'c');
    let begun = ledger.begin_rollout(&mine, world.now(), &first).await;
    assert_eq!(begun.unwrap().rollout, RolloutId(10));
    assert_eq!(whole(&*ledger, "web").await, 7);
}

async fn a_past_keeps_its_numbers_unless_another_service_has_one(world: World) {
    let ledger = world.open().await;
    let api = ledger
        .acquire(&service("api"), &holder(812), false)
        .await
        .unwrap();
    ledger.restore(&api, &past("api", &[5])).await.unwrap();
    let mine = lease(&*ledger).await;
    let web = past("web", &[4, 5, 6]);
    ledger.restore(&mine, &web).await.unwrap();
    let rollouts = ledger.rollouts(&service("web"), 9).await.unwrap();
    let ids: Vec<_> = rollouts.iter().map(|one| one.id.0).collect();
    assert_eq!(ids, [7, 6, 4], "in their order");
    assert_eq!(whole(&*ledger, "web").await, 9);
    assert_eq!(whole(&*ledger, "api").await, 3);
}

async fn a_host_has_its_own_events_and_those_about_none(world: World) {
    let ledger = world.open().await;
    let mine = lease(&*ledger).await;
    let begun = ledger
        .begin_rollout(&mine, world.now(), &started("web", 'a'))
        .await
        .unwrap();
    for host in ["web-01", "web-02", "web-01"] {
        ledger
            .append(&mine, begun.rollout, world.now(), &staging(host))
            .await
            .unwrap();
    }
    let host = HostName::new("web-01");
    let events = ledger.host_events(&service("web"), &host).await.unwrap();
    let seqs: Vec<_> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2, 4]);
    let other = ledger.host_events(&service("api"), &host).await.unwrap();
    assert_eq!(other, []);
}
