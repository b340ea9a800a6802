//! A rollout at work: the driver with its adapters, and what is remembered and said at its end.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::error::CliError;
use super::exit::ExitCode;
use super::notify::{secret, telling};
use super::rollout::{exit_code, instance_records, keep, last_seen};
use super::screen::Screen;
use super::wire::{Desk, Field, who};
use crate::artifact::ArtifactStore;
use crate::core::fleet::{EnvironmentValue, Fleet, Service};
use crate::core::ids::Digest;
use crate::core::keeping::dispensable;
use crate::core::revision::Revision;
use crate::core::spec::Spec;
use crate::driver::{
    Adapters, DriverError, Finished, Job, Resumed, Sights, SteadyClock, run, signals,
};
use crate::ledger::Chained;
use crate::notify::Delivery;
use crate::ports::{Lease, LedgerError};
use crate::programs::hooks_of;
use crate::report::mask::{Masking, Secrets};
use crate::report::reporter;

/// A rollout that is begun, or gone on with.
pub(crate) struct Work<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) service: &'a Service,
    pub(crate) desk: &'a Desk,
    pub(crate) revisions: &'a [Revision],
    pub(crate) cause: Option<String>,
    pub(crate) verbose: u8,
    pub(crate) spec: Spec,
    /// The target as the ledger has it.
    pub(crate) target: Revision,
    /// Whether hosts that another ledger owns are taken from it.
    pub(crate) takes_hosts: bool,
    /// Set when it is gone on with.
    pub(crate) resumed: Option<Resumed>,
}

impl Work<'_> {
    /// Runs it to its end under the lease. `told` is what people are told and may still be on its way then.
    ///
    /// # Errors
    /// What the person is to be told.
    pub(crate) async fn run(
        self,
        lease: &mut Lease,
        field: Field,
        sights: Sights,
        screen: &mut Screen,
        told: &mut Option<Delivery>,
    ) -> Result<ExitCode, CliError> {
        let (service, desk) = (self.service, self.desk);
        outgrow(desk, lease, &sights, self.takes_hosts).await?;
        let before = desk.ledger.instances(&service.name).await?;
        let secrets = secrets(service, self.fleet, &desk.store, &self.target, &sights);
        let job = Job {
            keep: keep(service, self.revisions, &self.spec.target),
            last_seen: last_seen(&before, self.revisions),
            spec: self.spec,
            target: self.target,
            health: service.health.clone(),
            ports: self.service.ports,
            by: who(),
            cause: self.cause,
            owner: desk.owner(),
            lease: lease.clone(),
            takes_hosts: self.takes_hosts,
            resumed: self.resumed,
        };
        let masked = secrets.clone();
        let hooks = hooks_of(
            service,
            self.fleet,
            field.machines.clone(),
            Box::new(move |text| masked.mask(text)),
        );
        let shown = Masking::new(
            reporter(screen.style(self.verbose), desk.here.clock.clone()),
            secrets.clone(),
        );
        let (reporter, delivery) = telling(Box::new(shown), self.fleet, &field.machines, secrets);
        let adapters = Arc::new(Adapters {
            hosts: field.hosts.clone(),
            prober: field.prober,
            traffic: field.traffic,
            hooks: Some(hooks),
            ledger: desk.ledger.clone(),
            reporter: reporter.clone(),
            clock: Arc::new(SteadyClock::from(&*desk.here.clock)),
        });
        let stop = signals().map_err(|error| CliError::of(ExitCode::Unexpected, &error))?;
        let finished = run(adapters, job, sights, stop).await;
        if !matches!(finished, Err(DriverError::Interrupted { .. })) {
            *told = delivery;
        }
        let finished = finished.map_err(|error| stopped(&error, service))?;
        let records = instance_records(&finished, &before, desk.now());
        if let Err(error) = desk.ledger.record_instances(&service.name, &records).await {
            // The rollout has ended, and its end is in the ledger; `status` looks at the hosts anyway.
            tracing::warn!(%error, "what the hosts run now could not be noted");
        }
        prune(desk, service, self.fleet, &finished).await;
        Ok(exit_code(&finished))
    }
}

