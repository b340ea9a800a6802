//! Runs a command to its end.

use super::channel::{Channel, ExitStatus};
use super::error::{Problem, SshError};
use super::session::Session;

/// What a command said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// The first [`super::Tuning::kept_output`] bytes of standard output.
    pub stdout: Vec<u8>,
    /// The last [`super::Tuning::kept_output`] bytes of standard error.
    pub stderr: Vec<u8>,
    /// Bytes of standard output that were thrown away.
    pub stdout_dropped: u64,
    /// Bytes of standard error that were thrown away.
    pub stderr_dropped: u64,
}

impl Session {
    /// Runs a command with empty standard input and collects what it says, within bounds.
    ///
    /// # Errors
    /// Only when the command's end is not known; a command that fails is an [`Output`] with its status.
    pub async fn exec(&self, command: &str) -> Result<Output, SshError> {
        let mut channel = self.open_exec(command).await?;
        // A command that has ended already needs no end of file.
        let _ = channel.stdin.finish().await;
        let (stdout, dropped) = collect(&mut channel, self.tuning().kept_output).await;
        output(channel, stdout, dropped).await
    }
}

/// Reads standard output to its end, keeping the first `limit` bytes.
pub(crate) async fn collect(channel: &mut Channel, limit: usize) -> (Vec<u8>, u64) {
    let mut kept = Vec::new();
    let mut dropped = 0;
    while let Some(Ok(piece)) = channel.stdout.next().await {
        let room = limit.saturating_sub(kept.len());
        let (keep, drop) = piece.split_at(room.min(piece.len()));
        kept.extend_from_slice(keep);
        dropped += drop.len() as u64;
    }
    (kept, dropped)
}

pub(crate) async fn output(
    mut channel: Channel,
    stdout: Vec<u8>,
    stdout_dropped: u64,
) -> Result<Output, SshError> {
    let status = channel.wait().await?;
    let (stderr, stderr_dropped) = channel.stderr.snapshot();
    Ok(Output {
        status,
        stdout,
        stderr,
        stdout_dropped,
        stderr_dropped,
    })
}

impl Output {
    /// Whether the command exited with 0.
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }
}

/// What an error of a channel's writer means; `None` is "the other end no longer reads".
pub(crate) fn write_problem(
    session: &Session,
    error: &std::io::Error,
    doing: &'static str,
) -> Option<Problem> {
    match error.kind() {
        std::io::ErrorKind::TimedOut => Some(Problem::Timeout {
            doing,
            after: session.tuning().idle_timeout,
        }),
        _ => None,
    }
}
