//! Switches of one instance, there and back: what hosts are asked, and what balancers are told of it.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::execute::{ASK_AGAIN, Order, Refusal, ended, take_fresh_look};
use super::job::{Adapters, Job};
use super::side::Pair;
use super::traffic::{close_entry, stays_out, unmarked};
use crate::core::event::{ActionOutcome, Runs, Started};
use crate::core::ids::HostName;
use crate::ports::{Controller, HostError, HostErrorKind, Member, Progress, Switch};

/// How many journal lines an error shows (contract, section 3).
const JOURNAL_LINES: usize = 20;

/// An error is not worth more waiting for its journal than this.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(5);

/// One action, with what it works with.
pub(super) struct Task<'a> {
    pub(super) ports: &'a Adapters,
    pub(super) job: &'a Job,
    pub(super) controller: &'a Controller,
    pub(super) order: &'a Order,
}

impl Task<'_> {
    fn target(&self) -> Runs {
        Runs::Revision {
            revision: self.job.spec.target.clone(),
        }
    }

    /// A switch where units are replaced.
    fn replacement(&self, from: Runs, to: Runs, guarded: bool) -> Switch {
        Switch {
            from,
            to,
            event_hash: self.order.event_hash.clone(),
            guarded,
            side: None,
        }
    }

    /// The one that the balancers were told of before.
    fn drained(&self) -> Member {
        Member::at(&self.order.host, self.order.port)
    }

    async fn stays_out(&self, member: &Member) {
        stays_out(self.ports, member).await;
    }

    pub(super) async fn activate(&self) -> ActionOutcome {
        let order = self.order;
        if let Some(declined) = take_fresh_look(self.ports, self.job, order).await {
            return declined;
        }
        let switch = match &order.pair {
            Some(pair) => pair.switch(&order.event_hash, false),
            None => self.replacement(order.before.clone(), self.target(), true),
        };
        if let Some(pair) = order.pair.as_ref().filter(|pair| pair.leaves(order.port))
            && let Err(reason) = close_entry(self.ports, self.job, order, pair).await
        {
            return ActionOutcome::Refused { reason };
        }
        let (hosts, host) = (&self.ports.hosts, &order.host);
        let ask = || hosts.switch(host, self.controller, &switch);
        let started = until_answered(self.job, false, ask).await;
        let outcome = ended(started.map(Some), Refusal::Untouched);
        unmarked(self.ports, Some(&self.drained()), &order.serves(), outcome).await
    }

    /// Side by side: beside what runs, which goes on serving.
    pub(super) async fn start(&self) -> ActionOutcome {
        let order = self.order;
        let Some(pair) = &order.pair else {
            return not_side_by_side();
        };
        let switch = pair.switch(&order.event_hash, true);
        // On the way back it is in hand already.
        let refusal = match switch.guarded {
            true => Refusal::Untouched,
            false => Refusal::Fails,
        };
        if let Err(reason) = close_entry(self.ports, self.job, order, pair).await {
            return match refusal {
                Refusal::Untouched => ActionOutcome::Refused { reason },
                Refusal::Fails => ActionOutcome::Failed { reason },
            };
        }
        let (hosts, host) = (&self.ports.hosts, &order.host);
        let ask = || hosts.switch(host, self.controller, &switch);
        let started = until_answered(self.job, !switch.guarded, ask).await;
        let outcome = ended(started.map(Some), refusal);
        unmarked(self.ports, None, &order.serves(), outcome).await
    }

    pub(super) async fn confirm(&self) -> ActionOutcome {
        let order = self.order;
        let switch = match &order.pair {
            Some(pair) => pair.confirmed(order),
            None => self.replacement(order.before.clone(), self.target(), true),
        };
        let Some(started) = &order.started else {
            return ActionOutcome::Failed {
                reason: "nothing is known of its start".to_owned(),
            };
        };
        let (hosts, host) = (&self.ports.hosts, &order.host);
        let ask = || hosts.confirm(host, self.controller, &switch, started);
        let confirmed = until_answered(self.job, true, ask).await;
        // What was stopped for it does not come back: no switch is to open its entry.
        let alone = order.pair.as_ref().filter(|pair| pair.other.is_none());
        if let (Some(pair), Ok(_)) = (alone, &confirmed) {
            self.stays_out(&pair.left_beside(host)).await;
        }
        ended(confirmed.map(|_| None), Refusal::Fails)
    }

    pub(super) async fn revert(&self) -> ActionOutcome {
        let order = self.order;
        diagnose(self.ports, order).await;
        let back = match &order.pair {
            Some(pair) => self.revert_one_of_two(pair).await,
            None => self.replace_back().await,
        };
        let serves = order.serves();
        unmarked(
            self.ports,
            Some(&serves),
            &serves,
            ended(back, Refusal::Fails),
        )
        .await
    }

    async fn revert_one_of_two(&self, pair: &Pair) -> Result<Option<Started>, HostError> {
        let ask = || pair.put_back(&*self.ports.hosts, self.controller, self.order);
        let back = until_answered(self.job, true, ask).await?;
        if pair.leaves(self.order.port) {
            self.stays_out(&self.drained()).await;
        }
        Ok(back)
    }

    async fn replace_back(&self) -> Result<Option<Started>, HostError> {
        let before = &self.order.before;
        let switch = self.replacement(self.target(), before.clone(), false);
        let ask = || put_back(self.ports, self.controller, &self.order.host, &switch);
        let started = until_answered(self.job, true, ask).await?;
        if *before == Runs::Nothing {
            self.stays_out(&self.drained()).await;
            return Ok(None);
        }
        Ok(Some(started))
    }

    pub(super) async fn stop_sibling(&self) -> ActionOutcome {
        let Some(pair) = &self.order.pair else {
            return not_side_by_side();
        };
        let ask = || pair.stop_other(&*self.ports.hosts, self.controller, self.order);
        let stopped = until_answered(self.job, true, ask).await;
        if stopped.is_ok() {
            self.stays_out(&pair.left_beside(&self.order.host)).await;
        }
        ended(stopped.map(|()| None), Refusal::Fails)
    }

    pub(super) async fn stop(&self) -> ActionOutcome {
        let switch = self.replacement(self.order.before.clone(), Runs::Nothing, false);
        let ask = || stop(self.ports, self.controller, &self.order.host, &switch);
        let stopped = until_answered(self.job, true, ask).await;
        if stopped.is_ok() {
            self.stays_out(&self.drained()).await;
        }
        ended(stopped.map(|()| None), Refusal::Fails)
    }
}

fn not_side_by_side() -> ActionOutcome {
    let reason = "the inventory does not say any more that it runs side by side".to_owned();
    ActionOutcome::Failed { reason }
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
