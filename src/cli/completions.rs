//! `rollctl completions SHELL`.

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs};

/// The script that makes the shell complete `rollctl`'s commands and flags.
pub fn script(args: &CompletionsArgs) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "rollctl", &mut text);
    text
}
