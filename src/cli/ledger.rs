//! `rollctl ledger verify | export | rebuild`: whether it is whole, all of it as text, and a new one from the hosts.

use super::args_ledger::{LedgerCommand, LedgerRebuildArgs, LedgerVerifyArgs};
use super::audit::{Asked, audit, verdict};
use super::error::CliError;
use super::exit::ExitCode;
use super::read_back::{ReadBack, ask, knows, restore};
use super::screen::Screen;
use super::wire::{Desk, Field, service, store};
use crate::core::fleet::{Fleet, Service};
use crate::core::ids::ServiceName;
use crate::inventory::Loaded;
use crate::ledger::Chained;
use crate::report::Output;
use crate::report::ledger::{
    AuditView, Rebuilt, RebuiltService, audit_json, audit_text, rebuilt_json, rebuilt_text,
};

/// Does what was asked.
///
/// # Errors
/// What the person is to be told.
pub(crate) async fn ledger(
    command: LedgerCommand,
    loaded: &Loaded,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    match command {
        LedgerCommand::Verify(args) => verify(&args, loaded, screen).await,
        LedgerCommand::Export => export(&loaded.fleet, screen).await,
        LedgerCommand::Rebuild(args) => rebuild(&args, loaded, screen).await,
    }
}

async fn opened(fleet: &Fleet) -> Result<Desk, CliError> {
    Desk::open_to_look(fleet).await?.ok_or_else(|| {
        CliError::usage(format!("`{}` has no ledger yet", fleet.name))
            .hint("if it is lost, `rollctl ledger rebuild` reads it back from the hosts")
    })
}

async fn verify(
    args: &LedgerVerifyArgs,
    loaded: &Loaded,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let fleet = &loaded.fleet;
    let desk = opened(fleet).await?;
    let names: Vec<ServiceName> = match &args.service {
        Some(name) => vec![service(fleet, name)?.name.clone()],
        None => desk.books.services().await?,
    };
    let mut services = Vec::new();
    for name in &names {
        let at = desk.now();
        let asked = match fleet.service(name.as_str()).filter(|_| args.connect) {
            Some(service) => {
                let field = Field::of(fleet, service, desk.store.clone())?;
                let answers = ask(&field.hosts, service).await;
                Some(Asked { at, answers })
            }
            None => None,
        };
        services.push(audit(&*desk.books, name, asked.as_ref()).await?);
    }
    let view = AuditView {
        ledger: desk.ledger.id(),
        services,
        gap: match args.service {
            Some(_) => None,
            None => desk.books.gap().await?,
        },
    };
    match screen.output {
        Output::Human => screen.print(&audit_text(&view))?,
        Output::Json => screen.print_json(&audit_json(&view))?,
    }
    Ok(verdict(&view))
}

async fn export(fleet: &Fleet, screen: &mut Screen) -> Result<ExitCode, CliError> {
    let desk = opened(fleet).await?;
    desk.books.export(&mut |row| screen.print_json(row)).await?;
    Ok(ExitCode::Done)
}

async fn rebuild(
    args: &LedgerRebuildArgs,
    loaded: &Loaded,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let fleet = &loaded.fleet;
    let services: Vec<&Service> = match &args.service {
        Some(name) => vec![service(fleet, name)?],
        None => fleet.services.iter().collect(),
    };
    let looked = Desk::open_to_look(fleet).await?;
    let mut code = ExitCode::Done;
    let mut told = Vec::new();
    for service in services {
        let is_known = match &looked {
            Some(desk) => knows(&*desk.ledger, service).await?,
            None => false,
        };
        if is_known {
            told.push(RebuiltService {
                service: service.name.clone(),
                found: None,
            });
            continue;
        }
        let field = Field::of(fleet, service, store(fleet)?)?;
        let read_back = ReadBack::of(&field.hosts, service).await;
        if !read_back.missing.is_empty() {
            code = code.worst(ExitCode::Skipped);
        }
        if !read_back.is_empty() {
            // Only now: where nothing is read back, no ledger is made.
            let desk = Desk::open(fleet).await?;
            restore(&desk, service, false, &read_back.past).await?;
        }
        told.push(RebuiltService {
            service: service.name.clone(),
            found: Some(found(&read_back)),
        });
    }
    match screen.output {
        Output::Human => screen.print(&rebuilt_text(&told))?,
        Output::Json => screen.print_json(&rebuilt_json(&told))?,
    }
    Ok(code)
}

fn found(read_back: &ReadBack) -> Rebuilt {
    let past = &read_back.past;
    Rebuilt {
        revisions: past.revisions.len(),
        rollouts: past.rollouts.len(),
        hosts: read_back.read,
        notes: past.notes.clone(),
        missing: (read_back.missing.iter())
            .map(|(host, error)| (host.clone(), error.in_words()))
            .collect(),
        owners: (read_back.owners.values())
            .map(|(owner, _)| (owner.ledger.clone(), owner.machine.clone()))
            .collect(),
    }
}
