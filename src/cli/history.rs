//! `rollctl history SERVICE`.

use super::args::HistoryArgs;
use super::error::CliError;
use super::exit::ExitCode;
use super::screen::Screen;
use crate::core::time::Timestamp;
use crate::ports::Ledger;
use crate::report::Output;
use crate::report::history::{HistoryView, history_json, history_table, revision_details};

/// Rollouts that are listed; `describe` finds older ones by number.
const ROLLOUTS_LISTED: usize = 50;

/// Prints revisions and rollouts. Whether the inventory has the service was looked at before.
///
/// # Errors
/// When the ledger cannot be read, or there is no revision of that number.
pub async fn history(
    args: &HistoryArgs,
    ledger: &dyn Ledger,
    now: Timestamp,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
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
