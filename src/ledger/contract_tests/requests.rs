//! Requests: what other commands ask of the controller.

use std::time::Duration;

use super::{contract, staging};
use crate::core::event::Event;
use crate::core::ids::{Epoch, RolloutId};
use crate::core::time::Timestamp;
use crate::ledger::testing::*;
use crate::ledger::{Chained, LEASE};
use crate::ports::{Answer, Lease, LedgerError, Request, RequestKind};

contract!(
    requests_are_read_in_their_order_by_their_service_alone,
    a_request_is_answered_once,
    a_request_is_answered_by_who_has_the_lease,
    a_request_is_either_withdrawn_or_answered,
    a_new_rollout_refuses_what_was_asked_before,
    a_resumed_rollout_refuses_what_was_asked_before,
    another_process_sees_the_answer
);

fn refused(reason: &str) -> Answer {
    Answer::Refused {
        reason: reason.to_owned(),
    }
}

async fn ask(world: &World, ledger: &dyn Chained, of: &str, kind: RequestKind) -> i64 {
    ledger
        .request(&service(of), kind, "bert@server", world.now())
        .await
        .unwrap()
}

async fn answer_of(ledger: &dyn Chained, request: i64) -> Option<Answer> {
    ledger.find_request(request).await.unwrap().unwrap().answer
}

async fn open_ids(ledger: &dyn Chained, lease: &Lease) -> Vec<i64> {
    let open = ledger.open_requests(lease).await.unwrap();
    open.iter().map(|request| request.id).collect()
}

async fn requests_are_read_in_their_order_by_their_service_alone(world: World) {
    let ledger = world.open().await;
    // Whoever asks needs no lease, and no controller needs to be there.
    let pause = ask(&world, &*ledger, "web", RequestKind::Pause).await;
    let web = lease(&*ledger).await;
    let api = ledger.acquire(&service("api"), &holder(900), false).await;
    let api = api.unwrap();
    let other = ask(&world, &*ledger, "api", RequestKind::Abort).await;
    world.pass(Duration::from_millis(7));
    let approve = ask(&world, &*ledger, "web", RequestKind::Approve).await;
    let request = |id: i64, kind: RequestKind, at: i64| Request {
        id,
        service: service("web"),
        kind,
        by: "bert@server".to_owned(),
        at: Timestamp::from_millis(START + at),
        answer: None,
    };
    let expected = [
        request(pause, RequestKind::Pause, 0),
        request(approve, RequestKind::Approve, 7),
    ];
    assert_eq!(ledger.open_requests(&web).await.unwrap(), expected);
    assert_eq!(open_ids(&*ledger, &api).await, [other]);
    let one = ledger.find_request(approve).await.unwrap();
    assert_eq!(one.as_ref(), expected.last());
    assert_eq!(ledger.find_request(99).await.unwrap(), None);

    // One service's lease answers nothing of another's, and its rollout voids nothing of it.
    let crossed = ledger
        .answer(&api, pause, world.now(), &Answer::Taken)
        .await;
    assert!(
        matches!(crossed, Err(LedgerError::Database { .. })),
        "{crossed:?}"
    );
    ledger
        .begin_rollout(&api, world.now(), &started("api", 'a'))
        .await
        .unwrap();
    assert_eq!(open_ids(&*ledger, &web).await, [pause, approve]);
    assert_eq!(open_ids(&*ledger, &api).await, [0_i64; 0]);
}

async fn a_request_is_answered_once(world: World) {
    let ledger = world.open().await;
    let lease = lease(&*ledger).await;
    for (first, second) in [
        (Answer::Taken, refused("too late")),
        (refused("nothing to approve"), Answer::Taken),
    ] {
        let id = ask(&world, &*ledger, "web", RequestKind::Approve).await;
        let now = world.now();
        assert!(ledger.answer(&lease, id, now, &first).await.unwrap());
        assert_eq!(answer_of(&*ledger, id).await.as_ref(), Some(&first));
        assert_eq!(open_ids(&*ledger, &lease).await, [0_i64; 0]);
        assert!(!ledger.answer(&lease, id, now, &second).await.unwrap());
        assert_eq!(answer_of(&*ledger, id).await, Some(first), "it stays");
    }
    let unknown = ledger.answer(&lease, 99, world.now(), &Answer::Taken).await;
    assert!(unknown.is_err(), "{unknown:?}");
}

async fn a_request_is_answered_by_who_has_the_lease(world: World) {
    let ledger = world.open().await;
    let server = world.open_on("server", "boot-9").await;
    let id = ask(&world, &*ledger, "web", RequestKind::Abort).await;
    let none = Lease {
        service: service("web"),
        epoch: Epoch(1),
    };
    let old = lease(&*ledger).await;
    assert_eq!(none, old, "it is given out only now");
    let mut void = vec![Lease {
        epoch: Epoch(0),
        ..old.clone()
    }];
    world.pass(LEASE);
    let new = server.acquire(&service("web"), &holder(77), false).await;
    let new = new.unwrap();
    void.push(old);
    for lease in &void {
        let answered = ledger.answer(lease, id, world.now(), &Answer::Taken).await;
        let read = ledger.open_requests(lease).await;
        for error in [answered.unwrap_err(), read.unwrap_err()] {
            assert!(matches!(error, LedgerError::LeaseLost { .. }), "{error:?}");
        }
    }
    assert_eq!(open_ids(&*server, &new).await, [id]);
    let taken = server.answer(&new, id, world.now(), &Answer::Taken).await;
    assert!(taken.unwrap());
}

