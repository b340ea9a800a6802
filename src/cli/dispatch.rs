//! From a command to what it does.

use super::args::{Cli, Command, DescribeArgs, Global, HistoryArgs, StatusArgs};
use super::error::CliError;
use super::exit::ExitCode;
use super::screen::Screen;
use super::wire::{Desk, load_inventory, service, warn};
use super::{
    access, completions, describe, history, man, overview, plan, release, requests, restart,
    resume, rollback,
};
use crate::inventory::Loaded;
use crate::ports::Clock;

/// Does what was asked and says how it ended.
///
/// # Errors
/// What the person is to be told; nothing has been printed of it yet.
pub async fn run(cli: Cli, screen: &mut Screen) -> Result<ExitCode, CliError> {
    let Cli { global, command } = cli;
    match command {
        Command::Completions(args) => {
            screen.print(&String::from_utf8_lossy(&completions::script(&args)))?;
            Ok(ExitCode::Done)
        }
        Command::Man => {
            screen.print(&String::from_utf8_lossy(&man::page()?))?;
            Ok(ExitCode::Done)
        }
        Command::Check(args) => access::check(args, &global, screen).await,
        Command::Release(args) => {
            release::release(args, &inventory(&global, screen)?, global.verbose, screen).await
        }
        Command::Rollback(args) => {
            rollback::rollback(args, &inventory(&global, screen)?, global.verbose, screen).await
        }
        Command::Restart(args) => {
            restart::restart(args, &inventory(&global, screen)?, global.verbose, screen).await
        }
        Command::Pause(args) => {
            requests::pause(&args.service, &inventory(&global, screen)?, screen).await
        }
        Command::Approve(args) => {
            requests::approve(&args.service, &inventory(&global, screen)?, screen).await
        }
        Command::Abort(args) => {
            requests::abort(args, &inventory(&global, screen)?, global.verbose, screen).await
        }
        Command::Resume(args) => {
            resume::resume(args, &inventory(&global, screen)?, global.verbose, screen).await
        }
        Command::Plan(args) => plan::plan_release(args, &inventory(&global, screen)?, screen).await,
        Command::Trust(args) => access::trust(args, &inventory(&global, screen)?, screen).await,
        Command::Status(args) => status(args, &inventory(&global, screen)?, screen).await,
        Command::History(args) => show_history(args, &inventory(&global, screen)?, screen).await,
        Command::Describe(args) => show_rollout(args, &inventory(&global, screen)?, screen).await,
    }
}

fn inventory(global: &Global, screen: &mut Screen) -> Result<Loaded, CliError> {
    let loaded = load_inventory(global)?;
    warn(screen, &loaded.warnings);
    Ok(loaded)
}

async fn status(
    args: StatusArgs,
    loaded: &Loaded,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let fleet = &loaded.fleet;
    let services: Vec<_> = match &args.service {
        Some(name) => vec![service(fleet, name)?],
        None => fleet.services.iter().collect(),
    };
    if services.is_empty() {
        return Err(
            CliError::usage(format!("the inventory of `{}` has no service", fleet.name))
                .hint("add `[services.NAME]`"),
        );
    }
    let overview = overview::Overview::of(fleet, &services)
        .await?
        .verifying(args.verify);
    if args.watch {
        let rest = async || overview.rest().await;
        super::status::watch(async || overview.look().await, rest, screen).await
    } else {
        super::status::show(&overview.look().await?, screen)
    }
}

async fn show_history(
    args: HistoryArgs,
    loaded: &Loaded,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let service = service(&loaded.fleet, &args.service)?;
    let Some(desk) = Desk::open_to_look(&loaded.fleet).await? else {
        // As an empty ledger: nothing was released yet.
        let clock = std::sync::Arc::new(crate::driver::SystemClock);
        let empty =
            crate::ledger::MemoryLedger::new(crate::ledger::Here::of_this_machine(clock.clone()));
        return history::history(&args, &empty, clock.now(), screen).await;
    };
    tracing::debug!(service = %service.name, "reading the history");
    history::history(&args, &*desk.ledger, desk.now(), screen).await
}

async fn show_rollout(
    args: DescribeArgs,
    loaded: &Loaded,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    match Desk::open_to_look(&loaded.fleet).await? {
        Some(desk) => describe::describe(&args, &*desk.ledger, desk.now(), screen).await,
        None => Err(CliError::usage(format!(
            "rollout {} does not exist: nothing was released yet",
            args.rollout
        ))),
    }
}
