//! The SSH server: one key is let in, sessions run the user's shell, and connections can be cut.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::keys::{PublicKey, load_secret_key};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
    run_stream,
};
use russh::{Channel, ChannelOpenFailure, MethodKind, MethodSet};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::AbortHandle;

use super::session;
use crate::control::HostConfig;

/// A host's SSH server, which can be closed and opened again.
pub(super) struct SshServer {
    address: String,
    config: Arc<Config>,
    login: Arc<Login>,
    accepting: Mutex<Option<AbortHandle>>,
    connections: Arc<Mutex<Vec<std::net::TcpStream>>>,
}

/// Who gets in, and what they find.
struct Login {
    user: String,
    key: PublicKey,
    address: String,
    max_sessions: usize,
    count: AtomicU64,
    place: session::Place,
}

impl SshServer {
    pub(super) fn new(
        host: &HostConfig,
        environment: BTreeMap<String, String>,
    ) -> io::Result<Self> {
        let key = load_secret_key(&host.host_key, None).map_err(io::Error::other)?;
        let config = Config {
            server_id: russh::SshId::Standard("SSH-2.0-OpenSSH_9.2p1 rollctl-lab".into()),
            methods: MethodSet::from(&[MethodKind::PublicKey][..]),
            auth_rejection_time: Duration::from_millis(100),
            auth_rejection_time_initial: Some(Duration::ZERO),
            keys: vec![key],
            max_auth_attempts: 6,
            inactivity_timeout: None,
            nodelay: true,
            ..Config::default()
        };
        let place = session::Place {
            program: host.program.clone(),
            shell: host.shell.clone(),
            home: PathBuf::from(environment.get("HOME").cloned().unwrap_or_default()),
            environment,
        };
        let login = Login {
            user: host.user.clone(),
            key: PublicKey::from_openssh(&host.client_key).map_err(io::Error::other)?,
            address: host.address.clone(),
            max_sessions: host.max_sessions,
            count: AtomicU64::new(0),
            place,
        };
        Ok(Self {
            address: host.address.clone(),
            config: Arc::new(config),
            login: Arc::new(login),
            accepting: Mutex::new(None),
            connections: Arc::default(),
        })
    }

    /// Listens on this port, or on any if it is 0; the port.
    pub(super) async fn open(&self, port: u16) -> io::Result<u16> {
        self.close();
        let listener = TcpListener::bind((self.address.as_str(), port)).await?;
        let port = listener.local_addr()?.port();
        let (config, login, connections) = (
            Arc::clone(&self.config),
            Arc::clone(&self.login),
            Arc::clone(&self.connections),
        );
        let task = tokio::spawn(accept(listener, config, login, connections));
        *self
            .accepting
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
        Ok(port)
    }

    pub(super) fn close(&self) {
        if let Some(task) = self
            .accepting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            task.abort();
        }
        self.cut();
    }

    /// Ends all connections as a broken line does, in the middle of whatever they do.
    pub(super) fn cut(&self) {
        for connection in self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }

    pub(super) fn logins(&self) -> u64 {
        self.login.count.load(Ordering::SeqCst)
    }
}

async fn accept(
    listener: TcpListener,
    config: Arc<Config>,
    login: Arc<Login>,
    connections: Arc<Mutex<Vec<std::net::TcpStream>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let Ok((stream, twin)) = twin(stream) else {
            continue;
        };
        {
            let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.retain(|connection| connection.peer_addr().is_ok());
            connections.push(twin);
        }
        let connection = Connection {
            login: Arc::clone(&login),
            sessions: Arc::default(),
        };
        let config = Arc::clone(&config);
        tokio::spawn(async move {
            // However a connection ends, its client knows.
            if let Ok(session) = run_stream(config, stream, connection).await {
                let _ = session.await;
            }
        });
    }
}

/// The same socket once more, to shut it down from outside.
fn twin(stream: TcpStream) -> io::Result<(TcpStream, std::net::TcpStream)> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let twin = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, twin))
}

/// One client.
struct Connection {
    login: Arc<Login>,
    sessions: Arc<AtomicUsize>,
}

impl Connection {
    fn is_welcome(&self, user: &str, key: &PublicKey) -> Auth {
        if user == self.login.user && key.key_data() == self.login.key.key_data() {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.is_welcome(user, offer.public_key))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.is_welcome(user, key.public_key))
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), Self::Error> {
        self.login.count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        // sshd's MaxSessions.
        if self.sessions.load(Ordering::SeqCst) >= self.login.max_sessions {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        }
        self.sessions.fetch_add(1, Ordering::SeqCst);
        reply.accept().await;
        let (login, sessions, handle) = (
            Arc::clone(&self.login),
            Arc::clone(&self.sessions),
            session.handle(),
        );
        tokio::spawn(async move {
            session::run(channel, handle, &login.place).await;
            sessions.fetch_sub(1, Ordering::SeqCst);
        });
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host_to_connect: &str,
        port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        // A host's own loopback is, on this machine, the host's own address.
        let is_self = matches!(host_to_connect, "localhost" | "127.0.0.1" | "::1");
        let host = if is_self {
            self.login.address.clone()
        } else {
            host_to_connect.to_owned()
        };
        let port = u16::try_from(port_to_connect).unwrap_or(0);
        tokio::spawn(async move {
            forward(
                channel,
                reply,
                TcpStream::connect((host.as_str(), port)).await,
            )
            .await;
        });
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        socket_path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let path = socket_path.to_owned();
        tokio::spawn(async move {
            forward(channel, reply, UnixStream::connect(path).await).await;
        });
        Ok(())
    }
}

async fn forward<S>(channel: Channel<Msg>, reply: ChannelOpenHandle, target: io::Result<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match target {
        Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
        Ok(mut target) => {
            reply.accept().await;
            // Either side may hang up at any time.
            let _ = copy_bidirectional(&mut channel.into_stream(), &mut target).await;
        }
    }
}
