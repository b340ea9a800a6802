//! What can go wrong between here and a host, in words a person can act on.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Something failed on the way to one host, or on it.
#[derive(Debug)]
pub struct SshError {
    /// The inventory's name of the host (or the jump host as it was written).
    pub host: String,
    /// `address:port` as dialled; what the inventory says while that is not known yet.
    pub address: String,
    /// What happened.
    pub problem: Box<Problem>,
}

/// The kinds of failure. [`SshError::is_refusal`] says which of them no retry will cure.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The way to the host cannot be worked out: bad `ssh_config`, bad jump list, bad name.
    #[error("ssh configuration: {reason}")]
    Resolve {
        /// What is wrong with it.
        reason: String,
    },
    /// No connection could be made.
    #[error("cannot reach host: {failure}")]
    Connect {
        /// How it failed.
        failure: ConnectFailure,
        /// What the system said.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The server hung up before the login was decided; sshd does so at random when too many logins are under way.
    #[error("server closed the connection during {during}{}", said(.message))]
    Dropped {
        /// What was under way.
        during: &'static str,
        /// What the server said when it left, if anything.
        message: Option<String>,
    },
    /// Both sides have no common algorithm, or the peer does not speak SSH.
    #[error("handshake failed")]
    Handshake {
        /// What the protocol said.
        #[source]
        source: russh::Error,
    },
    /// No `known_hosts` file knows the key.
    #[error("host key is unknown: {algorithm} {fingerprint}")]
    HostKeyUnknown {
        /// `ssh-ed25519`, ...
        algorithm: String,
        /// `SHA256:...`
        fingerprint: String,
        /// Algorithms under which this host is known; empty when it is not known at all.
        known_as: Vec<String>,
    },
    /// The host is known with another key of the same kind.
    #[error("host key has changed: got {algorithm} {fingerprint}, expected {} ({}:{line})", .expected.join(" or "), .file.display())]
    HostKeyChanged {
        /// `ssh-ed25519`, ...
        algorithm: String,
        /// The fingerprint that was presented.
        fingerprint: String,
        /// The fingerprints on file.
        expected: Vec<String>,
        /// Where the first of them stands.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// The key, or the authority that signed it, is marked `@revoked`.
    #[error("host key is revoked: {algorithm} {fingerprint} ({}:{line})", .file.display())]
    HostKeyRevoked {
        /// `ssh-ed25519`, ...
        algorithm: String,
        /// `SHA256:...`
        fingerprint: String,
        /// Where it is revoked.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A trusted authority signed the host certificate, but it does not hold for this host or now.
    #[error("host certificate is refused: {reason}")]
    HostCertificateRefused {
        /// Expired, other principals, not a host certificate, ...
        reason: String,
    },
    /// The server accepted none of the keys.
    #[error("login as `{user}` refused; server offers {}; tried {}", list(.methods, "no method"), list(.tried, "no key"))]
    AuthRefused {
        /// The login name.
        user: String,
        /// The methods that the server would still accept.
        methods: Vec<String>,
        /// Every key, in the order tried, with what became of it.
        tried: Vec<TriedKey>,
    },
    /// A key or certificate file that was asked for by name cannot be used.
    #[error("key `{}` cannot be read", .path.display())]
    KeyUnreadable {
        /// The file.
        path: PathBuf,
        /// Why; never its content.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The jump host on the way failed.
    #[error("no way through the jump host")]
    Jump {
        /// What failed there.
        #[source]
        source: Box<SshError>,
    },
    /// An established connection is gone.
    #[error("connection lost{}", said(.reason))]
    ConnectionLost {
        /// Why, where that is known.
        reason: Option<String>,
    },
    /// Nothing moved for too long.
    #[error("timed out after {after:?}: {doing}")]
    Timeout {
        /// What was under way.
        doing: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The server refused, or broke off, one channel of a sound connection.
    #[error("{doing}: {reason}")]
    Channel {
        /// What was under way.
        doing: &'static str,
        /// Why it failed.
        reason: String,
    },
    /// What was to be uploaded could not be read here.
    #[error("upload source cannot be read")]
    Source {
        /// What the reader said.
        #[source]
        source: std::io::Error,
    },
    /// A local file of the set-up (`known_hosts`) could not be read or written.
    #[error("file `{}` cannot be used", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Why no connection came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectFailure {
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// No route to the host or network.
    Unreachable,
    /// The name has no address.
    Dns,
    /// The proxy command could not be started or ended early.
    Proxy,
    /// Anything else; the source says it.
    Other,
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::TimedOut => "connection timed out",
            Self::Unreachable => "no route to host",
            Self::Dns => "name has no address",
            Self::Proxy => "proxy command failed",
            Self::Other => "connection failed",
        })
    }
}

/// One key that was offered, or would have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedKey {
    /// The path of the key, or `agent: COMMENT`.
    pub origin: String,
    /// `SHA256:...`, where the public half is known.
    pub fingerprint: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server does not take it for this user.
    Refused,
    /// The server took it and wants another factor.
    Partial,
    /// Encrypted, and no agent holds it.
    Encrypted,
    /// It was not offered; the reason.
    Skipped(String),
}

