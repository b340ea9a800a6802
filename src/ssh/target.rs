//! Who to log in to: as the inventory says it, and completed from `ssh_config`.

use std::path::PathBuf;
use std::time::Duration;

/// Where and how to log in to one host; made from the inventory's `[ssh]` keys. What is `None` is filled in from `ssh_config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The inventory's name of the host, for messages.
    pub host: String,
    /// What the inventory says to dial: a name (looked up in `ssh_config`) or an address.
    pub address: String,
    /// Wins over `Port`.
    pub port: Option<u16>,
    /// Wins over `User`.
    pub user: Option<String>,
    /// A private key, tried before all others; also on jump hosts.
    pub identity: Option<PathBuf>,
    /// The only `known_hosts` file to read, for this host and its jump hosts.
    pub known_hosts: Option<PathBuf>,
    /// Wins over `ProxyJump` and `ProxyCommand`: `[user@]host[:port][,...]`, or `none`.
    pub jump: Option<String>,
    /// Bounds TCP, key exchange and authentication together.
    pub connect_timeout: Duration,
}

impl Target {
    /// A target with nothing but an address; 10 s to connect.
    pub fn new(host: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            address: address.into(),
            port: None,
            user: None,
            identity: None,
            known_hosts: None,
            jump: None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// A target with every blank filled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resolved {
    /// The inventory's name of the host, for messages.
    pub host: String,
    /// The name or address to dial (`HostName`).
    pub address: String,
    /// The port to dial.
    pub port: u16,
    /// The login name.
    pub user: String,
    /// The inventory's own key; it must exist.
    pub identity: Option<PathBuf>,
    /// `IdentityFile`s in order; those that do not exist are passed over.
    pub identity_files: Vec<PathBuf>,
    /// `CertificateFile`s.
    pub certificate_files: Vec<PathBuf>,
    /// Offer only agent keys that a file above names.
    pub identities_only: bool,
    /// The agent's socket; `None` when there is none or `IdentityAgent none`.
    pub agent: Option<PathBuf>,
    /// The name to look up in `known_hosts`: `HostKeyAlias`, else the address.
    pub known_as: String,
    /// Whether `known_as` is an alias, which is looked up without the port.
    pub is_alias: bool,
    /// The `known_hosts` files, the user's before the system's.
    pub known_hosts: Vec<PathBuf>,
    /// The way to get there.
    pub route: Route,
    /// Bounds TCP, key exchange and authentication together.
    pub connect_timeout: Duration,
}

impl Resolved {
    /// `address:port`, with brackets around an IPv6 address.
    pub fn endpoint(&self) -> String {
        if self.address.contains(':') {
            format!("[{}]:{}", self.address, self.port)
        } else {
            format!("{}:{}", self.address, self.port)
        }
    }
}

/// The way to a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Route {
    /// TCP from here.
    Direct,
    /// Through a session of this jump host (which may have a route of its own).
    Jump(Box<Resolved>),
    /// Over the standard input and output of this shell command.
    Command(String),
}
