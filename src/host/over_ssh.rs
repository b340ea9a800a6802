//! The way to a host over SSH: one connection, made when first needed, and again when it was lost.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::shell::{Ending, Input, Output, Shell, Wire};
use crate::ports::{HostError, HostErrorKind, Stream};
use crate::ssh::{Channel, Connector, Session, SshError, Target};

/// A host that could not be reached is not tried again for so long: every poll would be a login otherwise.
const REST: Duration = Duration::from_secs(2);

/// One host over SSH.
pub(crate) struct SshShell {
    connector: Arc<Connector>,
    target: Target,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    session: Option<Session>,
    failed: Option<(Instant, SshErrorInWords)>,
}

#[derive(Clone)]
struct SshErrorInWords {
    kind: HostErrorKind,
    message: String,
    hint: Option<String>,
}

impl SshShell {
    /// Nothing is connected yet.
    pub(crate) fn new(connector: Arc<Connector>, target: Target) -> Self {
        Self {
            connector,
            target,
            line: Mutex::default(),
        }
    }

    async fn session(&self) -> Result<Session, HostError> {
        let mut line = self.line.lock().await;
        if let Some(session) = line.session.as_ref().filter(|session| !session.is_closed()) {
            return Ok(session.clone());
        }
        if let Some((at, words)) = &line.failed
            && at.elapsed() < REST
        {
            return Err(words.clone().into());
        }
        match self.connector.connect(&self.target).await {
            Ok(session) => {
                *line = Line {
                    session: Some(session.clone()),
                    failed: None,
                };
                Ok(session)
            }
            Err(error) => {
                let words = SshErrorInWords::of(&error);
                *line = Line {
                    session: None,
                    failed: Some((Instant::now(), words.clone())),
                };
                Err(words.into())
            }
        }
    }
}

#[async_trait]
impl Shell for SshShell {
    async fn open(&self, command: &str) -> Result<Box<dyn Wire>, HostError> {
        let channel = self.session().await?.open_exec(command).await;
        Ok(Box::new(SshWire(
            channel.map_err(|error| SshErrorInWords::of(&error))?,
        )))
    }

    async fn dial(&self, address: &str, port: u16) -> Result<Box<dyn Stream>, HostError> {
        let tunnel = self.session().await?.forward(address, port).await;
        Ok(Box::new(tunnel.map_err(|error| SshErrorInWords {
            // The host is there; it is the port that refuses.
            kind: if error.is_connection_lost() {
                HostErrorKind::Lost
            } else {
                HostErrorKind::Failed
            },
            ..SshErrorInWords::of(&error)
        })?))
    }

    async fn close(&self) {
        if let Some(session) = self.line.lock().await.session.take() {
            session.close().await;
        }
    }
}

struct SshWire(Channel);

#[async_trait]
impl Wire for SshWire {
    fn pipes(&mut self) -> (Input<'_>, Output<'_>) {
        (&mut self.0.stdin, &mut self.0.stdout)
    }

    async fn ending(&mut self) -> Ending {
        let ended = self.0.wait().await;
        let (stderr, _) = self.0.stderr.snapshot();
        let stderr = String::from_utf8_lossy(&stderr).trim().to_owned();
        match ended {
            Ok(status) => Ending {
                how: status.to_string(),
                stderr,
                is_lost: false,
            },
            Err(error) => Ending {
                how: SshErrorInWords::of(&error).message,
                stderr,
                is_lost: true,
            },
        }
    }
}

impl SshErrorInWords {
    fn of(error: &SshError) -> Self {
        let mut message = error.problem.to_string();
        let mut cause = error.problem.source();
        while let Some(inner) = cause {
            message.push_str(": ");
            message.push_str(&inner.to_string());
            cause = inner.source();
        }
        let kind = match () {
            () if error.is_refusal() => HostErrorKind::Refused,
            () if error.is_connection_lost() => HostErrorKind::Lost,
            () => HostErrorKind::Unreachable,
        };
        Self {
            kind,
            message: format!("{message} ({})", error.address),
            hint: error.hint(),
        }
    }
}

impl From<SshErrorInWords> for HostError {
    fn from(words: SshErrorInWords) -> Self {
        Self {
            kind: words.kind,
            message: words.message,
            hint: words.hint,
        }
    }
}
