//! Moves one instance in and out of traffic, by whoever sends it its traffic.

use std::future::Future;

use tokio::time::Instant;

use super::execute::{ASK_AGAIN, Ending, Order, take_fresh_look};
use super::job::{Adapters, Job};
use super::side::{Pair, PortsOf};
use crate::core::event::{ActionKind, ActionOutcome};
use crate::core::health::Health;
use crate::core::ids::HostName;
use crate::core::rollout::{RolloutState, Stage};
use crate::ports::{LedgerError, Member, Progress, TrafficError};

/// Takes an instance out of traffic, or puts it in.
pub(super) async fn move_traffic(ports: &Adapters, job: &Job, order: &Order) -> Ending {
    let Some(traffic) = &ports.traffic else {
        let reason = "the inventory does not say any more where its traffic comes from".to_owned();
        return ActionOutcome::Failed { reason }.into();
    };
    let member = Member::at(&order.host, order.port);
    let moved = match order.kind {
        ActionKind::Attach | ActionKind::AttachSibling => {
            let attach = || traffic.attach(&member, &order.kept_out, order.works);
            until_done(ports, job, attach).await.map(|()| 0)
        }
        _ => {
            if let Some(declined) = take_fresh_look(ports, job, order).await {
                return declined.into();
            }
            if let Err(reason) = lead_to_other(ports, job, order).await {
                return ActionOutcome::Failed { reason }.into();
            }
            let drained = until_done(ports, job, || traffic.drain(&member)).await;
            drained.map(|drained| {
                drained
                    .unguarded
                    .into_iter()
                    .for_each(|text| warn(ports, &order.host, text));
                drained.sessions_left
            })
        }
    };
    match moved {
        Ok(sessions_left) => Ending {
            sessions_left,
            ..ActionOutcome::Done { started: None }.into()
        },
        Err(reason) => ActionOutcome::Failed { reason }.into(),
    }
}

/// An entry that both of a host share leads to the one that is to go: it is led to the other first, which goes on serving.
async fn lead_to_other(ports: &Adapters, job: &Job, order: &Order) -> Result<(), String> {
    let pair = order
        .pair
        .as_ref()
        .filter(|_| order.kind == ActionKind::Drain);
    let other = pair.and_then(|pair| pair.serving_other(&order.host));
    let (Some(traffic), Some((other, works))) = (&ports.traffic, other) else {
        return Ok(());
    };
    until_done(ports, job, || {
        traffic.attach(&other, &order.kept_out, works)
    })
    .await
}

/// Before an instance is started on a port, no balancer may send requests there: its own check would find it ready before
/// it has proved itself.
pub(super) async fn close_entry(
    ports: &Adapters,
    job: &Job,
    order: &Order,
    pair: &Pair,
) -> Result<(), String> {
    let Some(traffic) = &ports.traffic else {
        return Ok(());
    };
    let member = Member::at(&order.host, Some(pair.port()));
    until_done(ports, job, || traffic.close(&member)).await
}

/// Asks until it is done, as long as an instance may take to become available: a balancer that is restarted meanwhile
/// is no reason to call an instance failed. Balancers know no epochs, so that the lease is made sure of each time just
/// before: a controller that was displaced while it slept moves no traffic.
async fn until_done<T, F>(ports: &Adapters, job: &Job, ask: impl Fn() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, TrafficError>>,
{
    let begun = Instant::now();
    loop {
        let (why, passes) = match ports.ledger.renew(&job.lease).await {
            Ok(()) => match ask().await {
                Ok(done) => return Ok(done),
                Err(error) => (error.in_words(), error.is_passing),
            },
            Err(error) => (
                format!("the lease could not be made sure of: {error}"),
                matches!(error, LedgerError::Database { .. }),
            ),
        };
        if !passes || begun.elapsed() >= job.health.deadline {
            return Err(why);
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

fn warn(ports: &Adapters, host: &HostName, text: String) {
    let host = host.clone();
    ports.reporter.progress(&Progress::Warning { host, text });
}

/// The dead-man's switches of this instance wait for us as long as for whoever armed them.
pub(super) async fn prolong(ports: &Adapters, member: &Member) {
    if let Some(traffic) = &ports.traffic
        && let Err(error) = traffic.prolong(member).await
    {
        warn(ports, &member.host, error.in_words());
    }
}

/// It was stopped on purpose, or given up: no dead-man's switch is to put it back into traffic.
pub(super) async fn stays_out(ports: &Adapters, member: &Member) {
    if let Some(traffic) = &ports.traffic
        && let Err(error) = traffic.stays_out(member).await
    {
        warn(ports, &member.host, error.in_words());
    }
}

/// At the end: what is broken was given up by a controller that lives. What works, or was lost, is left to its switch.
pub(super) async fn leave_out(ports: &Adapters, state: &RolloutState, ports_of: &PortsOf) {
    let left_out = state.left_out();
    for instance in &state.instances {
        let works = matches!(instance.health, Some(Health::Ready { .. }));
        let is_broken = matches!(instance.stage, Stage::Broken { .. });
        if is_broken && !works && left_out.contains_key(&instance.host) {
            let port = ports_of.of(&instance.host, instance.runs.as_ref());
            stays_out(ports, &Member::at(&instance.host, port)).await;
        }
    }
}

/// Takes away the mark by which the process before said no to its balancers; the one that was started now would say no
/// too, and never get ready. `drained`: what was taken out of traffic for it, if anything was.
pub(super) async fn unmarked(
    ports: &Adapters,
    drained: Option<&Member>,
    started: &Member,
    outcome: ActionOutcome,
) -> ActionOutcome {
    let (Some(traffic), ActionOutcome::Done { started: Some(_) }) = (&ports.traffic, &outcome)
    else {
        return outcome;
    };
    if let Some(member) = drained {
        prolong(ports, member).await;
    }
    match traffic.started(started).await {
        Ok(()) => outcome,
        Err(error) => ActionOutcome::Failed {
            reason: error.in_words(),
        },
    }
}
