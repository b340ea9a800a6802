//! From a prepared rollout to its end: lease, look, question, rollout, summary.

use std::future::Future;
use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::args::{ControlArgs, WindowArgs};
use super::balancers::left_out;
use super::error::CliError;
use super::exit::ExitCode;
use super::fit::refuse_misfits;
use super::notify::finish;
use super::plan::{show, view};
use super::read_back::{refuse_foreign, refuse_stale};
use super::rollout::{Prepared, is_settled, known, nothing_to_do};
use super::screen::Screen;
use super::unattended::{held, may_begin};
use super::window::enter;
use super::wire::{Desk, Field, who};
use super::work::Work;
use crate::artifact::Machines;
use crate::core::event::{Runs, Sight};
use crate::core::fleet::{Fleet, Service};
use crate::core::plan::Known;
use crate::core::revision::Revision;
use crate::driver::{Sights, look};
use crate::ledger::RENEW_EVERY;
use crate::notify::Delivery;
use crate::ports::{Lease, Ledger};
use crate::report::plan::plan_table;
use crate::report::{Output, printable};

/// A rollout that may be begun.
pub(crate) struct Launch<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) service: &'a Service,
    pub(crate) desk: &'a Desk,
    pub(crate) prepared: Prepared,
    pub(crate) revisions: &'a [Revision],
    pub(crate) control: &'a ControlArgs,
    /// Whether the ledger says what is to run, not a person.
    pub(crate) is_implied: bool,
    /// What is done about the service's window; nothing: it does not hold.
    pub(crate) window: Option<&'a WindowArgs>,
    pub(crate) cause: Option<String>,
    /// Whether nobody watches.
    pub(crate) unattended: bool,
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
    let (desk, service) = (launch.desk, launch.service);
    let take_over = launch.control.take_over;
    let mut told = None;
    let ended = under_lease(desk, service, take_over, async |lease| {
        with_lease(launch, lease, record, screen, &mut told).await
    })
    .await;
    finish(told, screen).await;
    ended
}

/// Does something under the service's lease, which is kept meanwhile and given back after it.
///
/// # Errors
/// When somebody else holds the lease, or what is done fails.
pub(crate) async fn under_lease<T>(
    desk: &Desk,
    service: &Service,
    take_over: bool,
    what: impl AsyncFnOnce(&mut Lease) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let ledger = desk.ledger.clone();
    let holder = desk.here.holder(who());
    let mut lease = ledger.acquire(&service.name, &holder, take_over).await?;
    let kept = keep_lease(ledger.clone(), lease.clone());
    let ended = what(&mut lease).await;
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
    mut launch: Launch<'_>,
    lease: &mut Lease,
    record: impl Future<Output = Result<Revision, CliError>>,
    screen: &mut Screen,
    told: &mut Option<Delivery>,
) -> Result<ExitCode, CliError> {
    if launch.unattended {
        may_begin(launch.desk, launch.service, &launch.prepared.spec.target).await?;
    } else {
        let held = held(launch.desk, launch.service).await?;
        launch.prepared.warnings.extend(held);
    }
    launch.prepared.spec.unattended = launch.unattended;
    let field = Field::of(launch.fleet, launch.service, launch.desk.store.clone())?;
    let sights = look(&field.hosts, launch.service.carriers().cloned()).await;
    refuse_others(&launch, &sights).await?;
    launch.prepared.carry_surge(&sights);
    let Launch {
        service,
        desk,
        prepared,
        ..
    } = &launch;
    if let Some(machines) = &launch.machines {
        refuse_misfits(&prepared.spec, &sights, machines)?;
    }
    let known = known(&prepared.spec, &sights, &*field.prober).await;
    let idle = nothing_to_do(&prepared.spec, &known);
    let newest = desk.ledger.rollouts(&service.name, 1).await?;
    let left_out = left_out(&*desk.ledger, service).await?;
    let is_out = |host| matches!(sights.get(host), Some(Ok(facts)) if facts.runs != Runs::Nothing);
    let idle = idle && !left_out.keys().any(is_out);
    if idle && is_settled(&prepared.spec, newest.first()) {
        // The name that was given may be a new one of the same content.
        record.await?;
        nothing(&launch, &known, screen)?;
        return Ok(ExitCode::Done);
    }
    launch.prepared = launch.prepared.startable()?;
    // What touches no host is recorded at any hour.
    if let Some(window) = launch.window.filter(|_| !idle) {
        launch.prepared.spec.window = enter(launch.service, window, launch.desk.now())?;
    }
    if !idle && !agreed(&launch, &known, screen)? {
        return Ok(ExitCode::Paused);
    }
    screen.speak();
    let target = record.await?;
    launch.prepared.take_over_traffic(&left_out);
    let work = work(&launch, target);
    work.run(lease, field, sights, screen, told).await
}

/// Nothing is begun on hosts of another ledger, unless they are taken from it; and then not by what was so before they were its.
async fn refuse_others(launch: &Launch<'_>, sights: &Sights) -> Result<(), CliError> {
    let (service, ledger) = (launch.service, &launch.desk.ledger);
    let spec = &launch.prepared.spec;
    if launch.control.take_over {
        return match launch.is_implied {
            true => refuse_stale(service, &ledger.id(), sights, &spec.target),
            false => Ok(()),
        };
    }
    let is_new = ledger.rollouts(&service.name, 1).await?.is_empty();
    refuse_foreign(service, &ledger.id(), sights, is_new)
}

/// Says that there is nothing to do, and which hosts nobody could look at.
fn nothing(launch: &Launch<'_>, known: &[Known], screen: &mut Screen) -> Result<(), CliError> {
    let spec = &launch.prepared.spec;
    if screen.output == Output::Json {
        return show(
            &view(launch.service, spec, known, &launch.prepared.warnings)?,
            screen,
        );
    }
    if screen.is_held_back() {
        return Ok(());
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
        launch.service,
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

fn work<'a>(launch: &Launch<'a>, target: Revision) -> Work<'a> {
    let mut spec = launch.prepared.spec.clone();
    spec.target = target.reference();
    spec.signed_by = target.signers.clone();
    Work {
        fleet: launch.fleet,
        service: launch.service,
        desk: launch.desk,
        revisions: launch.revisions,
        cause: launch.cause.clone(),
        verbose: launch.verbose,
        spec,
        target,
        takes_hosts: launch.control.take_over,
        resumed: None,
    }
}