/// Removes the packages that nobody needs any more, once every host was read back: what one of them still has may be wanted
/// on another. Where the inventory names a folder, others may use it too.
async fn prune(desk: &Desk, service: &Service, fleet: &Fleet, finished: &Finished) {
    let is_read = |host| matches!(finished.sights.get(host), Some(Ok(_)));
    let all_read = service.carriers().all(is_read);
    if fleet.artifacts_url.is_some() || !all_read || !service.out_of_service.is_empty() {
        return;
    }
    let on_hosts = finished.sights.values().flatten();
    let on_hosts = on_hosts.flat_map(|facts| facts.revisions.values().cloned());
    let mut wanted: BTreeSet<Digest> = on_hosts.collect();
    let pruned = async {
        // The same content may be another service's revision: a digest does not say whose.
        let others = desk.books.services().await?;
        for other in others.iter().filter(|other| **other != service.name) {
            let revisions = desk.ledger.revisions(other).await?;
            wanted.extend(revisions.into_iter().map(|one| one.digest));
        }
        let revisions = desk.ledger.revisions(&service.name).await?;
        let target = &finished.state.spec.target.digest;
        let limit = service.revision_history_limit;
        let old = dispensable(&revisions, target, limit, &wanted);
        let old = old.into_iter().cloned().collect();
        Ok::<_, CliError>(desk.store.clone().prune(old).await?)
    };
    if let Err(error) = pruned.await {
        tracing::warn!(error = %error.message, "artifacts of old revisions could not be removed");
    }
}

/// A ledger that was restored from a backup counts on from an epoch that its hosts have left behind: it takes one above
/// what they have seen. Whoever really came later has the lease, and this fails. What is taken from another ledger has
/// seen that one's epochs.
async fn outgrow(
    desk: &Desk,
    lease: &mut Lease,
    sights: &Sights,
    takes_hosts: bool,
) -> Result<(), CliError> {
    let ours = desk.ledger.id();
    let seen = sights
        .values()
        .filter_map(|seen| seen.as_ref().ok())
        .filter(|facts| takes_hosts || facts.owner.as_ref().is_some_and(|one| one.ledger == ours))
        .filter_map(|facts| facts.epoch)
        .max();
    // A lease that has claimed no host yet and meets its own number there is not the first that has it.
    if let Some(seen) = seen.filter(|seen| *seen >= lease.epoch) {
        tracing::warn!(%seen, ours = %lease.epoch, "hosts have seen later controllers of this ledger: was it restored?");
        *lease = desk.ledger.raise_epoch(lease, seen).await?;
    }
    Ok(())
}

/// What a person is told of a rollout that stopped before its end.
fn stopped(error: &DriverError, service: &Service) -> CliError {
    let name = &service.name;
    let hint = format!("`rollctl resume {name}` looks at the hosts and goes on");
    match error {
        DriverError::Interrupted { rollout } => CliError::new(
            ExitCode::Interrupted,
            format!("rollout {rollout} of `{name}` interrupted"),
        )
        .state(
            "what hosts were doing they finish by themselves; what was not confirmed goes back by itself",
        )
        .hint(hint),
        DriverError::Begin(LedgerError::LeaseHeld { .. } | LedgerError::LeaseLost { .. }) => {
            CliError::of(ExitCode::LeaseHeld, error)
                .state("nothing was touched")
                .hint(format!("`rollctl status {name} --watch` shows who works on it"))
        }
        DriverError::Begin(_) => CliError::of(ExitCode::Unexpected, error),
        DriverError::Ledger {
            rollout,
            source: LedgerError::LeaseLost { reason, .. },
        } => CliError::new(
            ExitCode::LeaseHeld,
            format!("rollout {rollout} of `{name}` stopped: it is not in our hands any more: {reason}"),
        )
        .state("nothing new was started; hosts take nothing from us any more once another rollctl has told them")
        .hint(format!(
            "`rollctl status {name}` shows who works on it; if nobody does, `rollctl resume {name}` goes on"
        )),
        error => CliError::of(ExitCode::Unexpected, error)
            .state("nothing new was started; what was in flight has ended")
            .hint(hint),
    }
}

/// The secrets of every revision that a host may show something of: of the target, and of what runs now. Hooks have our
/// own environment, whose secrets may be newer.
fn secrets(
    service: &Service,
    fleet: &Fleet,
    store: &ArtifactStore,
    target: &Revision,
    sights: &Sights,
) -> Secrets {
    let running = sights
        .values()
        .filter_map(|seen| Some(seen.as_ref().ok()?.runs.revision()?.digest.clone()));
    let digests: BTreeSet<Digest> = running.chain([target.digest.clone()]).collect();
    let is_plain = |name: &String| {
        matches!(
            service.environment.get(name),
            Some(EnvironmentValue::Plain(_))
        )
    };
    Secrets::of(
        digests
            .iter()
            .flat_map(|digest| store.environment(digest))
            .filter(|(name, _)| !is_plain(name))
            .map(|(_, value)| value)
            .chain(service.environment.values().filter_map(in_our_environment))
            .chain(secret(fleet)),
    )
}

fn in_our_environment(value: &EnvironmentValue) -> Option<String> {
    match value {
        EnvironmentValue::Secret { env } => std::env::var(env).ok(),
        EnvironmentValue::Plain(_) => None,
    }
}
