//! `rollctl pause`, `approve`, `abort`: asks the controller of a rollout, wherever it runs.

use std::time::Duration;

use tokio::time::Instant;

use super::args::{AbortArgs, WindowArgs};
use super::error::CliError;
use super::exit::ExitCode;
use super::resume::{Drive, open};
use super::screen::Screen;
use super::wire::{Desk, service, who};
use crate::core::fleet::Service;
use crate::core::ids::ServiceName;
use crate::inventory::Loaded;
use crate::ports::{Answer, LiveHolder, Request, RequestKind, RolloutRecord};
use crate::report::Output;

/// The controller looks for requests each second; one that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often the answer is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Holds the rollout at work.
///
/// # Errors
/// What the person is to be told.
pub(crate) async fn pause(
    name: &ServiceName,
    loaded: &Loaded,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let service = service(&loaded.fleet, name)?;
    let desk = open(&loaded.fleet, service).await?;
    let Some(holder) = desk.ledger.holder(name).await? else {
        let newest = newest(&desk, service).await?;
        return match newest.outcome.as_str() {
            "paused" => {
                let text = format!("rollout {} of `{name}` is paused already", newest.id);
                say(screen, RequestKind::Pause, &newest, &text)?;
                Ok(ExitCode::Done)
            }
            _ => Err(nobody(service, &newest, "pause")),
        };
    };
    let newest = ask(&desk, service, RequestKind::Pause, &holder).await?;
    let text = format!(
        "rollout {} of `{name}` finishes what is in flight, then pauses; `rollctl resume {name}` goes on",
        newest.id
    );
    say(screen, RequestKind::Pause, &newest, &text)?;
    Ok(ExitCode::Done)
}

/// Lets the rollout at work go on past its step.
///
/// # Errors
/// What the person is to be told.
pub(crate) async fn approve(
    name: &ServiceName,
    loaded: &Loaded,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let service = service(&loaded.fleet, name)?;
    let desk = open(&loaded.fleet, service).await?;
    let Some(holder) = desk.ledger.holder(name).await? else {
        let newest = newest(&desk, service).await?;
        return Err(nobody(service, &newest, "approve"));
    };
    let newest = ask(&desk, service, RequestKind::Approve, &holder).await?;
    let text = format!("rollout {} of `{name}`: approved", newest.id);
    say(screen, RequestKind::Approve, &newest, &text)?;
    Ok(ExitCode::Done)
}

/// Ends the rollout where it stands; one that nobody drives is ended here.
///
/// # Errors
/// What the person is to be told.
pub(crate) async fn abort(
    args: AbortArgs,
    loaded: &Loaded,
    verbose: u8,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let name = &args.service;
    let fleet = &loaded.fleet;
    let service = service(fleet, name)?;
    let desk = open(fleet, service).await?;
    let holder = desk.ledger.holder(name).await?;
    if let Some(holder) = holder.filter(|_| !args.take_over) {
        let newest = ask(&desk, service, RequestKind::Abort, &holder).await?;
        let text = format!(
            "rollout {} of `{name}` finishes what is in flight, then ends; `rollctl rollback {name}` goes back",
            newest.id
        );
        say(screen, RequestKind::Abort, &newest, &text)?;
        return Ok(ExitCode::Done);
    }
    let drive = Drive {
        fleet,
        service,
        desk: &desk,
        abort: true,
        window: &WindowArgs::default(),
        unattended: false,
        verbose,
    };
    drive.run(args.take_over, screen).await
}

async fn newest(desk: &Desk, service: &Service) -> Result<RolloutRecord, CliError> {
    let newest = desk.ledger.rollouts(&service.name, 1).await?;
    newest.into_iter().next().ok_or_else(|| {
        CliError::usage(format!("`{}` has no rollout", service.name)).hint(format!(
            "`rollctl release {}` begins its first",
            service.name
        ))
    })
}

/// Nobody drives the newest rollout.
fn nobody(service: &Service, newest: &RolloutRecord, verb: &str) -> CliError {
    let name = &service.name;
    let is_open = matches!(newest.outcome.as_str(), "paused" | "interrupted");
    let (how, hint) = match is_open {
        true => (
            format!("is {}", newest.outcome),
            format!("`rollctl resume {name}` goes on; `rollctl abort {name}` ends it"),
        ),
        false => (
            format!("is over ({})", newest.outcome.replace('_', " ")),
            format!("`rollctl status {name}` shows what runs where"),
        ),
    };
    CliError::usage(format!(
        "there is nothing to {verb}: nobody works on `{name}`, its rollout {} {how}",
        newest.id
    ))
    .hint(hint)
}

/// Writes the request and waits for the controller's answer.
async fn ask(
    desk: &Desk,
    service: &Service,
    kind: RequestKind,
    holder: &LiveHolder,
) -> Result<RolloutRecord, CliError> {
    let name = &service.name;
    let newest = newest(desk, service).await?;
    let number = desk.ledger.request(name, kind, &who(), desk.now()).await?;
    let asked = Instant::now();
    loop {
        match desk.ledger.find_request(number).await? {
            Some(Request {
                answer: Some(Answer::Taken),
                ..
            }) => return Ok(newest),
            Some(Request {
                answer: Some(Answer::Refused { reason }),
                ..
            }) => {
                return Err(CliError::new(
                    ExitCode::Paused,
                    format!("cannot {} `{name}`: {reason}", kind.as_str()),
                )
                .hint(format!("`rollctl status {name}` shows what it waits for")));
            }
            _ => {}
        }
        let is_gone = desk.ledger.holder(name).await?.is_none();
        if is_gone || asked.elapsed() >= PATIENCE {
            // Taken after all, in the last moment: then that is what counts.
            if !desk.ledger.withdraw(number).await? {
                continue;
            }
            return Err(no_answer(service, kind, holder, is_gone));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn no_answer(service: &Service, kind: RequestKind, holder: &LiveHolder, is_gone: bool) -> CliError {
    let name = &service.name;
    let who = format!("{} (pid {})", holder.holder.by, holder.holder.pid);
    let verb = kind.as_str();
    match is_gone {
        true => CliError::new(
            ExitCode::Paused,
            format!("{who} stopped working on `{name}` before it answered to `{verb}`"),
        )
        .hint(format!("`rollctl status {name}` shows how it ended")),
        false => CliError::new(
            ExitCode::LeaseHeld,
            format!("{who} works on `{name}` and does not answer to `{verb}`"),
        )
        .state("the request was withdrawn")
        .hint(format!(
            "if it hangs, `rollctl resume {name} --take-over` goes on from here"
        )),
    }
}

fn say(
    screen: &mut Screen,
    kind: RequestKind,
    rollout: &RolloutRecord,
    text: &str,
) -> Result<(), CliError> {
    match screen.output {
        Output::Human => screen.print(&format!("{text}\n"))?,
        Output::Json => screen.print_json(&serde_json::json!({
            "version": 1,
            "service": rollout.service,
            "rollout": rollout.id,
            "request": kind.as_str(),
            "taken": true,
        }))?,
    }
    Ok(())
}
