//! What release, rollback and plan have in common: from a target to a rollout, and from its end to an exit code.

use std::collections::BTreeMap;

use super::args::RolloutArgs;
use super::balancers::LeftOut;
use super::error::CliError;
use super::exit::ExitCode;
use super::selection::selection;
use crate::core::budget::Budget;
use crate::core::event::{Outcome, Runs, Sight};
use crate::core::fleet::{Fleet, Service};
use crate::core::history::Past;
use crate::core::hooks::HookKind;
use crate::core::ids::{HostName, RevisionName, RevisionRef};
use crate::core::keeping::staying;
use crate::core::plan::Known;
use crate::core::revision::Revision;
use crate::core::rollout::{Instance, RolloutPhase, Stage};
use crate::core::spec::{Gate, HostSpec, RolloutKind, Spec};
use crate::driver::{Finished, Sights, sight};
use crate::inventory::check_budgets;
use crate::ports::{InstanceRecord, Prober, RolloutRecord, UnitState};
use crate::report::state::word;

/// How many rollouts of the past are read to know where a service stands.
pub(crate) const PAST: usize = 10_000;

/// A rollout that could be begun, and what somebody should know of it.
pub(crate) struct Prepared {
    /// What it is to reach.
    pub(crate) spec: Spec,
    /// What somebody should know though it stops nothing.
    pub(crate) warnings: Vec<String>,
    /// Why it may be planned but not begun.
    refusal: Option<CliError>,
}

impl Prepared {
    /// Makes the rollout put back what an earlier one took out of traffic.
    pub(crate) fn take_over_traffic(&mut self, left_out: &LeftOut) {
        if self.spec.balanced {
            for host in &mut self.spec.hosts {
                host.taken_out = left_out.get(&host.name).cloned();
            }
        }
    }

    /// Takes in which spare hosts can be reached: a surge counts only as far as something can carry it.
    pub(crate) fn carry_surge(&mut self, sights: &Sights) {
        let spares = self.spec.hosts.iter().filter(|host| host.spare);
        let can_carry =
            |host: &&HostSpec| host.selected && matches!(sights.get(&host.name), Some(Ok(_)));
        let (all, can) = (spares.clone().count(), spares.filter(can_carry).count());
        let can = u32::try_from(can).unwrap_or(u32::MAX);
        let budget = &mut self.spec.budget;
        if all == 0 || can >= budget.max_surge {
            return;
        }
        let wanted = std::mem::replace(&mut budget.max_surge, can);
        let service = &self.spec.service;
        if can > 0 || budget.max_unavailable > 0 {
            self.warnings.push(format!(
                "only {can} of {all} spare hosts can be reached: {can} more than desired can run, not {wanted}"
            ));
            return;
        }
        let what = format!(
            "`{service}` cannot be rolled out: max_unavailable is 0, and no spare host can be reached to carry the surge"
        );
        self.warnings.push(what.clone());
        let hint = "mend a spare host, or allow one to be unavailable: `--max-unavailable 1`";
        self.refusal = Some(CliError::usage(what).hint(hint));
    }

    /// The same, if it may be begun and not only planned.
    ///
    /// # Errors
    /// Exit code 2 when nothing can carry the surge that it needs.
    pub(crate) fn startable(self) -> Result<Self, CliError> {
        match self.refusal {
            Some(refusal) => Err(refusal),
            None => Ok(self),
        }
    }
}

/// Puts together what a rollout is to reach.
///
/// # Errors
/// Exit code 2 for budgets that cannot work and selections that match nothing.
pub(crate) fn prepare(
    fleet: &Fleet,
    service: &Service,
    args: &RolloutArgs,
    kind: RolloutKind,
    target: RevisionRef,
    from: Option<RevisionRef>,
) -> Result<Prepared, CliError> {
    let strategy = &service.strategy;
    let max_surge = args.max_surge.unwrap_or(strategy.max_surge);
    let max_unavailable = args.max_unavailable.unwrap_or(strategy.max_unavailable);
    check_budgets(max_surge, max_unavailable)
        .map_err(|error| CliError::of(ExitCode::Usage, &error))?;
    let desired = u32::try_from(service.hosts.len()).unwrap_or(u32::MAX);
    let mut budget = Budget::resolve(desired, max_surge, max_unavailable);
    let mut warnings = Vec::new();
    let mut refusal = None;
    // One name cannot run twice: side by side, a restart stops first.
    let is_beside = service.ports.is_some() && kind != RolloutKind::Restart;
    let is_carried = is_beside || !service.spare_hosts.is_empty();
    if budget.max_surge > 0 && !is_carried {
        if budget.max_unavailable == 0 {
            let what = format!(
                "`{}` cannot be rolled out: max_unavailable is 0 and nothing can carry max_surge = {max_surge}",
                service.name
            );
            warnings.push(what.clone());
            refusal =
                Some(CliError::usage(what).hint(
                    "allow one to be unavailable: `--max-unavailable 1`, or in the inventory",
                ));
        } else {
            warnings.push(format!(
                "max_surge = {max_surge} has no effect: nothing can carry more than {desired} instances"
            ));
        }
        // S counts only as far as something can carry it.
        budget.max_surge = 0;
    }
    let selection = selection(fleet, service, args)?;
    // A rollback has its gates too: the scheduler passes them by.
    let steps = Gate::resolve(&strategy.steps, desired, selection.selected());
    let spec = Spec {
        service: service.name.clone(),
        kind,
        target,
        from,
        budget,
        hosts: selection.hosts,
        min_ready: strategy.min_ready,
        deadline: service.health.deadline,
        progress_deadline: strategy.progress_deadline,
        max_failures: strategy.max_failures,
        on_failure: strategy.on_failure,
        max_uploads: u32::try_from(fleet.max_uploads).unwrap_or(u32::MAX).max(1),
        steps,
        domains: selection.domains,
        side_by_side: service.ports.is_some(),
        balanced: service.traffic.is_some(),
        hooks: service.hooks.keys().copied().collect(),
        signed_by: Vec::new(),
        unattended: false,
        window: None,
    };
    Ok(Prepared {
        spec,
        warnings,
        refusal,
    })
}

