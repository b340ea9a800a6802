//! Rollouts and their events.

use std::time::Duration;

use super::{contract, staging};
use crate::core::event::{Event, Outcome, PauseCause};
use crate::core::ids::RolloutId;
use crate::core::spec::RolloutKind;
use crate::core::time::Timestamp;
use crate::ledger::LEASE;
use crate::ledger::chain::{NOTHING_BEFORE, canonical_body, hash};
use crate::ledger::testing::*;
use crate::ports::{LedgerError, RolloutRecord};

contract!(
    a_rollout_is_listed_as_it_was_started,
    events_are_read_back_as_they_were_written,
    events_are_appended_together_or_not_at_all,
    the_chain_runs_through_a_service,
    outcomes_follow_the_events,
    a_resumed_rollout_runs_again,
    a_new_rollout_supersedes_what_is_unfinished,
    impossible_events_are_refused
);

async fn a_rollout_is_listed_as_it_was_started(world: World) {
    let ledger = world.open().await;
    let lease = lease(&*ledger).await;
    let mut partial = spec("web", 'b');
    partial.kind = RolloutKind::Rollback;
    partial.from = None;
    partial.hosts[1].selected = false;
    let partial = Event::RolloutStarted {
        spec: Box::new(partial),
        by: "bert@server".to_owned(),
        cause: None,
    };
    for (at, first) in [(START, &started("web", 'a')), (START + 7, &partial)] {
        let at = Timestamp::from_millis(at);
        ledger.begin_rollout(&lease, at, first).await.unwrap();
    }
    let expected = [
        RolloutRecord {
            id: RolloutId(2),
            service: service("web"),
            kind: RolloutKind::Rollback,
            from: None,
            to: digest('b'),
            outcome: "running".to_owned(),
            started_at: Timestamp::from_millis(START + 7),
            ended_at: None,
            by: "bert@server".to_owned(),
            partial: true,
        },
        RolloutRecord {
            id: RolloutId(1),
            service: service("web"),
            kind: RolloutKind::Release,
            from: Some(digest('0')),
            to: digest('a'),
            outcome: "superseded".to_owned(),
            started_at: Timestamp::from_millis(START),
            ended_at: Some(Timestamp::from_millis(START + 7)),
            by: "anna@laptop".to_owned(),
            partial: false,
        },
    ];
    let web = service("web");
    assert_eq!(ledger.rollouts(&web, usize::MAX).await.unwrap(), expected);
    assert_eq!(ledger.rollouts(&web, 1).await.unwrap(), expected[..1]);
    assert_eq!(ledger.rollouts(&web, 0).await.unwrap(), []);
    let one = ledger.rollout(RolloutId(1)).await.unwrap();
    assert_eq!(one.as_ref(), expected.last());
    assert_eq!(ledger.rollout(RolloutId(3)).await.unwrap(), None);
}

async fn events_are_read_back_as_they_were_written(world: World) {
    let ledger = world.open().await;
    let lease = lease(&*ledger).await;
    let first = ledger
        .begin_rollout(&lease, world.now(), &started("web", 'a'))
        .await;
    let mut written = vec![first.unwrap()];
    for event in [
        staging("web-01"),
        Event::PauseRequested {
            cause: PauseCause::Asked {
                by: "größe \u{1F600} 'quoted' \\ \u{7f}".to_owned(),
            },
        },
        Event::RolloutPaused,
    ] {
        world.pass(Duration::from_millis(1));
        let recorded = ledger
            .append(&lease, RolloutId(1), world.now(), &event)
            .await
            .unwrap();
        assert_eq!((&recorded.event, recorded.at), (&event, world.now()));
        written.push(recorded);
    }
    let seqs: Vec<u64> = written.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    for after in 0..=5_u64 {
        let read = ledger.events(RolloutId(1), after).await.unwrap();
        let rest = written.iter().filter(|event| event.seq > after);
        assert_eq!(read, rest.cloned().collect::<Vec<_>>(), "after {after}");
    }
    assert_eq!(ledger.events(RolloutId(2), 0).await.unwrap(), []);
}

async fn events_are_appended_together_or_not_at_all(world: World) {
    let ledger = world.open().await;
    let lease = lease(&*ledger).await;
    let first = started("web", 'a');
    let first = ledger.begin_rollout(&lease, world.now(), &first).await;
    let ended = Event::RolloutEnded {
        outcome: Outcome::Completed,
    };
    let at = |millis| Timestamp::from_millis(START + millis);
    let fits = [
        (at(1), staging("web-01")),
        (at(2), staging("web-02")),
        (at(2), ended),
    ];
    let too_late = [fits.as_slice(), &[(at(3), staging("web-03"))]].concat();
    let refused = ledger.append_all(&lease, RolloutId(1), &too_late).await;
    assert!(refused.is_err(), "the last one comes after the end");
    assert_eq!(whole(&*ledger, "web").await, 1, "nothing of it was written");
    let row = ledger.rollout(RolloutId(1)).await.unwrap().unwrap();
    assert_eq!(row.outcome, "running");

    let nothing = ledger.append_all(&lease, RolloutId(1), &[]).await;
    assert_eq!(nothing.unwrap(), []);
    let written = ledger.append_all(&lease, RolloutId(1), &fits).await;
    let written = [vec![first.unwrap()], written.unwrap()].concat();
    let told: Vec<_> = written
        .iter()
        .skip(1)
        .map(|one| (one.at, one.event.clone()))
        .collect();
    assert_eq!(told, fits);
    assert_eq!(ledger.events(RolloutId(1), 0).await.unwrap(), written);
    assert_eq!(whole(&*ledger, "web").await, 4);
    let row = ledger.rollout(RolloutId(1)).await.unwrap().unwrap();
    assert_eq!(
        (row.outcome.as_str(), row.ended_at),
        ("completed", Some(at(2)))
    );
}

