//! `rollctl plan`: what a release would do, in which order.

use super::args::PlanArgs;
use super::channel::default_name;
use super::error::CliError;
use super::exit::ExitCode;
use super::fit::{leave_out_misfits, refuse_misfits};
use super::release::{name_of, note_all, read_artifact, read_ledger, service_revision};
use super::rollout::{known, prepare};
use super::screen::Screen;
use super::window::warning;
use super::wire::{Field, inventory_files, service, store};
use crate::core::event::{Runs, Sight};
use crate::core::fleet::Service;
use crate::core::plan::{Known, Method, Plan, plan};
use crate::core::spec::{RolloutKind, Spec};
use crate::driver::{SystemClock, look};
use crate::inventory::Loaded;
use crate::ports::Clock;
use crate::report::Output;
use crate::report::plan::{self as shown, PlanView, PlannedInstance, plan_json, plan_table};

/// Shows what a release would do; touches nothing, records nothing.
///
/// # Errors
/// What the person is to be told.
pub(crate) async fn plan_release(
    args: PlanArgs,
    loaded: &Loaded,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let fleet = &loaded.fleet;
    let service = service(fleet, &args.service)?;
    inventory_files(loaded)?;
    let (content, version) = read_artifact(fleet, service, args.artifact.as_ref(), screen).await?;
    note_all(screen, &content.warnings);
    let (revisions, records) = read_ledger(fleet, service).await?;
    let digest = content.digest();
    let name = default_name(None, version.as_deref(), &revisions, &digest);
    let target = name_of(service, &revisions, &digest, name.as_ref())?;
    let from = service_revision(&records, &revisions);
    let mut prepared = prepare(
        fleet,
        service,
        &args.rollout,
        RolloutKind::Release,
        target,
        from,
    )?;
    prepared.spec.signed_by = content.signers.clone();
    prepared
        .warnings
        .extend(warning(service, SystemClock.now()));
    let store = store(fleet)?;
    let field = Field::of(fleet, service, store)?;
    let sights = look(&field.hosts, service.carriers().cloned()).await;
    let machines = content.machines();
    prepared.carry_surge(&sights);
    refuse_misfits(&prepared.spec, &sights, &machines)?;
    let mut known = known(&prepared.spec, &sights, &*field.prober).await;
    leave_out_misfits(&mut known, &sights, &machines);
    let view = view(service, &prepared.spec, &known, &prepared.warnings)?;
    show(&view, screen)?;
    Ok(match skips(&prepared.spec, &known) {
        _ if prepared.startable().is_err() => ExitCode::Usage,
        true => ExitCode::Skipped,
        false => ExitCode::Done,
    })
}

/// Whether some of the selected hosts would be left alone.
fn skips(spec: &Spec, known: &[Known]) -> bool {
    let selected = |one: &Known| {
        spec.hosts
            .iter()
            .any(|host| host.selected && host.name == one.host)
    };
    known
        .iter()
        .any(|one| selected(one) && !matches!(one.sight, Sight::Reachable { .. }))
}

/// Prints a plan as the result of the command.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn show(view: &PlanView, screen: &mut Screen) -> Result<(), CliError> {
    match screen.output {
        Output::Human => screen.print(&plan_table(view))?,
        Output::Json => screen.print_json(&plan_json(view))?,
    }
    Ok(())
}

/// A plan as it is shown: the switches in their order, then the hosts that are left alone.
///
/// # Errors
/// When planning met an event that does not fit, which is a mistake of ours.
pub(crate) fn view(
    service: &Service,
    spec: &Spec,
    known: &[Known],
    warnings: &[String],
) -> Result<PlanView, CliError> {
    let plan = plan(spec, known).map_err(|error| CliError::of(ExitCode::Unexpected, &error))?;
    let mut instances: Vec<_> = plan
        .steps
        .iter()
        .map(|step| switched(spec, step, known))
        .collect();
    let rest = known
        .iter()
        .filter(|one| plan.steps.iter().all(|step| step.host != one.host));
    instances.extend(rest.map(|one| left_alone(spec, &plan, one)));
    Ok(PlanView {
        service: spec.service.clone(),
        from: spec.from.as_ref().map(ToString::to_string),
        to: spec.target.to_string(),
        budget: spec.budget,
        instances,
        hooks: service.hooks.clone(),
        signed_by: spec.signed_by.clone(),
        warnings: warnings.to_vec(),
    })
}

fn name(runs: &Runs) -> Option<String> {
    runs.revision().map(ToString::to_string)
}

fn switched(
    spec: &Spec,
    step: &crate::core::plan::PlannedStep,
    known: &[Known],
) -> PlannedInstance {
    let ready = known.iter().any(|one| one.host == step.host && one.ready);
    let reason = match step.method {
        Method::Start => "absent: costs no availability",
        Method::SideBySide => "the old one goes once the new one serves",
        Method::Spare => "carries the surge, and is stopped at the end",
        Method::InPlace | Method::None if ready => "",
        Method::InPlace | Method::None => "not ready: goes before those that are",
    };
    PlannedInstance {
        host: step.host.clone(),
        from: name(&step.from),
        to: Some(spec.target.to_string()),
        method: match step.method {
            Method::Start => shown::Method::Start,
            Method::InPlace => shown::Method::InPlace,
            Method::SideBySide => shown::Method::SideBySide,
            Method::Spare => shown::Method::Spare,
            Method::None => shown::Method::None,
        },
        wave: Some(step.wave),
        reason: reason.to_owned(),
    }
}

fn left_alone(spec: &Spec, plan: &Plan, one: &Known) -> PlannedInstance {
    let selected = spec
        .hosts
        .iter()
        .any(|host| host.selected && host.name == one.host);
    let spare = (spec.hosts.iter()).any(|host| host.spare && host.name == one.host);
    let skipped = plan
        .skipped
        .iter()
        .find(|(host, _)| *host == one.host)
        .map(|(_, reason)| reason.clone());
    let from = match &one.sight {
        Sight::Reachable { runs, .. } => name(runs),
        Sight::Unreachable { .. } | Sight::Refused { .. } => None,
    };
    let on_target = from.as_deref() == Some(spec.target.name.as_str());
    let reason = match skipped {
        Some(reason) => format!("skipped: {reason}"),
        None if !selected => "not selected".to_owned(),
        None if spare && from.is_some() => {
            "spare: left by an earlier rollout, and stopped at the end".to_owned()
        }
        None if spare => "spare: not needed".to_owned(),
        None if on_target => "runs it already".to_owned(),
        None => "waits: too few others are available".to_owned(),
    };
    PlannedInstance {
        host: one.host.clone(),
        to: from.clone(),
        from,
        method: shown::Method::None,
        wave: None,
        reason,
    }
}
