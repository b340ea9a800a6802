//! Runs `ssh-keygen`, which knows what signatures, allowed signers and revoked keys mean better than a copy of it could.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

/// What it said.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whether it ended with 0.
    pub(super) is_yes: bool,
    pub(super) stdout: String,
    /// The first of its complaints; empty where it gives none.
    pub(super) complaint: String,
}

/// Runs it with these words; `input` is what it reads.
///
/// # Errors
/// When it cannot be run, or `input` cannot be read.
pub(super) fn ask(words: &[&OsStr], input: &mut dyn Read) -> io::Result<Answer> {
    let mut child = Command::new("ssh-keygen")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let fed = match child.stdin.take() {
        Some(mut pipe) => feed(input, &mut pipe),
        None => Ok(()),
    };
    let output = child.wait_with_output()?;
    fed?;
    Ok(Answer {
        is_yes: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        complaint: complaint(&String::from_utf8_lossy(&output.stderr)),
    })
}

/// Writes all of it, as far as it is wanted: of a signature that is no good the rest is not read.
fn feed(input: &mut dyn Read, pipe: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = input.read(&mut buffer)?;
        let piece = buffer.get(..count).unwrap_or_default();
        if piece.is_empty() {
            return Ok(());
        }
        match pipe.write_all(piece) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
}

fn complaint(stderr: &str) -> String {
    let line = stderr.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or_default().to_owned()
}
