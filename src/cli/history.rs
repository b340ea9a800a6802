//! `rollctl history SERVICE`.

use super::args::HistoryArgs;
use super::error::CliError;
use super::exit::ExitCode;
use super::screen::Screen;
use crate::core::ids::HostName;
use crate::core::time::Timestamp;
use crate::core::timeline::{at, timeline};
use crate::ledger::Chained;
use crate::report::Output;
use crate::report::history::{HistoryView, history_json, history_table, revision_details};
use crate::report::timeline::{TimelineView, timeline_json, timeline_text};

/// Rollouts that are listed; `describe` finds older ones by number.
const ROLLOUTS_LISTED: usize = 50;

/// Prints revisions and rollouts. Whether the inventory has the service was looked at before.
///
/// # Errors
/// When the ledger cannot be read, or there is no revision of that number.
pub async fn history(
    args: &HistoryArgs,
    ledger: &dyn Chained,
    now: Timestamp,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    if let Some(host) = &args.host {
        return of_host(args, host, ledger, now, screen).await;
    }
    let mut view = HistoryView {
        service: args.service.clone(),
        revisions: ledger.revisions(&args.service).await?,
        rollouts: ledger.rollouts(&args.service, ROLLOUTS_LISTED).await?,
        holds: ledger.holds(&args.service).await?,
        now,
    };
    let Some(wanted) = args.revision else {
        match screen.output {
            Output::Human => screen.print(&history_table(&view))?,
            Output::Json => screen.print_json(&history_json(&view))?,
        }
        return Ok(ExitCode::Done);
    };
    let Some(details) = revision_details(&view, wanted.0) else {
        let service = &args.service;
        return Err(
            CliError::usage(format!("revision {wanted} of `{service}` does not exist"))
                .hint(format!("`rollctl history {service}` lists the revisions")),
        );
    };
    match screen.output {
        Output::Human => screen.print(&details)?,
        Output::Json => {
            view.revisions.retain(|one| one.number == wanted);
            let digests: Vec<_> = view.revisions.iter().map(|one| &one.digest).collect();
            view.rollouts.retain(|one| digests.contains(&&one.to));
            screen.print_json(&history_json(&view))?;
        }
    }
    Ok(ExitCode::Done)
}

/// What ran on one host. The inventory need not have it any more.
async fn of_host(
    args: &HistoryArgs,
    host: &HostName,
    ledger: &dyn Chained,
    now: Timestamp,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let events = ledger.host_events(&args.service, host).await?;
    let mut ran = timeline(host, &events);
    let nothing = |since: &str| {
        CliError::usage(format!(
            "the ledger does not know what `{}` ran on {host}{since}",
            args.service
        ))
    };
    let Some(first) = ran.first().map(|first| first.since) else {
        return Err(nothing("").hint("`rollctl status` lists its hosts"));
    };
    if let Some(moment) = args.at {
        let moment = moment.before(now).map_err(CliError::usage)?;
        ran = match at(&ran, moment) {
            Some(found) => vec![found.clone()],
            None => {
                let first = crate::report::time::rfc3339(first);
                return Err(nothing(&format!(" before {first}")));
            }
        };
    }
    let view = TimelineView {
        service: args.service.clone(),
        host: host.clone(),
        ran,
        now,
    };
    match screen.output {
        Output::Human => screen.print(&timeline_text(&view))?,
        Output::Json => screen.print_json(&timeline_json(&view))?,
    }
    Ok(ExitCode::Done)
}
