//! Performs one action on one host and says how it ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::hooks::instance_hook;
use super::job::{Adapters, Job};
use super::side::Pair;
use super::switching::Task;
use super::traffic::move_traffic;
use super::watch::{Subject, look};
use crate::core::event::{ActionKind, ActionOutcome, Runs, Started};
use crate::core::health::Poll;
use crate::core::hooks::{HookEnd, HookKind};
use crate::core::ids::HostName;
use crate::core::revision::Manifest;
use crate::core::rollout::Expects;
use crate::ports::{Controller, HostError, HostErrorKind, Member, Progress};

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
    pub(super) fn serves(&self) -> Member {
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
    let task = Task {
        ports: &ports,
        job: &job,
        controller: &controller,
        order: &order,
    };
    match order.kind {
        ActionKind::Drain
        | ActionKind::Attach
        | ActionKind::DrainSibling
        | ActionKind::AttachSibling => move_traffic(&ports, &job, &order).await,
        ActionKind::BeforeInstance | ActionKind::BeforeStart | ActionKind::AfterInstance => {
            instance_hook(&ports, &job, &controller, &order).await
        }
        ActionKind::Stage => stage(&ports, &job, &controller, &order).await,
        ActionKind::Activate => task.activate().await.into(),
        ActionKind::Start => task.start().await.into(),
        ActionKind::Confirm => task.confirm().await.into(),
        ActionKind::Revert => task.revert().await.into(),
        ActionKind::StopSibling => task.stop_sibling().await.into(),
        ActionKind::Stop => task.stop().await.into(),
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
        Ok(staged) => {
            if let Some(text) = staged.warning {
                let host = order.host.clone();
                ports.reporter.progress(&Progress::Warning { host, text });
            }
            Ending {
                adopted: staged.adopted,
                ..ActionOutcome::Done { started: None }.into()
            }
        }
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

/// What a refusal means for an action.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Refusal {
    /// Nothing was changed and nothing was about to be finished.
    Untouched,
    /// The instance is in hand: it must be finished one way or the other.
    Fails,
}

pub(super) fn ended(result: Result<Option<Started>, HostError>, refusal: Refusal) -> ActionOutcome {
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
