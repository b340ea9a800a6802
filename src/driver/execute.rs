//! Performs one action on one host and says how it ended.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::hooks::instance_hook;
use super::job::{Adapters, Job};
use super::side::Pair;
use super::traffic::{close_entry, move_traffic, stays_out, unmarked};
use super::watch::{Subject, look};
use crate::core::event::{ActionKind, ActionOutcome, Runs, Started};
use crate::core::health::Poll;
use crate::core::hooks::{HookEnd, HookKind};
use crate::core::ids::HostName;
use crate::core::revision::Manifest;
use crate::core::rollout::Expects;
use crate::ports::{Controller, HostError, HostErrorKind, Member, Progress, Switch};

/// How many journal lines an error shows (contract, section 3).
const JOURNAL_LINES: usize = 20;

/// An error is not worth more waiting for its journal than this.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(5);

/// A host that was cut off is asked again after so long.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(2);

/// All that an action needs to know, as of the moment it was decided.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) host: HostName,
    pub(super) kind: ActionKind,
    /// What the host ran before the rollout; for a stop, what it runs.
    pub(super) before: Runs,
    /// How the units were started by us.
    pub(super) started: Option<Started>,
    /// What the instance is believed to be, for activate; with the watch that a fresh look needs.
    pub(super) expects: Option<(Expects, Subject)>,
    /// Whether its health passes, for attach.
    pub(super) works: bool,
    /// Endpoints at which an operator keeps it out of traffic.
    pub(super) kept_out: BTreeSet<String>,
    /// Side by side: the two instances.
    pub(super) pair: Option<Pair>,
    /// Which of them the balancers are told of, by its port.
    pub(super) port: Option<u16>,
    /// Hash of the event that says the action was started.
    pub(super) event_hash: String,
    /// Whether a failure of the instance is being cleaned up, which wants its journal.
    pub(super) last_answer: Option<crate::ports::ProbeAnswer>,
}

impl Order {
    /// What serves once it is done, as balancers know it.
    fn serves(&self) -> Member {
        let port = self.pair.as_ref().map(Pair::port).or(self.port);
        Member::at(&self.host, port)
    }
}

/// How an action ended, and what else it found.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) outcome: ActionOutcome,
    /// What the host ran before rollctl came, now kept as a revision: the ledger has to give it a number.
    pub(super) adopted: Option<Manifest>,
    /// Sessions that were still open when the time to drain was over.
    pub(super) sessions_left: u64,
    /// The hook that it was.
    pub(super) hook: Option<(HookKind, HookEnd)>,
}

impl From<ActionOutcome> for Ending {
    fn from(outcome: ActionOutcome) -> Self {
        Self {
            outcome,
            adopted: None,
            sessions_left: 0,
            hook: None,
        }
    }
}

