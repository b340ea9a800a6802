//! From a prepared rollout to its end: lease, look, question, rollout, summary.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::args::ControlArgs;
use super::error::CliError;
use super::exit::ExitCode;
use super::fit::refuse_misfits;
use super::plan::{show, view};
use super::rollout::{
    Prepared, exit_code, instance_records, is_settled, keep, known, last_seen, nothing_to_do,
};
use super::screen::Screen;
use super::wire::{Desk, Field, who};
use crate::artifact::{FileStore, Machines};
use crate::core::event::Sight;
use crate::core::fleet::{EnvironmentValue, Fleet, Service};
use crate::core::ids::Digest;
use crate::core::plan::Known;
use crate::core::revision::Revision;
use crate::driver::{Adapters, DriverError, Job, Sights, SteadyClock, look, run, signals};
use crate::ledger::RENEW_EVERY;
use crate::ports::{Lease, Ledger, LedgerError, Reporter};
use crate::report::mask::{Masking, Secrets};
use crate::report::plan::plan_table;
use crate::report::{Output, printable, reporter};

/// A rollout that may be begun.
pub(crate) struct Launch<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) service: &'a Service,
    pub(crate) desk: &'a Desk,
    pub(crate) prepared: Prepared,
    pub(crate) revisions: &'a [Revision],
    pub(crate) control: &'a ControlArgs,
    pub(crate) cause: Option<String>,
    /// Which hosts can execute the target, where that is known beforehand.
    pub(crate) machines: Option<Machines>,
    pub(crate) verbose: u8,
}

/// Runs it. `record` makes sure that the target is in ledger and store; it is asked for only once it is clear that
/// the rollout goes ahead.
///
/// # Errors
/// What the person is to be told.
pub(crate) async fn launch(
    launch: Launch<'_>,
    record: impl Future<Output = Result<Revision, CliError>>,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let ledger = launch.desk.ledger.clone();
    let lease = ledger
        .acquire(
            &launch.service.name,
            &launch.desk.here.holder(who()),
            launch.control.take_over,
        )
        .await?;
    let kept = keep_lease(ledger.clone(), lease.clone());
    let ended = with_lease(launch, &lease, record, screen).await;
    drop(kept);
    // An expired lease frees the service too, only later.
    if let Err(error) = ledger.release(&lease).await {
        tracing::debug!(%error, "the lease could not be given back");
    }
    ended
}

/// Keeps the lease while the hosts are looked at and a person thinks; whether it still holds, the ledger says when the
/// rollout is begun.
fn keep_lease(ledger: Arc<dyn Ledger>, lease: Lease) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if let Err(error) = ledger.renew(&lease).await {
                tracing::debug!(%error, "the lease could not be renewed");
            }
        }
    }))
}

async fn with_lease(
    launch: Launch<'_>,
    lease: &Lease,
    record: impl Future<Output = Result<Revision, CliError>>,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let Launch {
        fleet,
        service,
        desk,
        prepared,
        ..
    } = &launch;
    let field = Field::of(fleet, service, desk.store.clone())?;
    let sights = look(&field.hosts, service.hosts.iter().cloned()).await;
    if let Some(machines) = &launch.machines {
        refuse_misfits(&prepared.spec, &sights, machines)?;
    }
    let known = known(&prepared.spec, &sights, &*field.prober).await;
    let idle = nothing_to_do(&prepared.spec, &known);
    let newest = desk.ledger.rollouts(&service.name, 1).await?;
    if idle && is_settled(&prepared.spec, newest.first()) {
        // The name that was given may be a new one of the same content.
        record.await?;
        nothing(&launch, &known, screen)?;
        return Ok(ExitCode::Done);
    }
    if !idle && !agreed(&launch, &known, screen)? {
        return Ok(ExitCode::Paused);
    }
    let target = record.await?;
    roll(&launch, lease, field, sights, target, screen).await
}