async fn the_chain_runs_through_a_service(world: World) {
    let ledger = world.open().await;
    assert_eq!(whole(&*ledger, "web").await, 0, "nothing was written yet");
    let lease = lease(&*ledger).await;
    ledger
        .begin_rollout(&lease, world.now(), &started("web", 'a'))
        .await
        .unwrap();
    ledger
        .append(&lease, RolloutId(1), world.now(), &staging("web-01"))
        .await
        .unwrap();
    ledger
        .begin_rollout(&lease, world.now(), &started("web", 'b'))
        .await
        .unwrap();
    ledger
        .append(&lease, RolloutId(2), world.now(), &staging("web-01"))
        .await
        .unwrap();

    let mut in_order = ledger.events(RolloutId(1), 0).await.unwrap();
    in_order.extend(ledger.events(RolloutId(2), 0).await.unwrap());
    let mut previous = NOTHING_BEFORE.to_owned();
    for event in &in_order {
        let body = canonical_body(&event.event).unwrap();
        let expected = hash(&previous, event.rollout, event.seq, event.at, &body);
        assert_eq!(event.hash, expected, "{event:?}");
        previous.clone_from(&event.hash);
    }
    assert_eq!(in_order.len(), 5, "with the first's `rollout_superseded`");
    assert_eq!(whole(&*ledger, "web").await, 5);
}

async fn outcomes_follow_the_events(world: World) {
    let ledger = world.open().await;
    let lease = lease(&*ledger).await;
    let asked = Event::PauseRequested {
        cause: PauseCause::Stalled,
    };
    let ended = |outcome| Event::RolloutEnded { outcome };
    let resumed = resumed(true);
    for (events, outcome, over) in [
        (vec![], "running", false),
        (vec![staging("web-01")], "running", false),
        (vec![asked.clone()], "running", false),
        (vec![asked.clone(), Event::RolloutPaused], "paused", false),
        (
            vec![Event::RolloutPaused, staging("web-01")],
            "running",
            false,
        ),
        (vec![ended(Outcome::Completed)], "completed", true),
        (vec![ended(Outcome::StoodStill)], "stood_still", true),
        (vec![ended(Outcome::Failed)], "failed", true),
        (vec![ended(Outcome::RolledBack)], "rolled_back", true),
        (vec![ended(Outcome::Aborted)], "aborted", true),
        (
            vec![
                Event::RolloutPaused,
                resumed.clone(),
                ended(Outcome::Aborted),
            ],
            "aborted",
            true,
        ),
        (
            vec![Event::RolloutPaused, ended(Outcome::Completed)],
            "completed",
            true,
        ),
        (
            vec![Event::RolloutSuperseded { by: RolloutId(99) }],
            "superseded",
            true,
        ),
    ] {
        let first = ledger
            .begin_rollout(&lease, world.now(), &started("web", 'a'))
            .await;
        let rollout = first.unwrap().rollout;
        for event in &events {
            world.pass(Duration::from_millis(1));
            ledger
                .append(&lease, rollout, world.now(), event)
                .await
                .unwrap();
        }
        let listed = ledger.rollout(rollout).await.unwrap().unwrap();
        assert_eq!(listed.outcome, outcome, "{events:?}");
        assert_eq!(listed.ended_at, over.then(|| world.now()), "{events:?}");
    }
}

fn resumed(retry: bool) -> Event {
    Event::RolloutResumed {
        by: "bert@server".to_owned(),
        retry,
        window: None,
        unattended: false,
    }
}

