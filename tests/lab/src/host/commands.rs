//! What the lab's program does when a host starts it: be a shim, or prepare a process and become it.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal, setsid};

use crate::tools::Answer;

/// systemd's exit codes for a process that it could not bring up.
const EXIT_CHDIR: i32 = 200;
const EXIT_EXEC: i32 = 203;

/// `SOCKET TOOL ARGUMENTS...`: carries a command to the host's manager, and its answer back.
pub(crate) fn shim(arguments: &[OsString]) -> i32 {
    match carry(arguments) {
        Ok(answer) => {
            // A closed pipe is the reader's wish.
            let _ = io::stdout().write_all(answer.out.as_bytes());
            let _ = io::stderr().write_all(answer.err.as_bytes());
            answer.code
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "Failed to connect to bus: {error}");
            1
        }
    }
}

fn carry(arguments: &[OsString]) -> io::Result<Answer> {
    let words: Vec<String> = arguments
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (socket, words) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut stream = UnixStream::connect(socket)?;
    let mut request = serde_json::to_string(words)?;
    request.push('\n');
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}

/// `COMMAND` or nothing: the shell of an SSH session, which dies with the host.
pub(crate) fn login(arguments: &[OsString]) -> i32 {
    bind_life();
    let shell = env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let mut command = Command::new(&shell);
    match arguments.first() {
        Some(line) => command.arg("-c").arg(line),
        None => command.arg0("-sh"),
    };
    let error = command.exec();
    let _ = writeln!(io::stderr(), "{}: {error}", shell.to_string_lossy());
    127
}

/// `DIRECTORY must-be|may-miss PROGRAM ARGV0 ARGUMENTS...`: a unit's process.
///
/// Standard input is a socket: what goes wrong is written there as `STEP reason`; it closes when the program runs.
pub(crate) fn exec(arguments: &[OsString]) -> i32 {
    bind_life();
    let [directory, may_miss, program, argv0, rest @ ..] = arguments else {
        return EXIT_EXEC;
    };
    // Closed on exec, which is the message.
    let Ok(report) = io::stdin().as_fd().try_clone_to_owned() else {
        return EXIT_EXEC;
    };
    let mut report = UnixStream::from(report);
    if let Err(error) = env::set_current_dir(directory)
        && may_miss != "may-miss"
    {
        let _ = write!(report, "CHDIR {}", words_of(&error));
        return EXIT_CHDIR;
    }
    let error = Command::new(program)
        .arg0(argv0)
        .args(rest)
        .stdin(Stdio::null())
        .exec();
    let _ = write!(report, "EXEC {}", words_of(&error));
    EXIT_EXEC
}

/// Says of which sources this program was built.
pub(crate) fn tell_build() -> i32 {
    i32::from(writeln!(io::stdout(), "{}", crate::control::BUILD).is_err())
}

/// A session of its own, and SIGKILL when the host's process goes.
fn bind_life() {
    let _ = setsid();
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // It may have gone before we asked for the signal.
    let exe = |process: &str| {
        let link = std::fs::read_link(format!("/proc/{process}/exe")).unwrap_or_default();
        link.to_string_lossy()
            .trim_end_matches(" (deleted)")
            .to_owned()
    };
    let parent = rustix::process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get());
    if exe(&parent.to_string()) != exe("self") {
        std::process::exit(EXIT_EXEC);
    }
}

fn words_of(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
