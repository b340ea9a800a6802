//! One authenticated connection, shared by everybody who works on that host.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{Handle, Msg};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::channel::Channel;
use super::client::{Client, ClientHandler, Life, Tuning};
use super::error::{Problem, SshError};

/// How long [`Session::close`] waits for the server to take its leave.
const GOODBYE: Duration = Duration::from_secs(1);

/// The pause before a command is tried again on a server that has too many open.
const CROWDED: Duration = Duration::from_millis(50);

/// What sshd means, for commands and for forwards.
const TOO_MANY: &str = "the server could not connect, or has too many sessions open";

/// A handle to one connection; clones share it, and it ends when the last one and all its channels are gone.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    host: String,
    address: String,
    user: String,
    handle: Handle<ClientHandler>,
    life: Arc<Life>,
    commands: Arc<Semaphore>,
    tuning: Tuning,
    /// The jump host's session that carries this one.
    _via: Option<Session>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("host", &self.0.host)
            .field("address", &self.0.address)
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

impl Session {
    pub(crate) fn new(
        client: Client,
        host: &str,
        address: String,
        user: &str,
        tuning: &Tuning,
        via: Option<Session>,
    ) -> Self {
        Self(Arc::new(Inner {
            host: host.to_owned(),
            address,
            user: user.to_owned(),
            handle: client.handle,
            life: client.life,
            commands: Arc::new(Semaphore::new(tuning.commands)),
            tuning: tuning.clone(),
            _via: via,
        }))
    }

    /// The inventory's name of the host.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// `address:port`.
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// The login name.
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// Starts a command (by the login shell, as ssh does). At most [`Tuning::commands`] run at once; further ones
    /// wait for a place.
    ///
    /// # Errors
    /// [`Problem::ConnectionLost`], or [`Problem::Channel`] when the server opens no channel.
    pub async fn open_exec(&self, command: &str) -> Result<Channel, SshError> {
        let permit = self.place().await?;
        let deadline = Instant::now() + self.0.tuning.idle_timeout;
        let channel = loop {
            let command = command.as_bytes().to_vec();
            let opened = self
                .open("opening a channel", move |session| async move {
                    let channel = session.0.handle.channel_open_session().await?;
                    // The reply is taken in by the channel's task; not waiting for it saves a round trip.
                    channel.exec(true, command).await?;
                    Ok(channel)
                })
                .await;
            match opened {
                // A smaller `MaxSessions` than ours, or a command of ours that lives on after its channel: it passes.
                Err(error) if is_crowded(&error) && Instant::now() < deadline => {
                    tokio::time::sleep(CROWDED).await
                }
                opened => break opened?,
            }
        };
        Ok(Channel::of(self, channel, Some(permit)))
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, SshError> {
        let commands = Arc::clone(&self.0.commands);
        tokio::select! {
            biased;
            () = self.0.life.ended.cancelled() => Err(self.lost()),
            permit = commands.acquire_owned() => permit.map_err(|_| self.lost()),
        }
    }

    /// Opens a channel in a task of its own: dropped half-way, russh would leave the channel open on the server.
    pub(crate) async fn open<F, W>(
        &self,
        doing: &'static str,
        work: F,
    ) -> Result<russh::Channel<Msg>, SshError>
    where
        F: FnOnce(Self) -> W,
        W: Future<Output = Result<russh::Channel<Msg>, russh::Error>> + Send + 'static,
    {
        let opening = work(self.clone());
        let (give, take) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            if let Err(Ok(unwanted)) = give.send(opening.await) {
                let _ = unwanted.close().await;
            }
        });
        let opened = tokio::select! {
            biased;
            () = self.0.life.ended.cancelled() => return Err(self.lost()),
            opened = take => opened,
        };
        match opened {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
                Err(self.error(Problem::Channel {
                    doing,
                    reason: open_failure(&reason),
                }))
            }
            Ok(Err(_)) | Err(_) => Err(self.lost()),
        }
    }

    pub(crate) fn handle(&self) -> &Handle<ClientHandler> {
        &self.0.handle
    }

    pub(crate) fn tuning(&self) -> &Tuning {
        &self.0.tuning
    }

    pub(crate) fn error(&self, problem: Problem) -> SshError {
        SshError::new(&self.0.host, &self.0.address, problem)
    }

    pub(crate) fn lost(&self) -> SshError {
        self.error(self.0.life.lost())
    }

    /// Whether anybody else holds it: another handle, or something that goes over it.
    pub fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.0.life.ended.is_cancelled() || self.0.handle.is_closed()
    }

    /// Resolves when the connection is gone, with the reason where it is known.
    pub async fn closed(&self) -> Option<String> {
        self.0.life.ended.cancelled().await;
        self.0.life.reason()
    }

    /// Takes leave of the server. What is still under way on it fails with [`Problem::ConnectionLost`].
    pub async fn close(&self) {
        let leave = async {
            let reason = russh::Disconnect::ByApplication;
            if self.0.handle.disconnect(reason, "", "en").await.is_ok() {
                self.0.life.ended.cancelled().await;
            }
        };
        let _ = tokio::time::timeout(GOODBYE, leave).await;
        self.0.life.end("closed by us");
    }
}

fn is_crowded(error: &SshError) -> bool {
    matches!(&*error.problem, Problem::Channel { reason, .. } if reason == TOO_MANY)
}

fn open_failure(reason: &russh::ChannelOpenFailure) -> String {
    use russh::ChannelOpenFailure as Failure;
    match reason {
        Failure::AdministrativelyProhibited => "the server forbids it".to_owned(),
        Failure::ConnectFailed => TOO_MANY.to_owned(),
        Failure::UnknownChannelType => "the server does not know this kind of channel".to_owned(),
        Failure::ResourceShortage => "the server is short of resources".to_owned(),
        Failure::Other { code, .. } => format!("the server refused with code {code}"),
    }
}
