//! Any sequence of calls: SQLite, PostgreSQL and memory answer the same, numbers are dense, the chain is whole.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rollctl_postgres::Server;

use super::testing::*;
use super::{Chained, LEASE};
use crate::core::event::{Event, Outcome};
use crate::core::ids::{Epoch, RolloutId};
use crate::ports::{Answer, Lease, LedgerError, RequestKind};

const SERVICES: [&str; 2] = ["web", "api"];

#[derive(Debug, Clone)]
enum Call {
    Record {
        letter: char,
        name: Option<char>,
    },
    Acquire {
        pid: u32,
        take_over: bool,
    },
    Renew {
        back: i64,
    },
    Release {
        back: i64,
    },
    Begin {
        back: i64,
        letter: char,
    },
    Append {
        back: i64,
        rollout: i64,
        event: Box<Event>,
    },
    Raise {
        back: i64,
        seen: i64,
    },
    Ask {
        kind: RequestKind,
    },
    Answer {
        back: i64,
        request: i64,
        taken: bool,
    },
    Withdraw {
        request: i64,
    },
    Kill {
        pid: u32,
    },
    Pass {
        seconds: u64,
    },
}

fn call() -> impl Strategy<Value = (usize, Call)> {
    let letter = prop::char::range('a', 'e');
    // Mostly the newest lease, sometimes an older one.
    let back = prop_oneof![5 => Just(0_i64), 1 => 1_i64..3];
    let event = prop_oneof![
        4 => Just(Event::HealthChanged {
            host: crate::core::ids::HostName::new("web-01"),
            health: crate::core::health::Health::Ready { since: crate::core::time::Timestamp::from_millis(5) }, sibling: false, }),
        1 => Just(Event::RolloutPaused),
        1 => Just(Event::RolloutResumed { by: "anna@laptop".to_owned(), retry: true, window: None, unattended: false }),
        1 => Just(Event::RolloutEnded { outcome: Outcome::Completed }),
    ];
    let call = prop_oneof![
        (letter.clone(), proptest::option::of(letter.clone()))
            .prop_map(|(letter, name)| Call::Record { letter, name }),
        (1_u32..4, any::<bool>()).prop_map(|(pid, take_over)| Call::Acquire { pid, take_over }),
        back.clone().prop_map(|back| Call::Renew { back }),
        back.clone().prop_map(|back| Call::Release { back }),
        (back.clone(), letter).prop_map(|(back, letter)| Call::Begin { back, letter }),
        (back.clone(), 0_i64..30).prop_map(|(back, seen)| Call::Raise { back, seen }),
        prop::sample::select(vec![
            RequestKind::Pause,
            RequestKind::Approve,
            RequestKind::Abort
        ])
        .prop_map(|kind| Call::Ask { kind }),
        (back.clone(), 1_i64..6, any::<bool>()).prop_map(|(back, request, taken)| Call::Answer {
            back,
            request,
            taken
        }),
        (1_i64..6).prop_map(|request| Call::Withdraw { request }),
        (back, 1_i64..6, event).prop_map(|(back, rollout, event)| Call::Append {
            back,
            rollout,
            event: Box::new(event),
        }),
        (1_u32..4).prop_map(|pid| Call::Kill { pid }),
        (1_u64..20).prop_map(|seconds| Call::Pass { seconds }),
    ];
    (0..SERVICES.len(), call)
}

