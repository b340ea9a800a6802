//! The way to a host over SSH: one connection, opened when first needed and kept.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::hosts::ServiceHosts;
use super::machine::Machine;
use super::machines::FleetMachines;
use super::script::Manner;
use super::shell::{Ending, Input, Output, Shell, Wire};
use crate::core::fleet::{Fleet, Host, Service, Through};
use crate::ports::{Artifacts, Clock, HostError, HostErrorKind, KEPT_CONNECTIONS, Stream};
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
        let machines = service.carriers_among(&fleet.hosts).map(|host| {
            let mut shell = shared.shell(host);
            if service.health.through == Through::Ssh {
                // It is asked again and again: each time would be a login.
                shell.idle = None;
            }
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

/// In a fleet of more hosts than [`KEPT_CONNECTIONS`], a connection and a script that nobody used for so long are given up.
/// Longer than from one look at an instance's units to the next, so that one serves all that is done on the host in a row.
const IDLE: Duration = Duration::from_millis(1500);

/// A handle; clones share the connection.
#[derive(Clone)]
pub(crate) struct SshShell {
    connector: Arc<Connector>,
    target: Target,
    line: Arc<Mutex<Line>>,
    /// How long it is kept while nobody uses it; nothing: until all is done.
    idle: Option<Duration>,
}

#[derive(Default)]
struct Line {
    session: Option<Session>,
    /// When it was last asked for.
    used: Option<Instant>,
    failed: Option<(Instant, SshError)>,
    /// Ends the session once it is idle, where it is not kept.
    _ender: Option<AbortOnDropHandle<()>>,
}

impl SshShell {
    /// Nothing is connected yet. `hosts`: of the whole fleet.
    pub(crate) fn new(connector: &Arc<Connector>, host: &Host, hosts: usize) -> Self {
        Self {
            connector: Arc::clone(connector),
            target: target(host),
            line: Arc::default(),
            idle: (hosts > KEPT_CONNECTIONS).then_some(IDLE),
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
        line.used = Some(Instant::now());
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
                let end = |idle| tokio::spawn(give_up(Arc::downgrade(&self.line), idle));
                *line = Line {
                    session: Some(session.clone()),
                    used: Some(Instant::now()),
                    failed: None,
                    _ender: self.idle.map(end).map(AbortOnDropHandle::new),
                };
                Ok(session)
            }
            Err(error) => {
                let told = not_connected(&error);
                *line = Line {
                    failed: Some((Instant::now(), error)),
                    ..Line::default()
                };
                Err(told)
            }
        }
    }
}

/// Ends the connection once nobody used it for so long, and nothing goes over it.
async fn give_up(line: Weak<Mutex<Line>>, idle: Duration) {
    loop {
        tokio::time::sleep(idle).await;
        let Some(line) = line.upgrade() else {
            return;
        };
        let mut line = line.lock().await;
        let Some(session) = line.session.as_ref().filter(|one| !one.is_closed()) else {
            return;
        };
        // Whoever would use it has to ask for it first, and that waits for us.
        if session.is_in_use() || line.used.is_some_and(|at| at.elapsed() < idle) {
            continue;
        }
        let session = line.session.take();
        drop(line);
        if let Some(session) = session {
            session.close().await;
        }
        return;
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

    fn idle(&self) -> Option<Duration> {
        self.idle
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
