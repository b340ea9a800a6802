//! `[services.*.traffic]`: what sends a service its traffic. Contract, section 2.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ids::HostName;

/// What sends a service its traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficSettings {
    /// Who is told.
    pub driver: TrafficDriver,
    /// How long an instance may take to finish what it is at, before it is stopped all the same.
    pub drain_timeout: Duration,
}

/// Who is told to send traffic or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrafficDriver {
    /// HAProxy, by its runtime API.
    Haproxy {
        /// Its processes; each is told.
        endpoints: Vec<Endpoint>,
        /// The backend's name.
        backend: String,
        /// The server's name there, for every host of the service.
        servers: BTreeMap<HostName, String>,
    },
}

/// Where a runtime API listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// `tcp://192.0.2.5:9999`, from the controller.
    Tcp {
        /// Name or address, IPv6 without brackets.
        address: String,
        /// The port.
        port: u16,
    },
    /// `unix:/run/haproxy/admin.sock`, on the controller.
    Unix {
        /// An absolute path.
        path: String,
    },
    /// `ssh://lb-01/run/haproxy/admin.sock`, on a host of the inventory.
    Ssh {
        /// The host.
        host: HostName,
        /// An absolute path.
        path: String,
    },
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { address, port } if address.contains(':') => {
                write!(f, "tcp://[{address}]:{port}")
            }
            Self::Tcp { address, port } => write!(f, "tcp://{address}:{port}"),
            Self::Unix { path } => write!(f, "unix:{path}"),
            Self::Ssh { host, path } => write!(f, "ssh://{host}{path}"),
        }
    }
}