/// Performs it. Retries are the adapter's; an unknown end is said to be unknown.
pub(super) async fn execute(
    ports: Arc<Adapters>,
    job: Arc<Job>,
    controller: Controller,
    order: Order,
) -> Ending {
    let target = Runs::Revision {
        revision: job.spec.target.clone(),
    };
    let hash = order.event_hash.clone();
    match order.kind {
        ActionKind::Drain
        | ActionKind::Attach
        | ActionKind::DrainSibling
        | ActionKind::AttachSibling => move_traffic(&ports, &job, &order).await,
        ActionKind::BeforeInstance | ActionKind::BeforeStart | ActionKind::AfterInstance => {
            instance_hook(&ports, &job, &controller, &order).await
        }
        ActionKind::Stage => stage(&ports, &job, &controller, &order).await,
        ActionKind::Activate => {
            if let Some(outcome) = take_fresh_look(&ports, &job, &order).await {
                return outcome.into();
            }
            let switch = Switch {
                from: order.before.clone(),
                to: target,
                event_hash: hash,
                guarded: true,
                side: None,
            };
            let switch = order
                .pair
                .as_ref()
                .map_or(switch, |pair| pair.switch(&order.event_hash, false));
            if let Some(pair) = order.pair.as_ref().filter(|pair| pair.leaves(order.port))
                && let Err(reason) = close_entry(&ports, &job, &order, pair).await
            {
                return ActionOutcome::Refused { reason }.into();
            }
            let ask = || ports.hosts.switch(&order.host, &controller, &switch);
            let started = until_answered(&job, false, ask).await;
            let outcome = ended(started.map(Some), Refusal::Untouched);
            let drained = Member::at(&order.host, order.port);
            unmarked(&ports, Some(&drained), &order.serves(), outcome)
                .await
                .into()
        }
        ActionKind::Confirm => {
            let switch = Switch {
                from: order.before.clone(),
                to: target,
                event_hash: hash,
                guarded: true,
                side: None,
            };
            let switch = order
                .pair
                .as_ref()
                .map_or(switch, |pair| pair.confirmed(&order));
            let Some(started) = &order.started else {
                return ActionOutcome::Failed {
                    reason: "nothing is known of its start".to_owned(),
                }
                .into();
            };
            let ask = || {
                let hosts = &ports.hosts;
                hosts.confirm(&order.host, &controller, &switch, started)
            };
            let confirmed = until_answered(&job, true, ask).await;
            // What was stopped for it does not come back: no switch is to open its entry.
            let alone = order.pair.as_ref().filter(|pair| pair.other.is_none());
            if let (Some(pair), Ok(_)) = (alone, &confirmed) {
                stays_out(&ports, &pair.left_beside(&order.host)).await;
            }
            ended(confirmed.map(|_| None), Refusal::Fails).into()
        }
        ActionKind::Revert => {
            diagnose(&ports, &order).await;
            if let Some(pair) = &order.pair {
                let ask = || pair.put_back(&*ports.hosts, &controller, &order);
                let back = until_answered(&job, true, ask).await;
                if back.is_ok() && pair.leaves(order.port) {
                    stays_out(&ports, &Member::at(&order.host, order.port)).await;
                }
                let outcome = ended(back, Refusal::Fails);
                let serves = order.serves();
                return unmarked(&ports, Some(&serves), &serves, outcome)
                    .await
                    .into();
            }
            let switch = Switch {
                from: target,
                to: order.before.clone(),
                event_hash: hash,
                guarded: false,
                side: None,
            };
            let stopped = order.before == Runs::Nothing;
            let ask = || put_back(&ports, &controller, &order.host, &switch);
            let started = until_answered(&job, true, ask).await;
            if stopped && started.is_ok() {
                stays_out(&ports, &Member::at(&order.host, order.port)).await;
            }
            let outcome = ended(
                started.map(|started| (!stopped).then_some(started)),
                Refusal::Fails,
            );
            let serves = order.serves();
            unmarked(&ports, Some(&serves), &serves, outcome)
                .await
                .into()
        }
        ActionKind::Start => {
            let Some(pair) = &order.pair else {
                return not_side_by_side();
            };
            let switch = pair.switch(&hash, true);
            if let Err(reason) = close_entry(&ports, &job, &order, pair).await {
                return match switch.guarded {
                    true => ActionOutcome::Refused { reason }.into(),
                    false => ActionOutcome::Failed { reason }.into(),
                };
            }
            let ask = || ports.hosts.switch(&order.host, &controller, &switch);
            let refusal = match switch.guarded {
                true => Refusal::Untouched,
                false => Refusal::Fails,
            };
            let started = until_answered(&job, !switch.guarded, ask).await;
            let outcome = ended(started.map(Some), refusal);
            unmarked(&ports, None, &order.serves(), outcome)
                .await
                .into()
        }
        ActionKind::StopSibling => {
            let Some(pair) = &order.pair else {
                return not_side_by_side();
            };
            let ask = || pair.stop_other(&*ports.hosts, &controller, &order);
            let stopped = until_answered(&job, true, ask).await;
            if stopped.is_ok() {
                stays_out(&ports, &pair.left_beside(&order.host)).await;
            }
            ended(stopped.map(|()| None), Refusal::Fails).into()
        }
        ActionKind::Stop => {
            let switch = Switch {
                from: order.before.clone(),
                to: Runs::Nothing,
                event_hash: hash,
                guarded: false,
                side: None,
            };
            let ask = || stop(&ports, &controller, &order.host, &switch);
            let stopped = until_answered(&job, true, ask).await;
            if stopped.is_ok() {
                stays_out(&ports, &Member::at(&order.host, order.port)).await;
            }
            ended(stopped.map(|()| None), Refusal::Fails).into()
        }
        ActionKind::Prune => {
            // What this host ran before stays: a revert may still need it, and the ledger may have learned of it only
            // now, by its adoption.
            let before = order.before.revision().map(|before| before.name.clone());
            let keep: Vec<_> = job.keep.iter().cloned().chain(before).collect();
            let removed = ports.hosts.prune(&order.host, &controller, &keep).await;
            ended(removed.map(|_| None), Refusal::Fails).into()
        }
    }
}

fn not_side_by_side() -> Ending {
    let reason = "the inventory does not say any more that it runs side by side".to_owned();
    ActionOutcome::Failed { reason }.into()
}

async fn stage(ports: &Adapters, job: &Job, controller: &Controller, order: &Order) -> Ending {
    let report = |sent, total| {
        ports.reporter.progress(&Progress::Upload {
            host: order.host.clone(),
            sent,
            total,
        });
    };
    match ports
        .hosts
        .stage(&order.host, controller, &job.target, &report)
        .await
    {
        Ok(staged) => Ending {
            adopted: staged.adopted,
            ..ActionOutcome::Done { started: None }.into()
        },
        Err(error) => ended(Err(error), Refusal::Untouched).into(),
    }
}