impl fmt::Display for TriedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let Some(fingerprint) = &self.fingerprint {
            write!(f, " {fingerprint}")?;
        }
        match &self.outcome {
            Outcome::Refused => f.write_str(" (refused)"),
            Outcome::Partial => f.write_str(" (accepted, another factor is wanted)"),
            Outcome::Encrypted => f.write_str(" (skipped: encrypted and not in an agent)"),
            Outcome::Skipped(why) => write!(f, " (skipped: {why})"),
        }
    }
}

impl fmt::Display for SshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}): {}", self.host, self.address, self.problem)
    }
}

impl std::error::Error for SshError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.problem.source()
    }
}

impl SshError {
    pub(crate) fn new(
        host: impl Into<String>,
        address: impl Into<String>,
        problem: Problem,
    ) -> Self {
        Self {
            host: host.into(),
            address: address.into(),
            problem: Box::new(problem),
        }
    }

    /// Whether trying again is pointless until a person changes something (keys, configuration, trust).
    pub fn is_refusal(&self) -> bool {
        match &*self.problem {
            Problem::Resolve { .. }
            | Problem::HostKeyUnknown { .. }
            | Problem::HostKeyChanged { .. }
            | Problem::HostKeyRevoked { .. }
            | Problem::HostCertificateRefused { .. }
            | Problem::AuthRefused { .. }
            | Problem::KeyUnreadable { .. }
            | Problem::File { .. } => true,
            Problem::Jump { source } => source.is_refusal(),
            Problem::Connect { .. }
            | Problem::Dropped { .. }
            | Problem::Handshake { .. }
            | Problem::ConnectionLost { .. }
            | Problem::Timeout { .. }
            | Problem::Channel { .. }
            | Problem::Source { .. } => false,
        }
    }

    /// Whether the connection is gone, so that what was under way has an unknown outcome.
    pub fn is_connection_lost(&self) -> bool {
        matches!(&*self.problem, Problem::ConnectionLost { .. })
    }

    /// What the reader can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        let host = &self.host;
        Some(match &*self.problem {
            Problem::HostKeyUnknown { known_as, .. } if known_as.is_empty() => {
                format!("compare the fingerprint, then `rollctl trust {host}`")
            }
            Problem::HostKeyUnknown { known_as, .. } => format!(
                "the host is known by its {} key only; compare the fingerprint on the host itself, then `rollctl trust {host}`",
                known_as.join(", ")
            ),
            Problem::HostKeyChanged { file, line, .. } => format!(
                "if the host was really reinstalled, remove line {line} of `{}`, then `rollctl trust {host}`; if not, somebody may be in between",
                file.display()
            ),
            Problem::HostKeyRevoked { .. } => {
                "the key was revoked on purpose: give the host a new one".to_owned()
            }
            Problem::AuthRefused { tried, user, .. }
                if tried.iter().any(|key| key.outcome == Outcome::Encrypted) =>
            {
                let key = tried.iter().find(|key| key.outcome == Outcome::Encrypted);
                let path = key.map_or("KEY", |key| key.origin.as_str());
                format!("`ssh-add {path}` unlocks the encrypted key for `{user}`")
            }
            Problem::AuthRefused { user, .. } => {
                format!(
                    "`ssh -v -l {user} {host}` shows the same login in detail; set `user` and `identity` under [ssh]"
                )
            }
            Problem::KeyUnreadable { path, .. } => {
                format!(
                    "check that `{}` exists, is a private key and can be read by you",
                    path.display()
                )
            }
            Problem::Jump { source } => return source.hint(),
            _ => return None,
        })
    }
}

fn said(text: &Option<String>) -> String {
    text.as_ref()
        .map_or_else(String::new, |text| format!(": {text}"))
}

fn list<T: fmt::Display>(items: &[T], none: &str) -> String {
    if items.is_empty() {
        return none.to_owned();
    }
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    items.join(", ")
}
