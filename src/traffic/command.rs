//! Driver `command`: the operator's own commands, on this machine or on the instance's host.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::levers::Lever;
use super::site::Site;
use crate::core::traffic::{Moves, RunsOn, TrafficCommand};
use crate::ports::{Machines, Member, TrafficError};

/// The end of a command's output that is told.
const TOLD: usize = 400;
/// How much longer the host may take than the command: starting and ending it.
const GRACE: Duration = Duration::from_secs(15);

/// `timeout` gives up by this status.
const TIMED_OUT: i32 = 124;

/// Runs on the host: the seconds, then five values for the environment, then the command.
const SCRIPT: &str = r#"limit=$1
ROLLCTL_HOST=$2
ROLLCTL_ADDRESS=$3
ROLLCTL_PORT=$4
ROLLCTL_SERVICE=$5
ROLLCTL_DRAIN_TIMEOUT=$6
export ROLLCTL_HOST ROLLCTL_ADDRESS ROLLCTL_PORT ROLLCTL_SERVICE ROLLCTL_DRAIN_TIMEOUT
shift 6
exec timeout -k 5 "$limit" "$@" 2>&1
"#;

/// What an operator wrote to move instances.
pub(crate) struct Commands {
    pub(crate) site: Site,
    /// Where commands of this machine run.
    pub(crate) folder: PathBuf,
    pub(crate) moves: Moves<TrafficCommand>,
    pub(crate) drain_timeout: Duration,
    pub(crate) machines: Arc<dyn Machines>,
}

/// How a command ended; no status: by a signal.
struct Ended {
    status: Option<i32>,
    output: String,
}

impl Commands {
    fn environment(&self, member: &Member) -> Result<[(&'static str, String); 5], TrafficError> {
        let host = self.site.host(member)?;
        let port = self.site.port(member).map(|port| port.to_string());
        Ok([
            ("ROLLCTL_HOST", host.name.to_string()),
            ("ROLLCTL_ADDRESS", host.address.clone()),
            ("ROLLCTL_PORT", port.unwrap_or_default()),
            ("ROLLCTL_SERVICE", self.site.service.to_string()),
            (
                "ROLLCTL_DRAIN_TIMEOUT",
                self.drain_timeout.as_secs_f64().to_string(),
            ),
        ])
    }

    async fn run(&self, command: &TrafficCommand, member: &Member) -> Result<Ended, TrafficError> {
        let environment = self.environment(member)?;
        match command.on {
            RunsOn::Controller => self.run_here(command, environment).await,
            RunsOn::Host => self.run_there(command, environment, member).await,
        }
    }

    async fn run_here(
        &self,
        command: &TrafficCommand,
        environment: [(&'static str, String); 5],
    ) -> Result<Ended, TrafficError> {
        let (program, arguments) = command.run.split_first().ok_or_else(nothing_to_run)?;
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that its children end with it and Ctrl-C does not cut it off.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                TrafficError::lasting(
                    format!("command `{program}` cannot be run: {error}"),
                    format!(
                        "it is run in `{}`: write `./{program}` for one that is there",
                        self.folder.display()
                    ),
                )
            })?;
        let group = child.id();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let work = async {
            let (out, err, status) = tokio::join!(end_of(stdout), end_of(stderr), child.wait());
            (out + &err, status)
        };
        match tokio::time::timeout(command.timeout, work).await {
            Ok((output, Ok(status))) => Ok(Ended {
                status: status.code(),
                output,
            }),
            Ok((_, Err(error))) => Err(TrafficError::passing(format!(
                "command `{program}` cannot be waited for: {error}"
            ))),
            Err(_) => {
                kill_group(group);
                Err(too_slow(command))
            }
        }
    }

    async fn run_there(
        &self,
        command: &TrafficCommand,
        environment: [(&'static str, String); 5],
        member: &Member,
    ) -> Result<Ended, TrafficError> {
        let mut arguments = vec![command.timeout.as_secs_f64().to_string()];
        arguments.extend(environment.map(|(_, value)| value));
        arguments.extend(command.run.iter().cloned());
        let end = self
            .machines
            .run(&member.host, SCRIPT, &arguments, command.timeout + GRACE)
            .await
            .map_err(|error| {
                TrafficError::of_host(&format!("{} on `{}`", shown(command), member.host), error)
            })?;
        if end.status == TIMED_OUT {
            return Err(too_slow(command));
        }
        Ok(Ended {
            status: Some(end.status),
            output: String::from_utf8_lossy(&end.stdout).into_owned(),
        })
    }

    async fn must(&self, command: &TrafficCommand, member: &Member) -> Result<(), TrafficError> {
        let ended = self.run(command, member).await?;
        match ended.status {
            Some(0) => Ok(()),
            _ => Err(failed(command, &ended)),
        }
    }
}

#[async_trait]
impl Lever for Commands {
    async fn attach(&self, member: &Member) -> Result<(), TrafficError> {
        self.must(&self.moves.attach, member).await
    }

    async fn drain(&self, member: &Member) -> Result<(), TrafficError> {
        self.must(&self.moves.drain, member).await
    }

    async fn is_attached(&self, member: &Member) -> Result<bool, TrafficError> {
        let ended = self.run(&self.moves.observe, member).await?;
        match ended.status {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(failed(&self.moves.observe, &ended)),
        }
    }
}

fn shown(command: &TrafficCommand) -> String {
    format!("command `{}`", command.run.join(" "))
}

fn failed(command: &TrafficCommand, ended: &Ended) -> TrafficError {
    let how = match ended.status {
        Some(code) => format!("exit status {code}"),
        None => "killed by a signal".to_owned(),
    };
    let output = last(&ended.output);
    let separator = if output.is_empty() { "" } else { ": " };
    TrafficError {
        // Whoever wrote it knows what may pass; tried again it is by whoever asked.
        is_passing: true,
        ..TrafficError::lasting(
            format!("{} ended with {how}{separator}{output}", shown(command)),
            "`attach` and `drain` end with 0; `observe` ends with 0 (in) or 1 (out)",
        )
    }
}

fn too_slow(command: &TrafficCommand) -> TrafficError {
    TrafficError {
        hint: Some("give it more time with `timeout`".into()),
        ..TrafficError::passing(format!(
            "{} took longer than {} s and was ended",
            shown(command),
            command.timeout.as_secs_f64()
        ))
    }
}

fn nothing_to_run() -> TrafficError {
    TrafficError::lasting(
        "a command without a program",
        "write `run = [\"./script\"]`",
    )
}

/// The end of a text on one line, without what a terminal would obey.
fn last(text: &str) -> String {
    let line: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let skipped = line.chars().count().saturating_sub(TOLD);
    line.chars().skip(skipped).collect()
}

async fn end_of(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else {
        return String::new();
    };
    let mut piece = [0; 4096];
    while let Ok(length) = pipe.read(&mut piece).await {
        if length == 0 {
            break;
        }
        kept.extend_from_slice(piece.get(..length).unwrap_or_default());
        let excess = kept.len().saturating_sub(4 * TOLD);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

fn kill_group(group: Option<u32>) {
    let group = group
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // It may have ended in this moment.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}