/// A takedown is preceded by a fresh probe of its own instance (contract, section 3): what it was decided on must
/// still be so.
pub(super) async fn take_fresh_look(
    ports: &Adapters,
    job: &Job,
    order: &Order,
) -> Option<ActionOutcome> {
    let (expects, subject) = order.expects.as_ref()?;
    if *expects == Expects::Absent {
        return None;
    }
    let seen = look(ports, &job.health, subject, true).await;
    let reason = match (expects, seen.poll) {
        (Expects::Broken, Poll::Pass) => {
            "it was broken, but a fresh look finds it working".to_owned()
        }
        (Expects::Broken, Poll::Unknown) => format!(
            "a fresh look could not say how it is: {}",
            seen.answer.stored
        ),
        _ => return None,
    };
    Some(ActionOutcome::Declined { reason })
}

/// Asks until the host answers, as long as an instance may take to become available: every step may be asked for
/// twice, and a connection that comes back within that time is no reason to call anything failed. `is_begun`: something
/// was begun on the host before, so that one that cannot be reached is not one where nothing was done.
async fn until_answered<T, F>(
    job: &Job,
    mut is_begun: bool,
    ask: impl Fn() -> F,
) -> Result<T, HostError>
where
    F: Future<Output = Result<T, HostError>>,
{
    let begun = Instant::now();
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        is_begun |= error.kind == HostErrorKind::Lost;
        let kind = match error.kind {
            HostErrorKind::Lost | HostErrorKind::Unreachable if is_begun => HostErrorKind::Lost,
            // What was cut off may have been done: a refusal now does not say that nothing was changed.
            HostErrorKind::Refused if is_begun => HostErrorKind::Failed,
            kind => kind,
        };
        if kind != HostErrorKind::Lost || begun.elapsed() >= job.health.deadline {
            return Err(HostError { kind, ..error });
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Puts back what ran before. A switch that was cut off has perhaps never arrived, or is put back by the host as soon
/// as it is claimed: then it runs already what it is to run, and there is nothing to switch.
async fn put_back(
    ports: &Adapters,
    controller: &Controller,
    host: &HostName,
    switch: &Switch,
) -> Result<Started, HostError> {
    let is_cut_off =
        |error: &HostError| matches!(error.kind, HostErrorKind::Lost | HostErrorKind::Unreachable);
    match ports.hosts.claim(host, controller).await {
        Err(error) if is_cut_off(&error) => return Err(error),
        // The switch says better what is wrong.
        Err(_) => {}
        Ok(()) => match ports.hosts.observe(host).await {
            Err(error) if is_cut_off(&error) => return Err(error),
            // Of a restart the dead-man's switch may still be armed: the switch takes it away.
            Ok(facts) if is_same(&facts.runs, &switch.to) && facts.unproven.is_none() => {
                return Ok(Started {
                    boot: facts.boot,
                    units: facts.units.into_iter().map(|unit| unit.started).collect(),
                });
            }
            Ok(_) | Err(_) => {}
        },
    }
    ports.hosts.switch(host, controller, switch).await
}

/// Stops what a host runs, removes it from there, and reads that back.
async fn stop(
    ports: &Adapters,
    controller: &Controller,
    host: &HostName,
    switch: &Switch,
) -> Result<(), HostError> {
    let stopped = put_back(ports, controller, host, switch).await?;
    let confirmed = ports.hosts.confirm(host, controller, switch, &stopped);
    confirmed.await.map(drop)
}

fn is_same(seen: &Runs, wanted: &Runs) -> bool {
    match wanted.revision() {
        Some(revision) => seen.is(revision),
        None => *seen == Runs::Nothing,
    }
}

/// Collects what a person wants to know of a failed instance, before it is started anew. Shown, not stored.
async fn diagnose(ports: &Adapters, order: &Order) {
    let of = order.pair.as_ref().and_then(|pair| pair.main.revision());
    let of = of.map(|revision| &revision.name);
    let journal = ports.hosts.journal(&order.host, of, JOURNAL_LINES);
    let journal = match tokio::time::timeout(JOURNAL_PATIENCE, journal).await {
        Ok(Ok(excerpt)) => excerpt,
        Ok(Err(_)) | Err(_) => crate::ports::JournalExcerpt::NotReadable,
    };
    ports.reporter.progress(&Progress::Diagnosis {
        host: order.host.clone(),
        last_probe: order.last_answer.clone(),
        journal,
    });
}

/// What a refusal means for an action.
#[derive(Clone, Copy, PartialEq)]
enum Refusal {
    /// Nothing was changed and nothing was about to be finished.
    Untouched,
    /// The instance is in hand: it must be finished one way or the other.
    Fails,
}

fn ended(result: Result<Option<Started>, HostError>, refusal: Refusal) -> ActionOutcome {
    match result {
        Ok(started) => ActionOutcome::Done { started },
        Err(error) => {
            let reason = error.in_words();
            match error.kind {
                HostErrorKind::Refused | HostErrorKind::Unreachable
                    if refusal == Refusal::Untouched =>
                {
                    ActionOutcome::Refused { reason }
                }
                HostErrorKind::Refused | HostErrorKind::Failed => ActionOutcome::Failed { reason },
                HostErrorKind::Unreachable | HostErrorKind::Lost => ActionOutcome::Lost { reason },
            }
        }
    }
}