/// The past as going back reads it.
pub(crate) fn past(records: &[RolloutRecord]) -> Vec<Past> {
    records
        .iter()
        .map(|record| Past {
            kind: record.kind,
            from: record.from.clone(),
            to: record.to.clone(),
            completed: record.outcome == "completed",
            partial: record.partial,
        })
        .collect()
}

/// Folders of revisions that stay on hosts: the target, the newest of the ledger, and those that somebody keeps.
pub(crate) fn keep(
    service: &Service,
    revisions: &[Revision],
    target: &RevisionRef,
) -> Vec<RevisionName> {
    let staying = staying(revisions, &target.digest, service.revision_history_limit);
    let names = staying.map(|revision| revision.reference().name);
    names.chain([target.name.clone()]).collect()
}

/// The names that hosts were last seen running.
pub(crate) fn last_seen(
    records: &[InstanceRecord],
    revisions: &[Revision],
) -> BTreeMap<HostName, RevisionName> {
    records
        .iter()
        .filter_map(|record| {
            let digest = record.digest.as_ref()?;
            let revision = revisions
                .iter()
                .find(|revision| revision.digest == *digest)?;
            Some((record.host.clone(), revision.reference().name))
        })
        .collect()
}

/// Asks every instance once; ready where there is one and it says so.
pub(crate) async fn known(spec: &Spec, sights: &Sights, prober: &dyn Prober) -> Vec<Known> {
    let asked = spec.hosts.iter().map(|host| async {
        let Some(seen) = sights.get(&host.name) else {
            let reason = "nobody looked".to_owned();
            return Known {
                host: host.name.clone(),
                sight: Sight::Unreachable { reason },
                ready: false,
            };
        };
        let ready = match seen {
            Ok(facts) => {
                let name = facts.runs.revision().map(|revision| revision.name.clone());
                let expect = name.filter(|name| !name.is_adopted());
                facts.runs != Runs::Nothing
                    && facts.units.iter().all(UnitState::is_active)
                    && prober
                        .probe(&host.name, expect.as_ref(), facts.port)
                        .await
                        .passed
                        == Some(true)
            }
            Err(_) => prober.probe(&host.name, None, None).await.passed == Some(true),
        };
        let sight = sight(seen);
        Known {
            host: host.name.clone(),
            sight,
            ready,
        }
    });
    futures::future::join_all(asked).await
}

/// Whether every selected host that can be reached runs the target, ready.
pub(crate) fn nothing_to_do(spec: &Spec, known: &[Known]) -> bool {
    if spec.kind == RolloutKind::Restart {
        return false;
    }
    let is_any = |name: &HostName, which: &dyn Fn(&HostSpec) -> bool| {
        let mut hosts = spec.hosts.iter();
        hosts.any(|host| host.name == *name && which(host))
    };
    let carries =
        |one: &Known| matches!(&one.sight, Sight::Reachable { runs, .. } if *runs != Runs::Nothing);
    if known
        .iter()
        .any(|one| carries(one) && is_any(&one.host, &|host| host.spare))
    {
        return false;
    }
    let mut reachable = known
        .iter()
        .filter(|one| is_any(&one.host, &|host| host.selected && !host.spare))
        .filter_map(|one| match &one.sight {
            // What nobody ever confirmed would be put back by its dead-man's switch.
            Sight::Reachable { runs, unproven, .. } => {
                Some(runs.is(&spec.target) && one.ready && unproven.is_none())
            }
            Sight::Unreachable { .. } | Sight::Refused { .. } => None,
        });
    let any = reachable.clone().next().is_some();
    any && reachable.all(|done| done)
}

