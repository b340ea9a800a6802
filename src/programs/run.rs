//! Runs one program and says how it ended.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::FusedFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::core::ids::HostName;
use crate::core::program::{Program, RunsOn};
use crate::ports::{HostError, Machines};

/// How much longer the host may take than the program: starting and ending it.
const GRACE: Duration = Duration::from_secs(15);

/// What a program leaves behind may still write for so long after its own end.
const AFTERMATH: Duration = Duration::from_secs(1);

/// `timeout` gives up by the first; by the second when it had to kill.
const TIMED_OUT: [i32; 2] = [124, 128 + 9];

/// Runs on the host: the seconds, how much output is kept, the number of variables, name and value of each, then the
/// program. The end of the output comes through a pipe; the exit status goes around it.
const SCRIPT: &str = r#"limit=$1
keep=$2
count=$3
shift 3
while [ "$count" -gt 0 ]; do
    export "$1=$2"
    shift 2
    count=$((count - 1))
done
exec 4>&1
status=$({ { timeout -k 5 "$limit" "$@" 2>&1 3>&- 4>&-; echo "$?" >&3; } | tail -c "$keep" >&4; } 3>&1)
exit "$status"
"#;

/// A variable of a program's environment.
pub(crate) type Variable = (&'static str, String);

/// Runs programs for one fleet.
pub(crate) struct Runner {
    /// Where programs of this machine run.
    pub(crate) folder: PathBuf,
    pub(crate) machines: Arc<dyn Machines>,
}

/// A program that ended, or was ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ended: Ended,
    /// The end of what it wrote to stdout and stderr.
    pub(crate) output: Vec<u8>,
    pub(crate) took: Duration,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    /// By a signal that was not ours.
    Killed,
    TimedOut,
}

/// A program that was not run, or of which nobody knows how it ended.
#[derive(Debug)]
pub(crate) enum NotRun {
    /// Not on this machine.
    Here { message: String, hint: String },
    /// Not on the host.
    There(HostError),
}

