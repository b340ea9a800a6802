//! The `rollctl` command: prepares the process, then leaves everything to [`rollctl::cli`].

use std::ffi::OsString;
use std::io::{self, IsTerminal};

use clap::Parser;
use rollctl::cli::{Cli, CliError, ExitCode, Screen};
use rollctl::report::Output;
use tracing_subscriber::EnvFilter;

fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refused) => return usage(&refused).into(),
    };
    let mut screen = Screen::of_process(cli.global.output);
    log_to_stderr(cli.global.verbose, screen.colour);
    raise_open_files();
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::of(ExitCode::Unexpected, &error))
        .and_then(|runtime| runtime.block_on(rollctl::cli::run(cli, &mut screen)));
    match ended {
        Ok(code) => code,
        Err(error) => {
            error.show(&mut screen);
            error.code
        }
    }
    .into()
}

/// `--help` and `--version` go to stdout; a mistake goes to stderr or, for programs, to stdout as JSON.
fn usage(refused: &clap::Error) -> ExitCode {
    if refused.use_stderr() && asks_for_json(std::env::args_os()) {
        let text = refused.to_string();
        let error = CliError::usage(text.trim_start_matches("error: ").trim());
        error.show(&mut Screen::of_process(Output::Json));
        return ExitCode::Usage;
    }
    // Whoever reads may have gone away.
    let _printed = refused.print();
    if refused.use_stderr() {
        ExitCode::Usage
    } else {
        ExitCode::Done
    }
}

/// Whether the command line, which clap could not read as a whole, asks for JSON.
fn asks_for_json(words: impl Iterator<Item = OsString>) -> bool {
    let words: Vec<OsString> = words.collect();
    words
        .iter()
        .any(|word| word == "--output=json" || word == "-ojson" || word == "-o=json")
        || words
            .windows(2)
            .any(|pair| (pair[0] == "--output" || pair[0] == "-o") && pair[1] == "json")
}

/// The log is for whoever looks for a fault; `ROLLCTL_LOG` wins over `-v`.
fn log_to_stderr(verbose: u8, colour: bool) {
    let level = match verbose {
        0 => "warn,russh=error",
        1 => "rollctl=info,warn,russh=error",
        2 => "rollctl=debug,info,russh=warn",
        _ => "rollctl=trace,debug",
    };
    let filter =
        EnvFilter::try_from_env("ROLLCTL_LOG").unwrap_or_else(|_unset| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour && io::stderr().is_terminal())
        .with_target(verbose > 1)
        .init();
}

/// Every host is a connection, and each a file: the soft limit of 1024 is soon met.
fn raise_open_files() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
