//! Makes sessions: resolves the target, goes the way, checks the host, logs in, and tries again where that helps.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rand::Rng;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::auth;
use super::client::{Client, HostKeyCheck, Tuning, handshake};
use super::dial;
use super::error::{Problem, SshError};
use super::host_key::HostKeyPolicy;
use super::jump::{JumpHost, JumpHosts};
use super::known_files::KnownFiles;
use super::resolve::resolve;
use super::session::Session;
use super::ssh_config::SshConfig;
use super::target::{Resolved, Route, Target};

/// The pause before the first further try; it doubles with each one, and half of it is random.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Makes all sessions of a run; holds what they share.
#[derive(Debug)]
pub struct Connector {
    config: SshConfig,
    tuning: Tuning,
    logins: Semaphore,
    jumps: JumpHosts,
    known: KnownFiles,
}

/// A stream of whichever kind the route gives.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A way that is open up to the host, with what it needs to stay open.
pub(crate) struct Way {
    stream: Box<dyn Stream>,
    via: Option<Session>,
    last_line: dial::LastLine,
}

impl Connector {
    /// A connector that reads this configuration.
    pub fn new(config: SshConfig, tuning: Tuning) -> Self {
        Self {
            config,
            logins: Semaphore::new(tuning.logins),
            tuning,
            jumps: JumpHosts::default(),
            known: KnownFiles::default(),
        }
    }

    /// Fills in what the target leaves open, without touching the host.
    ///
    /// # Errors
    /// [`Problem::Resolve`].
    pub async fn resolve(&self, target: &Target) -> Result<Resolved, SshError> {
        resolve(target, &self.config).await
    }

    /// Logs in to a host.
    ///
    /// # Errors
    /// Whatever stood in the way; [`SshError::is_refusal`] says whether trying again is pointless.
    pub async fn connect(&self, target: &Target) -> Result<Session, SshError> {
        let resolved = self.resolve(target).await?;
        self.connect_resolved(&resolved).await
    }

