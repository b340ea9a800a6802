//! What an inventory says about the balancers in front of a service: `[services.*.traffic]`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::ids::HostName;
use super::program::Program;

/// How instances are taken out of traffic and put back.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// What is asked to do it.
    pub driver: TrafficDriver,
    /// How long sessions under way are waited for; zero: not at all.
    pub drain_timeout: Duration,
}

/// What is asked to move an instance in and out. Texts may hold `{host}`, `{address}`, `{port}` and `{label.NAME}`.
#[derive(Debug, Clone, PartialEq)]
pub enum TrafficDriver {
    /// HAProxy's runtime API.
    Haproxy {
        /// Every balancer, in the order of the inventory; never empty.
        endpoints: Vec<HaproxyEndpoint>,
        /// The backend's name there.
        backend: String,
        /// The instance's name in the backend.
        server: String,
    },
    /// A file with nginx's `upstream`, on hosts of the inventory.
    Nginx {
        /// The file on every balancer; never empty.
        endpoints: Vec<RemoteFile>,
        /// The name of the `upstream` in a file that does not exist yet.
        upstream: String,
        /// What stands behind `server` in the file.
        server: String,
        /// The program and its first arguments; `-t` and `-s reload` come after them.
        nginx: Vec<String>,
    },
    /// Commands of the operator's own; `observe` ends with 0 (it is in) or 1 (it is out).
    Command(Box<Moves<Program>>),
    /// Requests to an admin endpoint; what `observe` answers as expected is in, otherwise out.
    Http(Box<Moves<TrafficRequest>>),
    /// The instance's own health answers 503, for balancers that poll.
    Health {
        /// What makes it do so.
        through: DrainMark,
        /// How often the balancer polls.
        poll: Duration,
        /// So many failed polls in a row, and the balancer sends nothing more.
        fall: u32,
        /// So many good polls in a row, and it sends again.
        rise: u32,
    },
}

/// Where a HAProxy listens for commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HaproxyEndpoint {
    /// `tcp://192.0.2.5:9999`
    Tcp {
        /// Name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// `unix:/run/haproxy/admin.sock`, on the controller.
    Unix(PathBuf),
    /// `ssh://lb-01/run/haproxy/admin.sock`: a Unix socket on a host of the inventory.
    Ssh(RemoteFile),
}

impl fmt::Display for HaproxyEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Ssh(file) => file.fmt(f),
        }
    }
}

/// A path on a host of the inventory: `ssh://lb-01/etc/nginx/conf.d/web.conf`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteFile {
    /// The host.
    pub host: HostName,
    /// A whole path.
    pub path: String,
}

impl fmt::Display for RemoteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ssh://{}{}", self.host, self.path)
    }
}

/// What an operator brings along to move an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moves<T> {
    /// Puts the instance in.
    pub attach: T,
    /// Takes it out.
    pub drain: T,
    /// Says where it is.
    pub observe: T,
}

/// A request that moves or looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficRequest {
    /// The URL.
    pub url: String,
    /// `GET`, `POST`, ...
    pub method: String,
    /// The status of an answer that says yes.
    pub expect_status: u16,
    /// A text that its body must hold.
    pub expect_body: Option<String>,
    /// What is sent.
    pub body: Option<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// What makes an instance's health answer 503.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrainMark {
    /// A file on the host that the service looks for.
    File(String),
    /// A URL of the service: `POST` begins, `DELETE` ends, `GET` answers 200 while it lasts and 404 otherwise.
    Url(String),
}
