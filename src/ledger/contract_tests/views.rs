//! What several services and processes see of one ledger.

use super::{contract, staging};
use crate::core::ids::{HostName, RevisionNumber, RolloutId};
use crate::core::time::Timestamp;
use crate::ledger::testing::*;
use crate::ports::InstanceRecord;

contract!(
    services_do_not_touch_each_other,
    instances_are_remembered_as_last_seen,
    another_process_sees_what_was_written
);

async fn services_do_not_touch_each_other(world: World) {
    let ledger = world.open().await;
    let web = lease(&*ledger).await;
    let api = ledger
        .acquire(&service("api"), &holder(900), false)
        .await
        .unwrap();
    let now = world.now();
    ledger
        .begin_rollout(&web, now, &started("web", 'a'))
        .await
        .unwrap();
    ledger
        .begin_rollout(&api, now, &started("api", 'a'))
        .await
        .unwrap();
    for (lease, rollout) in [(&web, 1), (&api, 2), (&web, 1), (&api, 2)] {
        ledger
            .append(lease, RolloutId(rollout), now, &staging("web-01"))
            .await
            .unwrap();
    }
    ledger
        .begin_rollout(&api, now, &started("api", 'b'))
        .await
        .unwrap();
    let listed = ledger.rollouts(&service("web"), 9).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].outcome, "running");
    assert_eq!(whole(&*ledger, "web").await, 3);
    assert_eq!(whole(&*ledger, "api").await, 5);
}

async fn instances_are_remembered_as_last_seen(world: World) {
    let ledger = world.open().await;
    let seen = |on: &str, runs: Option<char>, state: &str, since: i64| InstanceRecord {
        host: HostName::new(on),
        digest: runs.map(digest),
        state: state.to_owned(),
        since: Timestamp::from_millis(since),
    };
    let web = service("web");
    let first = [
        seen("web-02", Some('a'), "available", 5),
        seen("web-01", None, "absent", 6),
    ];
    ledger.record_instances(&web, &first).await.unwrap();
    let second = [
        seen("web-02", None, "unreachable", 8),
        seen("web-03", Some('b'), "ready", 9),
    ];
    ledger.record_instances(&web, &second).await.unwrap();
    ledger.record_instances(&web, &[]).await.unwrap();
    ledger
        .record_instances(&service("api"), &first[..1])
        .await
        .unwrap();
    let expected = [first[1].clone(), second[0].clone(), second[1].clone()];
    assert_eq!(ledger.instances(&web).await.unwrap(), expected, "by host");
    assert_eq!(ledger.instances(&service("db")).await.unwrap(), []);
}

async fn another_process_sees_what_was_written(world: World) {
    let one = world.open().await;
    let other = world.open_on("server", "boot-9").await;
    assert_eq!(one.id(), other.id());
    assert_eq!(one.id().as_str().len(), 36, "a UUID");
    let mine = lease(&*one).await;
    one.record_revision(&revision("web", 'a', None))
        .await
        .unwrap();
    one.begin_rollout(&mine, world.now(), &started("web", 'a'))
        .await
        .unwrap();
    assert_eq!(other.events(RolloutId(1), 0).await.unwrap().len(), 1);
    let next = other
        .record_revision(&revision("web", 'b', None))
        .await
        .unwrap();
    assert_eq!(next.number, RevisionNumber(2));
    assert_eq!(one.revisions(&service("web")).await.unwrap().len(), 2);
}
