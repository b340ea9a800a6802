//! `rollctl rollback`: back to an earlier revision, under the same rules.

use super::args::RollbackArgs;
use super::error::CliError;
use super::exit::ExitCode;
use super::launch::{Launch, launch};
use super::read_back::Known;
use super::release::service_revision;
use super::rollout::{past, prepare};
use super::screen::Screen;
use super::signers::still_trusted;
use super::values::RevisionChoice;
use super::wire::{Desk, service};
use crate::core::fleet::Service;
use crate::core::history::rollback_target;
use crate::core::revision::Revision;
use crate::core::spec::RolloutKind;
use crate::inventory::Loaded;
use crate::ports::RolloutRecord;

/// Returns to an earlier revision.
///
/// # Errors
/// What the person is to be told.
pub(crate) async fn rollback(
    args: RollbackArgs,
    loaded: &Loaded,
    verbose: u8,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let fleet = &loaded.fleet;
    let service = service(fleet, &args.service)?;
    let known = Known::of(fleet, service, screen).await?;
    let (revisions, records) = (&known.revisions, &known.records);
    let target = choose(service, args.to.as_ref(), revisions, records)?.clone();
    still_trusted(service, &target).await?;
    let from = service_revision(records, revisions);
    let prepared = prepare(
        fleet,
        service,
        &args.rollout,
        RolloutKind::Rollback,
        target.reference(),
        from,
    )?
    .startable()?;
    // Only now: going back makes no ledger where there is none.
    let desk = Desk::open(fleet).await?;
    known.keep(&desk, service, args.control.take_over).await?;
    let launched = Launch {
        fleet,
        service,
        desk: &desk,
        prepared,
        revisions,
        control: &args.control,
        is_implied: args.to.is_none(),
        // Whoever goes back is held up by nothing.
        window: None,
        cause: args.cause.clone(),
        unattended: false,
        // Whether a host can run what it ran before is seen when it is staged.
        machines: None,
        verbose,
    };
    launch(launched, async move { Ok(target) }, screen).await
}

fn choose<'a>(
    service: &Service,
    to: Option<&RevisionChoice>,
    revisions: &'a [Revision],
    records: &[RolloutRecord],
) -> Result<&'a Revision, CliError> {
    if revisions.is_empty() {
        return Err(nothing_released(service));
    }
    let list = format!("`rollctl history {}` lists the revisions", service.name);
    let Some(choice) = to else {
        let past = past(records);
        let digest = rollback_target(&past).ok_or_else(|| {
            CliError::usage(format!(
                "`{}` has no earlier revision that completed and was not rolled back from",
                service.name
            ))
            .hint(name_one(service, revisions, &list))
        })?;
        return revisions
            .iter()
            .find(|revision| revision.digest == *digest)
            .ok_or_else(|| {
                CliError::usage("the ledger no longer has the revision before").hint(list)
            });
    };
    let found = revisions.iter().find(|revision| match choice {
        RevisionChoice::Number(number) => revision.number == *number,
        RevisionChoice::Name(name) => revision.names.contains(name),
    });
    found.ok_or_else(|| {
        CliError::usage(format!("`{}` has no revision `{choice}`", service.name)).hint(list)
    })
}

/// What ran before rollctl came was never rolled out, so it has to be named.
fn name_one(service: &Service, revisions: &[Revision], list: &str) -> String {
    match revisions.iter().find(|revision| revision.adopted.is_some()) {
        Some(before) => format!(
            "`rollctl rollback {} --to {}` returns to what ran before rollctl came; {list}",
            service.name,
            before.reference().name
        ),
        None => format!("name one with `--to`; {list}"),
    }
}

fn nothing_released(service: &Service) -> CliError {
    CliError::usage(format!(
        "`{}` was never released from this ledger: there is nothing to go back to",
        service.name
    ))
    .hint(format!(
        "`rollctl release {}` makes its first revision",
        service.name
    ))
}
