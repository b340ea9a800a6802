//! `rollctl release`: a new revision, rolled out.

use super::args::ReleaseArgs;
use super::channel::{default_name, newest};
use super::error::CliError;
use super::exit::ExitCode;
use super::launch::{Launch, launch};
use super::read_back::Known;
use super::restart::Again;
use super::rollout::{PAST, prepare};
use super::screen::Screen;
use super::signers::unreadable;
use super::unattended::Unwatched;
use super::window::waiting;
use super::wire::{Desk, artifact_source, inventory_files, service, who};
use crate::artifact::{self, ArtifactReadError, Beside, Fetched, RevisionContent};
use crate::core::fleet::{Fleet, Service};
use crate::core::history::current;
use crate::core::ids::{Digest, RevisionName, RevisionNumber, RevisionRef};
use crate::core::revision::Revision;
use crate::core::source::SecretUrl;
use crate::core::spec::RolloutKind;
use crate::inventory::Loaded;
use crate::ports::{LedgerError, NewRevision, RolloutRecord};
use crate::report::Output;

/// Ships a new revision and rolls it out.
///
/// # Errors
/// What the person is to be told.
pub(crate) async fn release(
    args: ReleaseArgs,
    loaded: &Loaded,
    verbose: u8,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    if args.same {
        let again = Again {
            service: &args.service,
            kind: RolloutKind::Release,
            cause: args.cause,
            rollout: &args.rollout,
            control: &args.control,
            window: &args.window,
            unattended: &args.unattended,
            verbose,
        };
        return again.run(loaded, screen).await;
    }
    let once = async |screen: &mut Screen| attempt(&args, loaded, verbose, screen).await;
    waiting(&args.window, screen, once).await
}

async fn attempt(
    args: &ReleaseArgs,
    loaded: &Loaded,
    verbose: u8,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let fleet = &loaded.fleet;
    let service = service(fleet, &args.service)?;
    inventory_files(loaded)?;
    let watch = Unwatched {
        fleet,
        service,
        window: &args.window,
        verbose,
    };
    let unattended = args.unattended.unattended;
    // What nothing may be released of is not read either.
    if unattended && let Some(ended) = watch.instead(None, screen).await? {
        return Ok(ended);
    }
    let (content, version) = read_artifact(fleet, service, args.artifact.as_ref(), screen).await?;
    note_all(screen, &content.warnings);
    let known = Known::before(fleet, service, args.control.take_over, screen).await?;
    let (revisions, records) = (&known.revisions, &known.records);
    let digest = content.digest();
    if unattended && let Some(ended) = watch.instead(Some(&digest), screen).await? {
        return Ok(ended);
    }
    let name = default_name(args.name.as_ref(), version.as_deref(), revisions, &digest);
    let target = name_of(service, revisions, &digest, name.as_ref())?;
    let from = service_revision(records, revisions);
    let prepared = prepare(
        fleet,
        service,
        &args.rollout,
        RolloutKind::Release,
        target,
        from,
    )?
    .startable()?;
    note_alias(screen, name.as_ref(), revisions, &digest);
    // Only now: what is refused above leaves no ledger where there was none.
    let desk = Desk::open(fleet).await?;
    known.keep(&desk, service, args.control.take_over).await?;
    let new = NewRevision {
        service: service.name.clone(),
        name,
        digest,
        at: desk.now(),
        by: who(),
        cause: args.cause.clone(),
        adopted: None,
        signers: content.signers.clone(),
        kept: args.keep,
    };
    let machines = content.machines();
    let store = desk.store.clone();
    let ledger = desk.ledger.clone();
    let record = async move {
        // The store has it before the ledger names it: what can be rolled back to can be shipped.
        store.put(content).await?;
        Ok(ledger.record_revision(&new).await?)
    };
    let launched = Launch {
        fleet,
        service,
        desk: &desk,
        prepared,
        revisions,
        control: &args.control,
        is_implied: false,
        window: Some(&args.window),
        cause: args.cause.clone(),
        unattended,
        machines: Some(machines),
        verbose,
    };
    launch(launched, record, screen).await
}