/// Says that there is nothing to do, and which hosts nobody could look at.
fn nothing(launch: &Launch<'_>, known: &[Known], screen: &mut Screen) -> Result<(), CliError> {
    let spec = &launch.prepared.spec;
    if screen.output == Output::Json {
        return show(&view(spec, known, &launch.prepared.warnings)?, screen);
    }
    for one in known {
        if let Sight::Unreachable { reason } | Sight::Refused { reason } = &one.sight {
            screen.note(&format!(
                "warning: {} was not looked at: {}\n",
                one.host,
                printable(reason)
            ));
        }
    }
    screen.print(&format!(
        "nothing to do: every host of `{}` that can be reached runs `{}`\n",
        spec.service, spec.target
    ))?;
    Ok(())
}

/// Asks a person at a terminal; elsewhere nobody is asked.
fn agreed(launch: &Launch<'_>, known: &[Known], screen: &mut Screen) -> Result<bool, CliError> {
    let prepared = &launch.prepared;
    for warning in &prepared.warnings {
        screen.note(&format!("warning: {warning}\n"));
    }
    if launch.control.yes || !screen.can_ask || screen.output == Output::Json {
        return Ok(true);
    }
    screen.note(&plan_table(&view(
        &prepared.spec,
        known,
        &prepared.warnings,
    )?));
    let question = format!(
        "{} `{}` on `{}`?",
        prepared.spec.kind, prepared.spec.target, launch.service.name
    );
    Ok(screen.confirm(&question)?)
}

/// The secrets of every revision that a host may show something of: of the target, and of what runs now.
fn secrets(service: &Service, store: &FileStore, target: &Revision, sights: &Sights) -> Secrets {
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
            .map(|(_, value)| value),
    )
}

async fn roll(
    launch: &Launch<'_>,
    lease: &Lease,
    field: Field,
    sights: Sights,
    target: Revision,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let Launch {
        service,
        desk,
        prepared,
        ..
    } = launch;
    let before = desk.ledger.instances(&service.name).await?;
    let secrets = secrets(service, &desk.store, &target, &sights);
    let mut spec = prepared.spec.clone();
    spec.target = target.reference();
    let job = Job {
        keep: keep(service, launch.revisions, &spec.target),
        last_seen: last_seen(&before, launch.revisions),
        spec,
        target,
        health: service.health.clone(),
        by: who(),
        cause: launch.cause.clone(),
        owner: desk.owner(),
        lease: lease.clone(),
    };
    let reporter: Arc<dyn Reporter> = Arc::new(Masking::new(
        reporter(screen.style(launch.verbose), desk.here.clock.clone()),
        secrets,
    ));
    let adapters = Arc::new(Adapters {
        hosts: field.hosts.clone(),
        prober: field.prober,
        ledger: desk.ledger.clone(),
        reporter: reporter.clone(),
        clock: Arc::new(SteadyClock::from(&*desk.here.clock)),
    });
    let stop = signals().map_err(|error| CliError::of(ExitCode::Unexpected, &error))?;
    let ended = run(adapters, job, sights, stop).await;
    let finished = match ended {
        Ok(finished) => finished,
        Err(DriverError::Interrupted { rollout }) => {
            return Err(CliError::new(ExitCode::Interrupted, format!("rollout {rollout} of `{}` interrupted", service.name))
                .state("what hosts were doing they finish by themselves")
                .hint(format!("`rollctl status {}` looks at the hosts; a new release or rollback goes on from there", service.name)));
        }
        Err(DriverError::Begin(error)) => return Err(error.into()),
        Err(error) => {
            let code = match &error {
                DriverError::Ledger {
                    source: LedgerError::LeaseLost { .. },
                    ..
                } => ExitCode::LeaseHeld,
                _ => ExitCode::Unexpected,
            };
            return Err(CliError::of(code, &error)
                .state("nothing new was started; what was in flight has ended")
                .hint(format!(
                    "`rollctl status {}` looks at the hosts",
                    service.name
                )));
        }
    };
    let records = instance_records(&finished, &before, desk.now());
    if let Err(error) = desk.ledger.record_instances(&service.name, &records).await {
        // The rollout has ended, and its end is in the ledger; `status` looks at the hosts anyway.
        tracing::warn!(%error, "what the hosts run now could not be noted");
    }
    Ok(exit_code(&finished))
}