/// Whether the ledger says so too when the hosts have nothing to do: no rollout is left unfinished, and what is to run
/// everywhere is the service's revision. Otherwise a rollout that touches nothing has to be recorded: it supersedes
/// the unfinished one, and without it the next rollback would go back to the wrong revision.
pub(crate) fn is_settled(spec: &Spec, newest: Option<&RolloutRecord>) -> bool {
    let unfinished = newest.is_some_and(|record| {
        matches!(
            record.outcome.as_str(),
            "running" | "interrupted" | "paused"
        )
    });
    let partial = spec.hosts.iter().any(|host| !host.selected && !host.spare);
    let is_current = spec
        .from
        .as_ref()
        .is_some_and(|from| from.digest == spec.target.digest);
    !unfinished && (partial || is_current)
}

/// What was read back from a host at the end of a rollout.
#[derive(Clone, Copy, PartialEq)]
enum ReadBack {
    /// What it should run, or it was not touched.
    Right,
    /// It can no longer be read, and was not touched.
    Skipped,
    /// Something else, or nobody knows.
    Wrong,
}

fn read_back(instance: &Instance, finished: &Finished) -> ReadBack {
    let seen = match finished.sights.get(&instance.host) {
        Some(Ok(facts)) => &facts.runs,
        _ if instance.was_touched() => return ReadBack::Wrong,
        _ => return ReadBack::Skipped,
    };
    let is_right = match &instance.stage {
        Stage::Updated { .. } => seen.is(&finished.state.spec.target),
        Stage::Retired => *seen == Runs::Nothing,
        Stage::Reverted { .. } => match instance.before.as_ref().and_then(Runs::revision) {
            Some(before) => seen.is(before),
            None => *seen == Runs::Nothing,
        },
        _ => true,
    };
    if is_right {
        ReadBack::Right
    } else {
        ReadBack::Wrong
    }
}

/// The exit code of a rollout that came to rest, by what was read back from the hosts at its end.
pub(crate) fn exit_code(finished: &Finished) -> ExitCode {
    let state = &finished.state;
    let selected = || state.instances.iter().filter(|i| i.selected);
    let changed = selected().any(Instance::was_touched);
    let failed = selected().any(|i| i.failure().is_some() && !i.sick_before);
    let updated = selected().any(|i| matches!(i.stage, Stage::Updated { started: Some(_) }));
    let sick = selected().any(|i| i.failure().is_some() && i.sick_before);
    let read: Vec<_> = selected().map(|i| read_back(i, finished)).collect();
    let skipped =
        sick || read.contains(&ReadBack::Skipped) || selected().any(|i| !i.is_reachable());
    let surplus = selected().any(Instance::is_surplus);
    match state.phase {
        RolloutPhase::Ended(_) if surplus => ExitCode::Mixed,
        RolloutPhase::Ended(Outcome::Failed | Outcome::Aborted) => ExitCode::Mixed,
        _ if read.contains(&ReadBack::Wrong) => ExitCode::Mixed,
        RolloutPhase::Ended(Outcome::RolledBack) => ExitCode::RolledBack,
        RolloutPhase::Ended(Outcome::Completed) if failed => ExitCode::Mixed,
        RolloutPhase::Ended(Outcome::Completed) if skipped => ExitCode::Skipped,
        RolloutPhase::Ended(Outcome::Completed)
            if state.hooks.failures.contains_key(&HookKind::AfterRollout) =>
        {
            ExitCode::Unexpected
        }
        RolloutPhase::Ended(Outcome::Completed) => ExitCode::Done,
        // All that failed was put back: mixed only where something else was brought to the target.
        RolloutPhase::Ended(Outcome::StoodStill) if failed && updated => ExitCode::Mixed,
        RolloutPhase::Ended(Outcome::StoodStill) if failed => ExitCode::RolledBack,
        RolloutPhase::Ended(Outcome::StoodStill) if changed => ExitCode::Skipped,
        RolloutPhase::Ended(Outcome::Refused | Outcome::StoodStill)
        | RolloutPhase::Paused
        | RolloutPhase::Superseded(_)
        | RolloutPhase::Observing
        | RolloutPhase::Progressing => ExitCode::Paused,
    }
}

/// What the hosts were read back to run, for `status`.
pub(crate) fn instance_records(
    finished: &Finished,
    before: &[InstanceRecord],
    now: crate::core::time::Timestamp,
) -> Vec<InstanceRecord> {
    finished
        .sights
        .iter()
        .filter_map(|(host, seen)| {
            let facts = seen.as_ref().ok()?;
            let digest = facts
                .runs
                .revision()
                .map(|revision| revision.digest.clone());
            let since = before
                .iter()
                .find(|record| record.host == *host && record.digest == digest)
                .map_or(now, |record| record.since);
            let instance = finished.state.instance(host)?;
            Some(InstanceRecord {
                host: host.clone(),
                digest,
                state: word(instance, &finished.state, now).to_owned(),
                since,
            })
        })
        .collect()
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;
