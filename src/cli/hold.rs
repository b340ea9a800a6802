//! `rollctl hold`, `rollctl unhold`: whether runs that nobody watches leave a service alone.

use std::sync::Arc;

use serde_json::json;

use super::args_unattended::HoldArgs;
use super::error::CliError;
use super::exit::ExitCode;
use super::notify::{finish, notifier_of};
use super::screen::Screen;
use super::wire::{Desk, connector, service, who};
use crate::core::fleet::{Fleet, Service};
use crate::core::hold::{Remark, standing};
use crate::host::FleetMachines;
use crate::inventory::Loaded;
use crate::report::Output;
use crate::report::hold::by_whom;
use crate::report::json::remark;
use crate::report::telling::of_hold;

/// Holds a service.
///
/// # Errors
/// What the person is to be told.
pub(crate) async fn hold(
    args: HoldArgs,
    loaded: &Loaded,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let fleet = &loaded.fleet;
    let service = service(fleet, &args.service)?;
    let desk = Desk::open(fleet).await?;
    let name = &service.name;
    let said = said(&desk, args.cause);
    let is_new = desk.ledger.hold(name, &said).await?;
    let holds = desk.ledger.holds(name).await?;
    // Lifted by somebody in this very moment.
    let stands = standing(&holds).unwrap_or(&said);
    let text = match is_new {
        true => format!(
            "`{name}` is held: unattended runs leave it alone until `rollctl unhold {name}`"
        ),
        false => format!("`{name}` is held already, {}", by_whom(stands)),
    };
    answer(screen, service, Some(stands), is_new, &text)?;
    if is_new {
        if desk.ledger.holder(name).await?.is_some() {
            let text = format!(
                "note: a rollout is at work and goes on; `rollctl pause {name}` pauses it\n"
            );
            screen.note(&text);
        }
        tell(fleet, service, &said, screen).await;
    }
    Ok(ExitCode::Done)
}

/// Lifts the hold of a service.
///
/// # Errors
/// What the person is to be told.
pub(crate) async fn unhold(
    args: HoldArgs,
    loaded: &Loaded,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let fleet = &loaded.fleet;
    let service = service(fleet, &args.service)?;
    let name = &service.name;
    let not_held = format!("`{name}` is not held");
    if Desk::open_to_look(fleet).await?.is_none() {
        answer(screen, service, None, false, &not_held)?;
        return Ok(ExitCode::Done);
    }
    let desk = Desk::open(fleet).await?;
    let holds = desk.ledger.holds(name).await?;
    let lifted = desk.ledger.unhold(name, &said(&desk, args.cause)).await?;
    let text = match standing(&holds).filter(|_| lifted) {
        Some(stood) => format!("`{name}` is held no more; it was, {}", by_whom(stood)),
        None if lifted => format!("`{name}` is held no more"),
        None => not_held,
    };
    answer(screen, service, None, lifted, &text)?;
    Ok(ExitCode::Done)
}

fn said(desk: &Desk, cause: Option<String>) -> Remark {
    Remark {
        by: who(),
        at: desk.now(),
        cause,
    }
}

fn answer(
    screen: &mut Screen,
    service: &Service,
    stands: Option<&Remark>,
    changed: bool,
    text: &str,
) -> Result<(), CliError> {
    match screen.output {
        Output::Human => screen.print(&format!("{text}\n"))?,
        Output::Json => screen.print_json(&json!({
            "version": 1,
            "service": service.name,
            "hold": stands.map(remark),
            "changed": changed,
        }))?,
    }
    Ok(())
}

/// Tells people who want to be told; that nobody could be is only a warning.
async fn tell(fleet: &Fleet, service: &Service, said: &Remark, screen: &mut Screen) {
    let machines = Arc::new(FleetMachines::new(fleet, &Arc::new(connector())));
    let Some((notifier, delivery)) = notifier_of(fleet, machines) else {
        return;
    };
    notifier.tell(of_hold(said, &service.name, &fleet.name));
    finish(Some(delivery), screen).await;
}