impl Runner {
    /// Runs it, keeps the last `keep` bytes of what it writes, and ends it with its process group when its time is over.
    /// Variables of `known` that are not among `variables` are not passed on from our own environment.
    pub(crate) async fn run(
        &self,
        program: &Program,
        host: Option<&HostName>,
        variables: &[Variable],
        known: &[&'static str],
        keep: usize,
    ) -> Result<Ran, NotRun> {
        match (program.on, host) {
            (RunsOn::Host, Some(host)) => self.run_there(program, host, variables, keep).await,
            (RunsOn::Host, None) => Err(NotRun::Here {
                message: "it is to run on an instance's host, and there is no instance".to_owned(),
                hint: "write `on = \"controller\"`".to_owned(),
            }),
            (RunsOn::Controller, _) => {
                self.run_here(program, variables, known, Vec::new(), keep)
                    .await
            }
        }
    }

    /// Runs it on this machine with that on its standard input.
    pub(crate) async fn hand(
        &self,
        program: &Program,
        input: Vec<u8>,
        keep: usize,
    ) -> Result<Ran, NotRun> {
        self.run_here(program, &[], &[], input, keep).await
    }

    async fn run_here(
        &self,
        program: &Program,
        variables: &[Variable],
        known: &[&'static str],
        input: Vec<u8>,
        keep: usize,
    ) -> Result<Ran, NotRun> {
        let begun = Instant::now();
        let name = program.run.first().cloned().unwrap_or_default();
        let failed = |error: std::io::Error| NotRun::Here {
            message: format!("`{name}` cannot be run: {error}"),
            hint: format!(
                "it is run in `{}`: write `./NAME` for one that is there, and make it executable",
                self.folder.display()
            ),
        };
        let stdin = match input.is_empty() {
            true => Stdio::null(),
            false => Stdio::piped(),
        };
        let (mut child, pipe) = self
            .spawn(program, variables, known, stdin)
            .map_err(failed)?;
        // One that does not want to read says why by its status.
        let _feeding = child.stdin.take().map(|mut stdin| {
            let feed = async move { stdin.write_all(&input).await };
            AbortOnDropHandle::new(tokio::spawn(feed))
        });
        let mut group = Group::of(&child);
        let mut output = Vec::new();
        let ended = {
            let work = until_end(&mut child, pipe, keep, &mut output);
            tokio::time::timeout(program.timeout, work).await
        };
        let ended = match ended {
            Ok(status) => {
                group.0 = None;
                status
                    .map_err(failed)?
                    .code()
                    .map_or(Ended::Killed, Ended::Exited)
            }
            Err(_) => {
                drop(group);
                Ended::TimedOut
            }
        };
        Ok(Ran {
            ended,
            output,
            took: begun.elapsed(),
        })
    }

    fn spawn(
        &self,
        program: &Program,
        variables: &[Variable],
        known: &[&'static str],
        stdin: Stdio,
    ) -> std::io::Result<(Child, pipe::Receiver)> {
        // One pipe for both streams: what was written first is read first.
        let (reader, writer) = std::io::pipe()?;
        let mut words = program.run.iter();
        let mut command = Command::new(words.next().map_or("", String::as_str));
        for name in known {
            command.env_remove(name);
        }
        let child = command
            .args(words)
            .envs(variables.iter().cloned())
            .current_dir(&self.folder)
            .stdin(stdin)
            .stdout(writer.try_clone()?)
            .stderr(writer)
            // A group of its own, so that its children end with it and Ctrl-C does not cut it off.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        // The command holds the writing end too: dropped here, the pipe ends with the program.
        drop(command);
        Ok((child, pipe::Receiver::from_owned_fd(reader.into())?))
    }

    async fn run_there(
        &self,
        program: &Program,
        host: &HostName,
        variables: &[Variable],
        keep: usize,
    ) -> Result<Ran, NotRun> {
        let begun = Instant::now();
        let mut arguments = vec![
            program.timeout.as_secs_f64().to_string(),
            keep.to_string(),
            variables.len().to_string(),
        ];
        for (name, value) in variables {
            arguments.extend([(*name).to_owned(), value.clone()]);
        }
        arguments.extend(program.run.iter().cloned());
        let end = self
            .machines
            .run(host, SCRIPT, &arguments, program.timeout + GRACE)
            .await
            .map_err(NotRun::There)?;
        let took = begun.elapsed();
        // A program may end with these by itself; then it was faster.
        let is_over = took >= program.timeout && TIMED_OUT.contains(&end.status);
        Ok(Ran {
            ended: match is_over {
                true => Ended::TimedOut,
                false => Ended::Exited(end.status),
            },
            output: end.stdout,
            took,
        })
    }
}

/// Reads until the program has ended and what it wrote is read.
async fn until_end(
    child: &mut Child,
    pipe: impl AsyncRead + Unpin,
    keep: usize,
    output: &mut Vec<u8>,
) -> std::io::Result<ExitStatus> {
    let reading = read_end(pipe, keep, output).fuse();
    let mut reading = std::pin::pin!(reading);
    let status = tokio::select! {
        status = child.wait() => status,
        () = &mut reading => child.wait().await,
    };
    if !reading.is_terminated() {
        // A process that it left behind may hold the pipe for ever.
        let _ = tokio::time::timeout(AFTERMATH, reading).await;
    }
    status
}

async fn read_end(mut pipe: impl AsyncRead + Unpin, keep: usize, kept: &mut Vec<u8>) {
    let mut piece = [0; 4096];
    while let Ok(length) = pipe.read(&mut piece).await {
        if length == 0 {
            break;
        }
        kept.extend_from_slice(piece.get(..length).unwrap_or_default());
        let excess = kept.len().saturating_sub(keep);
        kept.drain(..excess);
    }
}

/// A process group that is killed when nobody waits for it any more.
pub(super) struct Group(Option<rustix::process::Pid>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self(leader.and_then(rustix::process::Pid::from_raw))
    }

    /// It has ended by itself.
    pub(super) fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended in this moment.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}
