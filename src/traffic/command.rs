//! Driver `command`: the operator's own commands, on this machine or on the instance's host.

use std::time::Duration;

use async_trait::async_trait;

use super::levers::Lever;
use super::site::Site;
use crate::core::program::Program;
use crate::core::traffic::Moves;
use crate::ports::{Member, TrafficError};
use crate::programs::{Ended, NotRun, Runner};

/// The end of a command's output that is told.
const TOLD: usize = 400;
/// Every variable that a command is told by.
const VARIABLES: [&str; 5] = [
    "ROLLCTL_HOST",
    "ROLLCTL_ADDRESS",
    "ROLLCTL_PORT",
    "ROLLCTL_SERVICE",
    "ROLLCTL_DRAIN_TIMEOUT",
];

/// What an operator wrote to move instances.
pub(crate) struct Commands {
    pub(crate) site: Site,
    pub(crate) runner: Runner,
    pub(crate) moves: Moves<Program>,
    pub(crate) drain_timeout: Duration,
}

/// How a command ended; no status: by a signal.
struct Exited {
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

    async fn run(&self, command: &Program, member: &Member) -> Result<Exited, TrafficError> {
        let variables = self.environment(member)?;
        let ran = self
            .runner
            .run(
                command,
                Some(&member.host),
                &variables,
                &VARIABLES,
                4 * TOLD,
            )
            .await
            .map_err(|error| match error {
                NotRun::Here { message, hint } => {
                    TrafficError::lasting(format!("command {message}"), hint)
                }
                NotRun::There(error) => TrafficError::of_host(
                    &format!("{} on `{}`", shown(command), member.host),
                    error,
                ),
            })?;
        let status = match ran.ended {
            Ended::TimedOut => return Err(too_slow(command)),
            Ended::Exited(status) => Some(status),
            Ended::Killed => None,
        };
        Ok(Exited {
            status,
            output: String::from_utf8_lossy(&ran.output).into_owned(),
        })
    }

    async fn must(&self, command: &Program, member: &Member) -> Result<(), TrafficError> {
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

fn shown(command: &Program) -> String {
    format!("command `{}`", command.run.join(" "))
}

fn failed(command: &Program, ended: &Exited) -> TrafficError {
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

fn too_slow(command: &Program) -> TrafficError {
    TrafficError {
        hint: Some("give it more time with `timeout`".into()),
        ..TrafficError::passing(format!(
            "{} took longer than {} s and was ended",
            shown(command),
            command.timeout.as_secs_f64()
        ))
    }
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