async fn a_resumed_rollout_runs_again(world: World) {
    let ledger = world.open().await;
    let web = service("web");
    // How it was left; how it is listed then; whether it can be gone on with.
    let ended = |outcome| Event::RolloutEnded { outcome };
    for (last, left, goes_on) in [
        (Event::RolloutPaused, "paused", true),
        (staging("web-01"), "interrupted", true),
        (ended(Outcome::Completed), "completed", false),
        (ended(Outcome::Failed), "failed", false),
        (ended(Outcome::RolledBack), "rolled_back", false),
        (ended(Outcome::Aborted), "aborted", false),
        (
            Event::RolloutSuperseded { by: RolloutId(99) },
            "superseded",
            false,
        ),
    ] {
        let old = ledger.acquire(&web, &holder(812), true).await.unwrap();
        let begun = ledger
            .begin_rollout(&old, world.now(), &started("web", 'a'))
            .await;
        let rollout = begun.unwrap().rollout;
        ledger
            .append(&old, rollout, world.now(), &last)
            .await
            .unwrap();
        let outcome = async || ledger.rollout(rollout).await.unwrap().unwrap().outcome;
        world.pass(LEASE);
        assert_eq!(outcome().await, left);
        let new = ledger.acquire(&web, &holder(900), false).await.unwrap();
        assert_eq!(outcome().await, left, "nobody resumed it yet");
        let before = ledger.rollout(rollout).await.unwrap().unwrap();
        let done = ledger
            .append(&new, rollout, world.now(), &resumed(true))
            .await;
        let after = ledger.rollout(rollout).await.unwrap().unwrap();
        if !goes_on {
            assert!(done.is_err(), "{left}");
            assert_eq!(after, before, "{left}");
            continue;
        }
        assert_eq!(done.unwrap().seq, 3);
        let expected = RolloutRecord {
            outcome: "running".to_owned(),
            ended_at: None,
            ..before
        };
        assert_eq!(after, expected, "{left}");
        let displaced = ledger
            .append(&old, rollout, world.now(), &resumed(false))
            .await;
        assert!(matches!(displaced, Err(LedgerError::LeaseLost { .. })));
        // Its new controller dies as well.
        world.pass(LEASE);
        assert_eq!(outcome().await, "interrupted");
    }
    whole(&*ledger, "web").await;
}

async fn a_new_rollout_supersedes_what_is_unfinished(world: World) {
    let ledger = world.open().await;
    for (last, superseded) in [
        (Some(Event::RolloutPaused), true),
        (None, true),
        (
            Some(Event::RolloutEnded {
                outcome: Outcome::Failed,
            }),
            false,
        ),
    ] {
        let web = service("web");
        let old = ledger.acquire(&web, &holder(812), true).await.unwrap();
        let begun = ledger
            .begin_rollout(&old, world.now(), &started("web", 'a'))
            .await;
        let rollout = begun.unwrap().rollout;
        if let Some(event) = &last {
            ledger
                .append(&old, rollout, world.now(), event)
                .await
                .unwrap();
        }
        let before = ledger.events(rollout, 0).await.unwrap();
        // Its controller vanishes, and a new one comes.
        world.pass(LEASE);
        let new = ledger.acquire(&web, &holder(900), false).await.unwrap();
        let first = ledger
            .begin_rollout(&new, world.now(), &started("web", 'b'))
            .await;
        let first = first.unwrap();
        assert_eq!((first.rollout, first.seq), (RolloutId(rollout.0 + 1), 1));

        let added = ledger.events(rollout, before.len() as u64).await.unwrap();
        let events: Vec<&Event> = added.iter().map(|recorded| &recorded.event).collect();
        let expected = Event::RolloutSuperseded { by: first.rollout };
        assert_eq!(
            events,
            if superseded { vec![&expected] } else { vec![] },
            "{last:?}"
        );
        let listed = ledger.rollout(rollout).await.unwrap().unwrap();
        assert_eq!(
            listed.outcome,
            if superseded { "superseded" } else { "failed" }
        );
        // The new one's first event follows the old one's last.
        let previous = added.last().or(before.last()).unwrap();
        let body = canonical_body(&first.event).unwrap();
        assert_eq!(
            first.hash,
            hash(&previous.hash, first.rollout, 1, first.at, &body)
        );
        whole(&*ledger, "web").await;
    }
}

async fn impossible_events_are_refused(world: World) {
    let ledger = world.open().await;
    let lease = lease(&*ledger).await;
    let api = ledger
        .acquire(&service("api"), &holder(812), false)
        .await
        .unwrap();
    let now = world.now();
    let first = started("web", 'a');
    ledger.begin_rollout(&lease, now, &first).await.unwrap();
    let refused = [
        ledger
            .begin_rollout(&lease, now, &Event::RolloutPaused)
            .await,
        ledger.begin_rollout(&api, now, &first).await,
        ledger
            .append(&api, RolloutId(1), now, &Event::RolloutPaused)
            .await,
        ledger
            .append(&lease, RolloutId(9), now, &Event::RolloutPaused)
            .await,
        ledger.append(&lease, RolloutId(1), now, &first).await,
    ];
    for (row, refused) in refused.into_iter().enumerate() {
        assert!(
            matches!(refused, Err(LedgerError::Database { .. })),
            "{row}: {refused:?}"
        );
    }
    let ended = Event::RolloutEnded {
        outcome: Outcome::Completed,
    };
    ledger
        .append(&lease, RolloutId(1), now, &ended)
        .await
        .unwrap();
    let refused = ledger
        .append(&lease, RolloutId(1), now, &staging("web-01"))
        .await;
    assert!(refused.is_err(), "the rollout is over");
    assert_eq!(whole(&*ledger, "web").await, 2, "nothing of it was written");
    assert_eq!(ledger.rollouts(&service("web"), 9).await.unwrap().len(), 1);
}