/// The revisions and rollouts of a service, looked at without making a ledger where there is none.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) async fn read_ledger(
    fleet: &Fleet,
    service: &Service,
) -> Result<(Vec<Revision>, Vec<RolloutRecord>), CliError> {
    match Desk::open_to_look(fleet).await? {
        Some(desk) => Ok((
            desk.ledger.revisions(&service.name).await?,
            desk.ledger.rollouts(&service.name, PAST).await?,
        )),
        None => Ok((Vec::new(), Vec::new())),
    }
}

/// Says that the same content is a revision already: what runs is then called by its first name.
fn note_alias(
    screen: &mut Screen,
    given: Option<&RevisionName>,
    revisions: &[Revision],
    digest: &Digest,
) {
    let same = revisions.iter().find(|one| one.digest == *digest);
    if let (Some(name), Some(same)) = (given, same)
        && !same.names.contains(name)
        && screen.output == Output::Human
    {
        let first = same.reference().name;
        screen.note(&format!(
            "note: this content is revision {} already, `{first}`; `{name}` becomes another name of it\n",
            same.number
        ));
    }
}

/// Reads what is to be released, by URL too; and its version, where that was asked for.
///
/// # Errors
/// Exit code 2 when it cannot be read, or cannot be released.
pub(crate) async fn read_artifact(
    fleet: &Fleet,
    service: &Service,
    typed: Option<&std::path::PathBuf>,
    screen: &mut Screen,
) -> Result<(RevisionContent, Option<String>), CliError> {
    let mistake = |error: ArtifactReadError| unreadable(&error);
    let typed = artifact_source(typed)?;
    let newest = match &typed {
        None => newest(fleet, service).await?,
        Some(_) => None,
    };
    let mut service = service.clone();
    let version = newest.map(|newest| {
        service.artifact = Some(newest.artifact);
        newest.version
    });
    let fetched = match typed.as_ref().or(service.artifact.as_ref()) {
        Some(source) => {
            let mut begins = |url: &SecretUrl| {
                if screen.output == Output::Human {
                    screen.note(&format!("reading {url}\n"));
                }
            };
            let with = Beside {
                signature: service.trust.is_some(),
                digest: typed.is_none() && service.channel.digest,
            };
            artifact::fetch(source, with, &mut begins)
                .await
                .map_err(mistake)?
        }
        None => Fetched::default(),
    };
    let read = move || {
        let lookup = |name: &str| std::env::var_os(name);
        artifact::read(&service, typed.as_ref(), &fetched, &lookup)
    };
    let content = tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| CliError::of(ExitCode::Unexpected, &error))?
        .map_err(mistake)?;
    Ok((content, version))
}

/// What the revision will be called: what it is called already, else the name that was given, else `r<number>`.
pub(crate) fn name_of(
    service: &Service,
    revisions: &[Revision],
    digest: &Digest,
    given: Option<&RevisionName>,
) -> Result<RevisionRef, CliError> {
    if let Some(name) = given
        && let Some(other) = revisions
            .iter()
            .find(|r| r.digest != *digest && r.names.contains(name))
    {
        return Err(LedgerError::NameTaken {
            service: service.name.clone(),
            name: name.clone(),
            number: other.number.0,
        }
        .into());
    }
    if let Some(same) = revisions.iter().find(|revision| revision.digest == *digest) {
        return Ok(same.reference());
    }
    let next = revisions
        .iter()
        .map(|revision| revision.number.0)
        .max()
        .unwrap_or(0)
        + 1;
    let name = given
        .cloned()
        .unwrap_or_else(|| RevisionName::numbered(RevisionNumber(next)));
    Ok(RevisionRef {
        name,
        digest: digest.clone(),
    })
}

/// The service's revision: what its newest completed rollout over all hosts brought.
pub(crate) fn service_revision(
    records: &[RolloutRecord],
    revisions: &[Revision],
) -> Option<RevisionRef> {
    let past = super::rollout::past(records);
    let digest = current(&past)?;
    revisions
        .iter()
        .find(|revision| revision.digest == *digest)
        .map(Revision::reference)
}

pub(crate) fn note_all(screen: &mut Screen, warnings: &[String]) {
    for warning in warnings {
        screen.note(&format!("warning: {warning}\n"));
    }
}
