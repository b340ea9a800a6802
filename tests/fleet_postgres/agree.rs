//! Whether the hosts' journals and the ledger tell the same story.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rollctl::core::event::{ActionKind, ActionOutcome, Event, RecordedEvent};
use rollctl::core::ids::ServiceName;
use rollctl::core::rollout::RolloutState;
use rollctl::driver::SystemClock;
use rollctl::ledger::{Chain, Chained, Here, open_existing};
use rollctl::ports::Ledger;
use rollctl_fleet::Fleet;

/// What is wrong, in words.
pub(crate) fn wrong(fleet: &Fleet, url: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut wrong = Vec::new();
    let events = runtime.block_on(read(url, &mut wrong));
    for host in fleet.hosts() {
        let journal = host.sh("cat /opt/web/.rollctl/journal").unwrap();
        wrong.extend(compare(host.name(), &journal, &events));
    }
    wrong
}

/// All events, once every rollout is over, folds, and is in a chain that is whole.
async fn read(url: &str, wrong: &mut Vec<String>) -> Vec<RecordedEvent> {
    let here = Here::of_this_machine(Arc::new(SystemClock));
    let ledger = open_existing(url, here).await.unwrap().unwrap();
    let web = ServiceName::new("web");
    match ledger.verify_chain(&web).await.unwrap() {
        Chain::Whole { .. } => {}
        broken => wrong.push(format!("the chain is {broken:?}")),
    }
    if let Some(holder) = ledger.holder(&web).await.unwrap() {
        wrong.push(format!("the lease is held by {holder:?}"));
    }
    let mut all = Vec::new();
    for rollout in ledger.rollouts(&web, usize::MAX).await.unwrap() {
        if rollout.outcome != "completed" {
            wrong.push(format!("rollout {} is {}", rollout.id, rollout.outcome));
        }
        let events = ledger.events(rollout.id, 0).await.unwrap();
        if let Err(error) = RolloutState::fold(&events) {
            wrong.push(format!("rollout {} makes no sense: {error}", rollout.id));
        }
        all.extend(events);
    }
    all
}

/// A line of a journal: what came of what the ledger calls by that hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line<'a> {
    rollout: &'a str,
    outcome: &'a str,
    hash: &'a str,
}

fn compare(host: &str, journal: &str, events: &[RecordedEvent]) -> Vec<String> {
    let mut wrong = Vec::new();
    let started: BTreeMap<&str, &RecordedEvent> = events
        .iter()
        .filter(|one| matches!(&one.event, Event::ActionStarted { host: on, .. } if on.as_str() == host))
        .map(|one| (one.hash.as_str(), one))
        .collect();
    let mut seen = BTreeSet::new();
    for text in journal.lines() {
        let fields: Vec<_> = text.split('\t').collect();
        let &[_, rollout, _, _, _, _, outcome, hash] = fields.as_slice() else {
            wrong.push(format!("{host}: a line is odd: {text}"));
            continue;
        };
        let line = Line {
            rollout,
            outcome,
            hash,
        };
        match started.get(hash) {
            Some(event) if event.rollout.to_string() == rollout => {}
            Some(event) => wrong.push(format!("{host}: {line:?} is of rollout {}", event.rollout)),
            None => wrong.push(format!("{host}: the ledger does not have {line:?}")),
        }
        if !seen.insert(line.clone()) {
            wrong.push(format!("{host}: done twice: {line:?}"));
        }
    }
    // What the ledger says was done, the host says too.
    let mut open: BTreeMap<ActionKind, &RecordedEvent> = BTreeMap::new();
    for one in events {
        match &one.event {
            Event::ActionStarted { host: on, action } if on.as_str() == host => {
                open.insert(*action, one);
            }
            Event::ActionEnded {
                host: on,
                action,
                outcome: ActionOutcome::Done { .. },
            } if on.as_str() == host => {
                let wanted: &[&str] = match action {
                    ActionKind::Activate => &["switched", "finished"],
                    ActionKind::Confirm => &["confirmed"],
                    _ => continue,
                };
                let hash = open.get(action).map_or("", |started| started.hash.as_str());
                let is_told = seen
                    .iter()
                    .any(|line| line.hash == hash && wanted.contains(&line.outcome));
                if !is_told {
                    wrong.push(format!(
                        "{host}: its journal lacks {action:?} of rollout {}",
                        one.rollout
                    ));
                }
            }
            _ => {}
        }
    }
    wrong
}