async fn a_request_is_either_withdrawn_or_answered(world: World) {
    let controller = world.open().await;
    let asker = world.open_on("server", "boot-9").await;
    let lease = lease(&*controller).await;
    let now = world.now();

    let id = ask(&world, &*asker, "web", RequestKind::Pause).await;
    assert_eq!(open_ids(&*controller, &lease).await, [id], "it is read");
    assert!(asker.withdraw(id).await.unwrap());
    let late = controller.answer(&lease, id, now, &Answer::Taken).await;
    assert!(!late.unwrap(), "nobody waits for it any more");
    assert!(!asker.withdraw(id).await.unwrap(), "only once");
    let withdrawn = refused("it was withdrawn");
    assert_eq!(answer_of(&*asker, id).await, Some(withdrawn));
    assert_eq!(open_ids(&*controller, &lease).await, [0_i64; 0]);

    let id = ask(&world, &*asker, "web", RequestKind::Pause).await;
    let answered = controller.answer(&lease, id, now, &Answer::Taken).await;
    assert!(answered.unwrap());
    assert!(!asker.withdraw(id).await.unwrap(), "it was faster");
    assert_eq!(answer_of(&*asker, id).await, Some(Answer::Taken));
    assert!(!asker.withdraw(99).await.unwrap());

    // At the same time: exactly one of them has it.
    for _ in 0..20 {
        let id = ask(&world, &*asker, "web", RequestKind::Pause).await;
        let (withdrawn, answered) = tokio::join!(
            asker.withdraw(id),
            controller.answer(&lease, id, now, &Answer::Taken)
        );
        let (withdrawn, answered) = (withdrawn.unwrap(), answered.unwrap());
        assert!(withdrawn != answered, "{withdrawn} {answered}");
        let taken = answer_of(&*asker, id).await == Some(Answer::Taken);
        assert_eq!(taken, answered);
    }
}

async fn a_new_rollout_refuses_what_was_asked_before(world: World) {
    let ledger = world.open().await;
    let first = lease(&*ledger).await;
    let (release, again) = (started("web", 'a'), started("web", 'b'));
    ledger
        .begin_rollout(&first, world.now(), &release)
        .await
        .unwrap();
    let taken = ask(&world, &*ledger, "web", RequestKind::Pause).await;
    ledger
        .answer(&first, taken, world.now(), &Answer::Taken)
        .await
        .unwrap();
    let abort = ask(&world, &*ledger, "web", RequestKind::Abort).await;
    let other = ask(&world, &*ledger, "api", RequestKind::Abort).await;

    // Any other event leaves them; so does one that is refused.
    ledger
        .append(&first, RolloutId(1), world.now(), &staging("web-01"))
        .await
        .unwrap();
    world.pass(LEASE);
    let second = ledger.acquire(&service("web"), &holder(900), false).await;
    let second = second.unwrap();
    let displaced = ledger.begin_rollout(&first, world.now(), &again).await;
    assert!(displaced.is_err());
    assert_eq!(open_ids(&*ledger, &second).await, [abort]);

    ledger
        .begin_rollout(&second, world.now(), &again)
        .await
        .unwrap();
    let void = refused("another rollout began");
    assert_eq!(answer_of(&*ledger, abort).await, Some(void));
    assert_eq!(answer_of(&*ledger, taken).await, Some(Answer::Taken));
    assert_eq!(answer_of(&*ledger, other).await, None);
    let fresh = ask(&world, &*ledger, "web", RequestKind::Abort).await;
    assert_eq!(open_ids(&*ledger, &second).await, [fresh]);
}

async fn a_resumed_rollout_refuses_what_was_asked_before(world: World) {
    let ledger = world.open().await;
    let first = lease(&*ledger).await;
    ledger
        .begin_rollout(&first, world.now(), &started("web", 'a'))
        .await
        .unwrap();
    let abort = ask(&world, &*ledger, "web", RequestKind::Abort).await;
    let resumed = Event::RolloutResumed {
        by: "anna@laptop".to_owned(),
        retry: false,
        window: None,
        unattended: false,
    };
    world.kill(812);
    let second = ledger.acquire(&service("web"), &holder(900), false).await;
    let second = second.unwrap();
    assert_eq!(open_ids(&*ledger, &second).await, [abort]);
    ledger
        .append(&second, RolloutId(1), world.now(), &resumed)
        .await
        .unwrap();
    assert_eq!(open_ids(&*ledger, &second).await, [0_i64; 0]);
    let void = refused("the rollout was resumed");
    assert_eq!(answer_of(&*ledger, abort).await, Some(void));
}

async fn another_process_sees_the_answer(world: World) {
    let controller = world.open().await;
    let asker = world.open_on("server", "boot-9").await;
    let lease = lease(&*controller).await;
    let mut numbers = Vec::new();
    for (of, asked_on) in [("web", &asker), ("api", &controller), ("web", &controller)] {
        numbers.push(ask(&world, &**asked_on, of, RequestKind::Pause).await);
    }
    assert_eq!(numbers, [1, 2, 3], "no number is given twice");
    let reason = "step 2 was reached \u{1F600} 'only' now";
    controller
        .answer(&lease, 1, world.now(), &refused(reason))
        .await
        .unwrap();
    assert_eq!(answer_of(&*asker, 1).await, Some(refused(reason)));
    assert_eq!(answer_of(&*asker, 3).await, None);
}
