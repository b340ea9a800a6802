//! The way to a host over SSH: one connection, opened when first needed and kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::hosts::ServiceHosts;
use super::machine::Machine;
use super::machines::FleetMachines;
use super::script::Manner;
use super::shell::{Ending, Input, Output, Shell, Wire};
use crate::core::fleet::{Fleet, Host, Service};
use crate::ports::{Artifacts, Clock, HostError, HostErrorKind, Stream};
use crate::ssh::{Channel, Connector, Session, SshError, Target};

impl ServiceHosts {
    /// A service on its hosts. Nothing is connected yet; a host that the fleet does not have is refused when asked for.
    pub fn new(
        service: &Service,
        fleet: &Fleet,
        connector: &Arc<Connector>,
        artifacts: Arc<dyn Artifacts>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::on(
            service,
            fleet,
            &FleetMachines::new(fleet, connector),
            artifacts,
            clock,
        )
    }

    /// The same over the connections of the fleet's machines, which others use too.
    pub fn on(
        service: &Service,
        fleet: &Fleet,
        shared: &FleetMachines,
        artifacts: Arc<dyn Artifacts>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let machines = service
            .carriers()
            .filter_map(|name| fleet.host(name))
            .map(|host| {
                let shell = shared.shell(host);
                let manner = Manner {
                    scope: service.scope,
                    acting: host.ssh.r#become,
                };
                Machine::new(host.name.clone(), Box::new(shell), manner)
            });
        Self::with_machines(
            service.clone(),
            machines,
            artifacts,
            clock,
            fleet.max_uploads,
        )
    }
}

/// Where the inventory says a host is, and how to log in.
pub fn target(host: &Host) -> Target {
    Target {
        host: host.name.to_string(),
        address: host.address.clone(),
        port: host.port,
        user: host.ssh.user.clone(),
        identity: host.ssh.identity.clone(),
        known_hosts: host.ssh.known_hosts.clone(),
        jump: host.ssh.jump.clone(),
        connect_timeout: host.ssh.connect_timeout,
    }
}

/// A host that could not be reached is not tried again for so long: every poll would be a login otherwise.
const REST: Duration = Duration::from_secs(2);

/// A handle; clones share the connection.
#[derive(Clone)]
pub(crate) struct SshShell {
    connector: Arc<Connector>,
    target: Target,
    line: Arc<Mutex<Line>>,
}

#[derive(Default)]
struct Line {
    session: Option<Session>,
    failed: Option<(Instant, SshError)>,
}

impl SshShell {
    /// Nothing is connected yet.
    pub(crate) fn new(connector: &Arc<Connector>, host: &Host) -> Self {
        Self {
            connector: Arc::clone(connector),
            target: target(host),
            line: Arc::default(),
        }
    }

    /// A stream to a Unix socket on the host.
    pub(crate) async fn dial_unix(&self, path: &str) -> Result<Box<dyn Stream>, HostError> {
        let session = self.session().await?;
        match session.forward_unix(path).await {
            Ok(tunnel) => Ok(Box::new(tunnel)),
            Err(error) if error.is_connection_lost() => Err(cut_off(&error)),
            // The host is there; it is the socket, the right to it, or sshd's leave that is missing.
            Err(error) => Err(HostError {
                kind: HostErrorKind::Failed,
                hint: Some(format!(
                    "is `{path}` there, may the user who logs in read and write it (its group, its mode), and does sshd allow \
                     it (`AllowStreamLocalForwarding`)?"
                )),
                ..cut_off(&error)
            }),
        }
    }

    /// The connection; one login however many ask at once.
    async fn session(&self) -> Result<Session, HostError> {
        let mut line = self.line.lock().await;
        if let Some(session) = line.session.as_ref().filter(|session| !session.is_closed()) {
            return Ok(session.clone());
        }
        if let Some((at, error)) = &line.failed
            && at.elapsed() < REST
        {
            return Err(not_connected(error));
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
                let told = not_connected(&error);
                *line = Line {
                    session: None,
                    failed: Some((Instant::now(), error)),
                };
                Err(told)
            }
        }
    }
}

#[async_trait]
impl Shell for SshShell {
    async fn open(&self, command: &str) -> Result<Box<dyn Wire>, HostError> {
        let session = self.session().await?;
        let channel = session
            .open_exec(command)
            .await
            .map_err(|error| cut_off(&error))?;
        Ok(Box::new(SshWire(channel)))
    }

    async fn dial(&self, address: &str, port: u16) -> Result<Box<dyn Stream>, HostError> {
        let session = self.session().await?;
        let tunnel = session
            .forward(address, port)
            .await
            .map_err(|error| HostError {
                // Where the host is there, it is the port that refuses.
                kind: match error.is_connection_lost() {
                    true => HostErrorKind::Lost,
                    false => HostErrorKind::Failed,
                },
                ..cut_off(&error)
            })?;
        Ok(Box::new(tunnel))
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
        let (how, is_lost) = match self.0.wait().await {
            Ok(status) => (status.to_string(), false),
            Err(error) => (in_words(&error), error.is_connection_lost()),
        };
        let (stderr, _) = self.0.stderr.snapshot();
        Ending {
            how,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            is_lost,
        }
    }
}

/// Nothing was begun.
fn not_connected(error: &SshError) -> HostError {
    HostError {
        kind: match error.is_refusal() {
            true => HostErrorKind::Refused,
            false => HostErrorKind::Unreachable,
        },
        message: in_words(error),
        hint: error.hint(),
    }
}

/// The connection was there and is no more, or refuses another channel.
fn cut_off(error: &SshError) -> HostError {
    HostError {
        kind: match error.is_connection_lost() {
            true => HostErrorKind::Lost,
            false => HostErrorKind::Unreachable,
        },
        message: in_words(error),
        hint: error.hint(),
    }
}

/// The problem, its causes and the address, without the host's name.
fn in_words(error: &SshError) -> String {
    use std::error::Error as _;
    let mut words = error.problem.to_string();
    let mut cause = error.problem.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // "connection refused: Connection refused (os error 111)" says it twice.
        let first = text
            .split(" (os error")
            .next()
            .unwrap_or(&text)
            .to_lowercase();
        if !words.to_lowercase().contains(&first) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = error.source();
    }
    format!("{words} ({})", error.address)
}
