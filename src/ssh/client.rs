//! The protocol's client side: algorithms, limits, the host key check, and the life of one connection.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use russh::client::{self, DisconnectReason, Handle};
use russh::keys::{Algorithm, PublicKey, PublicKeyOrCertificate};
use russh::{Preferred, cipher, compression, kex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::Problem;
use super::host_key::HostKeyPolicy;

/// The times and limits of all connections; the defaults suit real networks, tests shorten them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning {
    /// Silence after which the server is asked for a sign of life.
    pub keepalive: Duration,
    /// So many unanswered questions and the connection is lost.
    pub keepalive_missed: usize,
    /// A write that moves nothing for so long fails.
    pub idle_timeout: Duration,
    /// Logins under way at once, over all hosts.
    pub logins: usize,
    /// Logins under way at once to or through one jump host; sshd drops some of more than 10 (`MaxStartups`).
    pub logins_per_jump: usize,
    /// Further tries when the server hangs up before the login is decided.
    pub retries: u32,
    /// Commands at once on one connection; sshd refuses more than 10 (`MaxSessions`).
    pub commands: usize,
    /// Output kept per stream and command, in bytes; the rest is counted and thrown away.
    pub kept_output: usize,
    /// Output of a channel that nobody has read yet, in bytes; more breaks that channel off.
    pub unread_output: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            keepalive: Duration::from_secs(15),
            keepalive_missed: 3,
            idle_timeout: Duration::from_secs(30),
            logins: 64,
            logins_per_jump: 8,
            retries: 5,
            commands: 8,
            kept_output: 4 << 20,
            unread_output: 16 << 20,
        }
    }
}

/// Whether a connection lives, and why not.
#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(crate) ended: CancellationToken,
    reason: OnceLock<String>,
}

impl Life {
    pub(crate) fn reason(&self) -> Option<String> {
        self.reason.get().cloned()
    }

    pub(crate) fn end(&self, reason: impl Into<String>) {
        // The first reason is the cause, later ones its consequences.
        let _ = self.reason.set(reason.into());
        self.ended.cancel();
    }

    pub(crate) fn lost(&self) -> Problem {
        Problem::ConnectionLost {
            reason: self.reason(),
        }
    }
}

/// How the server's key is judged.
#[derive(Debug)]
pub(crate) enum HostKeyCheck {
    /// Against `known_hosts`.
    Policy(HostKeyPolicy),
    /// Only to see it: every key is noted and refused, so nothing ever follows.
    Look(Algorithm, Arc<Mutex<Option<PublicKey>>>),
}

/// What russh calls back.
pub(crate) struct ClientHandler {
    check: HostKeyCheck,
    refused: Arc<Mutex<Option<Problem>>>,
    life: Arc<Life>,
    /// Ends the life when russh drops us, whichever way its task ended.
    _guard: DropGuard,
}

impl client::Handler for ClientHandler {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        match &self.check {
            HostKeyCheck::Policy(policy) => match policy.check(shown) {
                Ok(()) => Ok(true),
                Err(problem) => {
                    *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
                    Ok(false)
                }
            },
            HostKeyCheck::Look(_, seen) => {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown.public_key());
                Ok(false)
            }
        }
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<russh::Error>,
    ) -> Result<(), russh::Error> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                self.life.end(printable(&info.message));
                Ok(())
            }
            DisconnectReason::Error(error) => {
                self.life.end(words(&error));
                Err(error)
            }
        }
    }
}

/// An authenticated or still anonymous connection.
pub(crate) struct Client {
    pub(crate) handle: Handle<ClientHandler>,
    pub(crate) life: Arc<Life>,
}

/// Speaks SSH over a stream up to the point where somebody can log in.
pub(crate) async fn handshake<S>(
    stream: S,
    check: HostKeyCheck,
    tuning: &Tuning,
) -> Result<Client, Problem>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let life = Arc::new(Life::default());
    let refused = Arc::new(Mutex::new(None));
    let config = config(&check, tuning);
    let handler = ClientHandler {
        check,
        refused: Arc::clone(&refused),
        life: Arc::clone(&life),
        _guard: life.ended.clone().drop_guard(),
    };
    match client::connect_stream(Arc::new(config), stream, handler).await {
        Ok(handle) => Ok(Client { handle, life }),
        Err(error) => {
            let refused = refused
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            Err(refused.unwrap_or_else(|| handshake_problem(error, &life)))
        }
    }
}

fn handshake_problem(error: russh::Error, life: &Life) -> Problem {
    match error {
        russh::Error::Disconnect
        | russh::Error::HUP
        | russh::Error::IO(_)
        | russh::Error::SendError => Problem::Dropped {
            during: "key exchange",
            message: life.reason(),
        },
        source => Problem::Handshake { source },
    }
}

fn config(check: &HostKeyCheck, tuning: &Tuning) -> client::Config {
    let (key, host_key_certificates) = match check {
        HostKeyCheck::Policy(policy) => (policy.algorithms(), policy.certificate_algorithms()),
        HostKeyCheck::Look(algorithm, _) => (vec![algorithm.clone()], Vec::new()),
    };
    // russh counts the questions sent; the connection ends when one more falls due.
    let silence = tuning.keepalive * u32::try_from(tuning.keepalive_missed + 2).unwrap_or(u32::MAX);
    client::Config {
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            key: Cow::Owned(key),
            host_key_certificates: Cow::Owned(host_key_certificates),
            cipher: Cow::Borrowed(CIPHERS),
            // What is uploaded is compressed already.
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(tuning.keepalive),
        keepalive_max: tuning.keepalive_missed,
        // While russh waits for a full socket it sends no keepalives; this ends a connection that is stuck so.
        inactivity_timeout: Some(silence),
        nodelay: true,
        ..client::Config::default()
    }
}

/// curve25519 first: it saves 80 ms a login against the post-quantum ones.
const KEX: &[kex::Name] = &[
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::MLKEM768X25519_SHA256,
    kex::DH_GEX_SHA256,
    kex::DH_G18_SHA512,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// aes128-gcm first: half the CPU of chacha20.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

fn words(error: &russh::Error) -> String {
    match error {
        russh::Error::Disconnect | russh::Error::HUP => "server closed the connection".to_owned(),
        russh::Error::KeepaliveTimeout | russh::Error::InactivityTimeout => {
            "server no longer answers".to_owned()
        }
        russh::Error::IO(error) => error.to_string().to_lowercase(),
        other => other.to_string(),
    }
}

/// What a server says goes to a terminal: control characters are shown, not obeyed, and length is bounded.
pub(crate) fn printable(text: &str) -> String {
    let text: String = text.trim().chars().take(300).collect();
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}
