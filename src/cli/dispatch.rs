//! From a command to what it does.

use super::args::{Cli, Command};
use super::error::CliError;
use super::exit::ExitCode;
use super::screen::Screen;
use super::{completions, man};

/// Does what was asked and says how it ended.
///
/// # Errors
/// What the person is to be told; nothing has been printed of it yet.
pub async fn run(cli: Cli, screen: &mut Screen) -> Result<ExitCode, CliError> {
    match cli.command {
        Command::Completions(args) => {
            screen.print(&String::from_utf8_lossy(&completions::script(&args)))?;
            Ok(ExitCode::Done)
        }
        Command::Man => {
            screen.print(&String::from_utf8_lossy(&man::page()?))?;
            Ok(ExitCode::Done)
        }
        Command::Release(_)
        | Command::Rollback(_)
        | Command::Plan(_)
        | Command::Status(_)
        | Command::History(_)
        | Command::Describe(_)
        | Command::Check(_)
        | Command::Trust(_) => Err(CliError::new(
            ExitCode::Unexpected,
            "this command is not joined to the rooms yet",
        )),
    }
}