    /// Logs in to a host whose target is resolved already.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub async fn connect_resolved(&self, resolved: &Resolved) -> Result<Session, SshError> {
        self.persist(resolved, |way, deadline| {
            self.log_in(way, deadline, resolved).boxed()
        })
        .await
    }

    async fn log_in(
        &self,
        way: Way,
        deadline: Instant,
        resolved: &Resolved,
    ) -> Result<Session, Problem> {
        let policy = HostKeyPolicy::read(resolved, &self.known)?;
        let via = way.via.clone();
        let mut client = self
            .greet(way, HostKeyCheck::Policy(policy), deadline, resolved)
            .await?;
        match timeout_at(deadline, auth::login(&mut client, resolved)).await {
            Ok(done) => done?,
            Err(_) => return Err(timed_out("authentication", resolved)),
        }
        let (endpoint, user) = (resolved.endpoint(), &resolved.user);
        tracing::debug!(host = %resolved.host, address = %endpoint, %user, "logged in");
        Ok(Session::new(
            client,
            &resolved.host,
            endpoint,
            user,
            &self.tuning,
            via,
        ))
    }

    /// Ends the sessions to jump hosts, and with them everything that goes through them.
    pub async fn close(&self) {
        for session in self.jumps.take().await {
            session.close().await;
        }
    }

    pub(crate) async fn greet(
        &self,
        way: Way,
        check: HostKeyCheck,
        deadline: Instant,
        resolved: &Resolved,
    ) -> Result<Client, Problem> {
        match timeout_at(deadline, handshake(way.stream, check, &self.tuning)).await {
            Ok(Err(Problem::Dropped { during, message })) => Err(Problem::Dropped {
                during,
                // A proxy command that failed has said why on standard error.
                message: match message {
                    None => way.last_line.at_the_end().await,
                    said => said,
                },
            }),
            Ok(done) => done,
            Err(_) => Err(timed_out("key exchange", resolved)),
        }
    }

    /// Goes the way and does the work at its end; again, after a pause, when the server hung up at random.
    pub(crate) async fn persist<'a, T>(
        &'a self,
        resolved: &'a Resolved,
        work: impl Fn(Way, Instant) -> BoxFuture<'a, Result<T, Problem>>,
    ) -> Result<T, SshError> {
        let mut pause = FIRST_PAUSE;
        let mut tries_left = self.tuning.retries;
        loop {
            let problem = match self.once(resolved, &work).await {
                Ok(done) => return Ok(done),
                Err(problem) => problem,
            };
            if tries_left == 0 || !is_random(&problem) {
                return Err(SshError::new(&resolved.host, resolved.endpoint(), problem));
            }
            tries_left -= 1;
            tracing::debug!(host = %resolved.host, %problem, "trying again");
            tokio::time::sleep(jitter(pause)).await;
            pause *= 2;
        }
    }

    async fn once<'a, T>(
        &'a self,
        resolved: &'a Resolved,
        work: &impl Fn(Way, Instant) -> BoxFuture<'a, Result<T, Problem>>,
    ) -> Result<T, Problem> {
        // The jump host's login comes first: with a place in our hands, we could wait for those who wait for us.
        let jump = match &resolved.route {
            Route::Jump(hop) => {
                let host = self.jumps.get(hop, self.tuning.logins_per_jump);
                let session = self.jump_session(&host, hop).await?;
                Some((host, session))
            }
            Route::Direct | Route::Command(_) => None,
        };
        let _through = match &jump {
            Some((host, _)) => host.logins.acquire().await.ok(),
            None => None,
        };
        let _login = self.logins.acquire().await;
        let deadline = Instant::now() + resolved.connect_timeout;
        let way = match (&resolved.route, &jump) {
            (Route::Command(command), _) => {
                let (stream, last_line) = dial::proxy(command)?;
                Way {
                    stream: Box::new(stream),
                    via: None,
                    last_line,
                }
            }
            (_, Some((_, session))) => tunnel(session.clone(), resolved, deadline).await?,
            (_, None) => Way {
                stream: Box::new(dial::tcp(&resolved.address, resolved.port, deadline).await?),
                via: None,
                last_line: dial::LastLine::default(),
            },
        };
        work(way, deadline).await
    }

    async fn jump_session(&self, host: &JumpHost, hop: &Resolved) -> Result<Session, Problem> {
        let mut slot = host.session.lock().await;
        if let Some(session) = slot.as_ref().filter(|session| !session.is_closed()) {
            return Ok(session.clone());
        }
        let session = Box::pin(self.connect_resolved(hop))
            .await
            .map_err(|source| Problem::Jump {
                source: Box::new(source),
            })?;
        *slot = Some(session.clone());
        Ok(session)
    }
}

async fn tunnel(session: Session, resolved: &Resolved, deadline: Instant) -> Result<Way, Problem> {
    match timeout_at(deadline, session.forward(&resolved.address, resolved.port)).await {
        Ok(Ok(stream)) => Ok(Way {
            stream: Box::new(stream),
            via: Some(session),
            last_line: dial::LastLine::default(),
        }),
        Ok(Err(source)) => Err(Problem::Jump {
            source: Box::new(source),
        }),
        Err(_) => Err(timed_out("connecting through the jump host", resolved)),
    }
}

fn timed_out(doing: &'static str, resolved: &Resolved) -> Problem {
    Problem::Timeout {
        doing,
        after: resolved.connect_timeout,
    }
}

/// Whether the same try may well succeed a moment later.
fn is_random(problem: &Problem) -> bool {
    match problem {
        Problem::Dropped { .. } => true,
        // The shared session died under us; the next try makes a new one.
        Problem::Jump { source } => source.is_connection_lost(),
        _ => false,
    }
}

fn jitter(pause: Duration) -> Duration {
    pause / 2 + rand::rng().random_range(Duration::ZERO..=pause / 2)
}
