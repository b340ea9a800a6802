//! The SSH server: one key is let in, and every session is the script.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{PublicKey, load_secret_key};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
    run_stream,
};
use russh::{Channel, MethodKind, MethodSet};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::fleet::ScriptedFleet;
use super::host::Host;
use super::session;
use super::uplink::OverUplink;

/// How one logs in, the same on all hosts.
pub(super) struct Logins {
    config: Arc<Config>,
    key: PublicKey,
}

impl Logins {
    pub(super) fn new(host_key: &Path, client_key: &str) -> anyhow::Result<Self> {
        let config = Config {
            server_id: russh::SshId::Standard("SSH-2.0-OpenSSH_9.2p1 rollctl-scripted".into()),
            methods: MethodSet::from(&[MethodKind::PublicKey][..]),
            auth_rejection_time: Duration::ZERO,
            auth_rejection_time_initial: Some(Duration::ZERO),
            keys: vec![load_secret_key(host_key, None)?],
            inactivity_timeout: None,
            nodelay: true,
            ..Config::default()
        };
        Ok(Self {
            config: Arc::new(config),
            key: PublicKey::from_openssh(client_key.trim())?,
        })
    }
}

pub(super) async fn accept(listener: TcpListener, logins: Arc<Logins>, fleet: Arc<ScriptedFleet>) {
    loop {
        // Too many open files, for a moment: whoever knocks is told nothing and knocks again.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let here = stream.local_addr();
        let address = here.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |here| here.ip());
        let connection = Connection {
            logins: Arc::clone(&logins),
            host: fleet.host(address),
            fleet: Arc::clone(&fleet),
        };
        let _ = stream.set_nodelay(true);
        let config = Arc::clone(&logins.config);
        match &fleet.uplink {
            None => tokio::spawn(serve(config, stream, connection)),
            // What the host sends back is not held up.
            Some(uplink) => {
                let (read, write) = stream.into_split();
                let read = OverUplink::new(read, Arc::clone(uplink));
                tokio::spawn(serve(config, tokio::io::join(read, write), connection))
            }
        };
    }
}

async fn serve(
    config: Arc<Config>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
) {
    // However a connection ends, its client knows.
    if let Ok(session) = run_stream(config, stream, connection).await {
        let _ = session.await;
    }
}

/// One client at one host.
struct Connection {
    logins: Arc<Logins>,
    host: Arc<Host>,
    fleet: Arc<ScriptedFleet>,
}

impl Connection {
    fn is_welcome(&self, key: &PublicKey) -> Auth {
        match key.key_data() == self.logins.key.key_data() {
            true => Auth::Accept,
            false => Auth::reject(),
        }
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.is_welcome(offer.public_key))
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.is_welcome(key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let (host, fleet) = (Arc::clone(&self.host), Arc::clone(&self.fleet));
        let handle = session.handle();
        tokio::spawn(async move {
            // A client that is gone needs no answer.
            let _ = session::run(channel, handle, &host, &fleet).await;
        });
        Ok(())
    }
}
