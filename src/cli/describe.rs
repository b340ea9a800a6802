//! `rollctl describe ROLLOUT`.

use super::args::DescribeArgs;
use super::error::CliError;
use super::exit::ExitCode;
use super::screen::Screen;
use crate::core::time::Timestamp;
use crate::ports::Ledger;
use crate::report::Output;
use crate::report::describe::{DescribeView, describe_json, describe_text};

/// Prints the events of a rollout.
///
/// # Errors
/// When the ledger cannot be read, or there is no rollout of that number.
pub async fn describe(
    args: &DescribeArgs,
    ledger: &dyn Ledger,
    now: Timestamp,
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let Some(rollout) = ledger.rollout(args.rollout).await? else {
        return Err(
            CliError::usage(format!("rollout {} does not exist", args.rollout))
                .hint("`rollctl history SERVICE` lists the rollouts of a service"),
        );
    };
    let view = DescribeView {
        rollout,
        events: ledger.events(args.rollout, 0).await?,
        now,
    };
    match screen.output {
        Output::Human => screen.print(&describe_text(&view))?,
        Output::Json => {
            for event in describe_json(&view) {
                screen.print_json(&event)?;
            }
        }
    }
    Ok(ExitCode::Done)
}
