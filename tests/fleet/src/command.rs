//! Running the machine's own tools, and what can go wrong with them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Why a fleet could not do what a test asked of it.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// This machine cannot run real hosts.
    #[error("real hosts cannot run here: {why}")]
    Unavailable {
        /// What is missing.
        why: String,
    },
    /// A tool of this machine, or a command on a host that had to succeed, failed.
    #[error("`{command}` failed with {status}: {stderr}")]
    Command {
        /// The command as it was given.
        command: String,
        /// Its exit status in words.
        status: String,
        /// What it said, or the end of it.
        stderr: String,
    },
    /// A file, folder or process of this machine could not be used.
    #[error("`{what}` cannot be used")]
    Io {
        /// The path or program.
        what: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The host is stopped.
    #[error("host `{host}` is not running")]
    NotRunning {
        /// The host's name.
        host: String,
    },
    /// The host runs already.
    #[error("host `{host}` is running already")]
    RunningAlready {
        /// The host's name.
        host: String,
    },
    /// The host did not reach a state in time.
    #[error("host `{host}` is not {wanted} after {waited:?}: {seen}")]
    TooSlow {
        /// The host's name.
        host: String,
        /// What was waited for.
        wanted: &'static str,
        /// For how long.
        waited: Duration,
        /// What it was instead.
        seen: String,
    },
    /// Every slot of this machine is in use.
    #[error("all {count} slots for fleets are in use (`{folder}`)")]
    NoSlot {
        /// How many there are.
        count: u8,
        /// Where their locks are.
        folder: PathBuf,
    },
    /// apt knows no archive to build hosts from.
    #[error("no archive for `{suite}` in `apt-get indextargets`; run `apt-get update`")]
    NoArchive {
        /// The release of this machine.
        suite: String,
    },
}

/// What a command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output, as text.
    pub stdout: String,
    /// Standard error, as text.
    pub stderr: String,
}

impl Output {
    /// True if the command ended with exit code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }
}

/// Keeps an I/O error together with what it was about.
pub(crate) fn io(what: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> FleetError {
    let what = what.as_ref().display().to_string();
    move |source| FleetError::Io { what, source }
}

/// Runs a command to its end, whatever its exit code, with `input` on its standard input.
pub(crate) fn output(
    command: &mut Command,
    input: &[u8],
) -> Result<std::process::Output, FleetError> {
    let program = command.get_program().to_os_string();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io(&program))?;
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        // A command that does not read its input is no error; it says itself what went wrong.
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input)));
        child.wait_with_output().map_err(io(&program))
    })
}

/// As [`output`], as text.
pub(crate) fn text(command: &mut Command) -> Result<Output, FleetError> {
    let raw = output(command, b"")?;
    Ok(Output {
        code: raw.status.code(),
        stdout: String::from_utf8_lossy(&raw.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&raw.stderr).into_owned(),
    })
}

/// Runs a command that must succeed; its standard output without the last newline.
pub(crate) fn must(command: &mut Command) -> Result<String, FleetError> {
    let answer = text(command)?;
    if answer.is_success() {
        return Ok(answer.stdout.trim_end().to_owned());
    }
    Err(FleetError::Command {
        command: shown(command),
        status: answer
            .code
            .map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}")),
        stderr: last_lines(&answer.stderr),
    })
}

/// Runs `program` with `arguments`, which must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, FleetError> {
    must(Command::new(program).args(arguments))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The end of a long text: what a failed tool says last is why it failed.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
