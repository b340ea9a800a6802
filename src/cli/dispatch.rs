//! From a command to what it does.

use super::args::{Cli, Command, DescribeArgs, Global, HistoryArgs, StatusArgs};
use super::error::CliError;
use super::exit::ExitCode;
use super::read_back::to_look_at;
use super::screen::Screen;
use super::wire::{Desk, Field, ledger_to_look_at, load_inventory, service, store, warn};
use super::{
    access, completions, describe, history, hold, ledger, man, overview, plan, release, requests,
    restart, resume, rollback, timer,
};
use crate::inventory::Loaded;

/// Does what was asked and says how it ended.
///
/// # Errors
/// What the person is to be told; nothing has been printed of it yet.
pub async fn run(cli: Cli, screen: &mut Screen) -> Result<ExitCode, CliError> {
    let Cli { global, command } = cli;
    if is_unattended(&command) {
        screen.hold_back();
    }
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
        Command::Hold(args) => hold::hold(args, &inventory(&global, screen)?, screen).await,
        Command::Unhold(args) => hold::unhold(args, &inventory(&global, screen)?, screen).await,
        Command::Timer(args) => timer::timer(&args, &global, &inventory(&global, screen)?, screen),
        Command::Plan(args) => plan::plan_release(args, &inventory(&global, screen)?, screen).await,
        Command::Trust(args) => access::trust(args, &inventory(&global, screen)?, screen).await,
        Command::Status(args) => status(args, &inventory(&global, screen)?, screen).await,
        Command::History(args) => show_history(args, &inventory(&global, screen)?, screen).await,
        Command::Ledger(command) => {
            ledger::ledger(command, &inventory(&global, screen)?, screen).await
        }
        Command::Describe(args) => show_rollout(args, &inventory(&global, screen)?, screen).await,
    }
}

/// Whether nobody watches: then nothing is said before there is something to do.
fn is_unattended(command: &Command) -> bool {
    match command {
        Command::Release(args) => args.unattended.unattended,
        Command::Restart(args) => args.unattended.unattended,
        _ => false,
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
    let overview = overview::Overview::of(fleet, &services, screen)
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
    let fleet = &loaded.fleet;
    let service = service(fleet, &args.service)?;
    let (ledger, here) = ledger_to_look_at(fleet).await?;
    let field = Field::of(fleet, service, store(fleet)?)?;
    let ledger = to_look_at(ledger, &here, service, &field.hosts, screen).await?;
    history::history(&args, &*ledger, here.clock.now(), screen).await
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