/// Does it, and says what came of it, errors in words.
async fn answer(
    world: &World,
    ledger: &dyn Chained,
    newest: &mut [i64; 2],
    of: usize,
    call: &Call,
) -> String {
    let name = SERVICES[of];
    let lease = |back: &i64| Lease {
        service: service(name),
        epoch: Epoch(newest[of] - back),
    };
    let said = |done: Result<String, LedgerError>| match done {
        Ok(text) => text,
        // The words of one that names its file differ.
        Err(LedgerError::Database { doing, source, .. }) => format!("{doing}: {source}"),
        Err(error) => error.to_string(),
    };
    said(match call {
        Call::Record {
            letter,
            name: called,
        } => {
            let called = called.map(|letter| format!("n{letter}"));
            let new = revision(name, *letter, called.as_deref());
            ledger
                .record_revision(&new)
                .await
                .map(|found| format!("{found:?}"))
        }
        Call::Acquire { pid, take_over } => {
            let taken = ledger
                .acquire(&service(name), &holder(*pid), *take_over)
                .await;
            taken.map(|lease| {
                assert!(lease.epoch.0 > newest[of], "epochs only grow");
                newest[of] = lease.epoch.0;
                format!("{lease:?}")
            })
        }
        Call::Renew { back } => ledger.renew(&lease(back)).await.map(|()| String::new()),
        Call::Release { back } => ledger.release(&lease(back)).await.map(|()| String::new()),
        Call::Begin { back, letter } => {
            let first = started(name, *letter);
            let begun = ledger
                .begin_rollout(&lease(back), world.now(), &first)
                .await;
            begun.map(|recorded| format!("{recorded:?}"))
        }
        Call::Append {
            back,
            rollout,
            event,
        } => {
            let appended = ledger
                .append(&lease(back), RolloutId(*rollout), world.now(), event)
                .await;
            appended.map(|recorded| format!("{recorded:?}"))
        }
        Call::Raise { back, seen } => {
            let raised = ledger.raise_epoch(&lease(back), Epoch(*seen)).await;
            raised.map(|lease| {
                assert!(lease.epoch.0 > newest[of].max(*seen), "epochs only grow");
                newest[of] = lease.epoch.0;
                format!("{lease:?}")
            })
        }
        Call::Ask { kind } => {
            let asked = ledger
                .request(&service(name), *kind, "bert@server", world.now())
                .await;
            asked.map(|request| format!("{request}"))
        }
        Call::Answer {
            back,
            request,
            taken,
        } => {
            let answer = match taken {
                true => Answer::Taken,
                false => Answer::Refused {
                    reason: "no".to_owned(),
                },
            };
            let answered = ledger
                .answer(&lease(back), *request, world.now(), &answer)
                .await;
            answered.map(|open| format!("{open}"))
        }
        Call::Withdraw { request } => ledger
            .withdraw(*request)
            .await
            .map(|open| format!("{open}")),
        Call::Kill { pid } => {
            world.kill(*pid);
            Ok(String::new())
        }
        Call::Pass { seconds } => {
            world.pass(Duration::from_secs(*seconds));
            Ok(String::new())
        }
    })
}

async fn check(world: &World, ledger: &dyn Chained) -> String {
    let mut seen = String::new();
    for of in SERVICES {
        let revisions = ledger.revisions(&service(of)).await.unwrap();
        let numbers: Vec<u32> = revisions.iter().rev().map(|found| found.number.0).collect();
        assert_eq!(
            numbers,
            (1..=u32::try_from(numbers.len()).unwrap()).collect::<Vec<_>>()
        );
        let rollouts = ledger.rollouts(&service(of), usize::MAX).await.unwrap();
        let open = rollouts.iter().filter(|row| row.ended_at.is_none()).count();
        assert!(open <= 1, "only the newest may be unfinished: {rollouts:?}");
        let mut count = 0;
        for rollout in &rollouts {
            let events = ledger.events(rollout.id, 0).await.unwrap();
            let seqs = events.iter().map(|event| event.seq);
            assert!(seqs.eq(1..=events.len() as u64), "{events:?}");
            count += events.len() as u64;
        }
        assert_eq!(whole(ledger, of).await, count);
        let holder = ledger.holder(&service(of)).await.unwrap();
        seen.push_str(&format!("{revisions:?} {rollouts:?} {holder:?}"));
    }
    for request in 1.. {
        let found = ledger.find_request(request).await.unwrap();
        seen.push_str(&format!("{found:?}"));
        if found.is_none() {
            break;
        }
    }
    // Long after, nobody can hold anything any more.
    world.pass(LEASE * 2);
    for of in SERVICES {
        let late = ledger.rollouts(&service(of), usize::MAX).await.unwrap();
        assert!(
            late.iter().all(|rollout| rollout.outcome != "running"),
            "{late:?}"
        );
    }
    seen
}

/// One server for all cases: its process ends with this thread.
fn worlds() -> Vec<World> {
    thread_local! {
        static SERVER: Option<Arc<Server>> =
            (!rollctl_postgres::skip()).then(|| Arc::new(Server::start().unwrap()));
    }
    let postgres = SERVER.with(|server| server.as_ref().map(World::on));
    [World::memory(), World::sqlite()]
        .into_iter()
        .chain(postgres)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_calls(calls in prop::collection::vec(call(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut answers = Vec::new();
            for world in worlds() {
                let ledger = world.open().await;
                let mut newest = [0; 2];
                let mut said = Vec::new();
                for (of, call) in &calls {
                    said.push(answer(&world, &*ledger, &mut newest, *of, call).await);
                }
                said.push(check(&world, &*ledger).await);
                answers.push(said);
            }
            for other in &answers[1..] {
                assert_eq!(&answers[0], other, "memory and a database differ");
            }
        });
    }
}
