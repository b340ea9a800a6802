//! Sockets on the inventory's hosts, reached over SSH: one connection per host, opened when first needed.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::over_ssh::SshShell;
use crate::core::fleet::Fleet;
use crate::core::ids::HostName;
use crate::ports::{HostError, HostErrorKind, SocketDialer, Stream};
use crate::ssh::Connector;

/// The hosts of a fleet, for whoever wants a socket there.
pub struct FleetSockets {
    hosts: BTreeMap<HostName, SshShell>,
}

impl FleetSockets {
    /// Nothing is connected yet.
    pub fn new(fleet: &Fleet, connector: &Arc<Connector>) -> Self {
        let shell = |host| SshShell::new(connector, host);
        Self {
            hosts: fleet
                .hosts
                .iter()
                .map(|host| (host.name.clone(), shell(host)))
                .collect(),
        }
    }
}

#[async_trait]
impl SocketDialer for FleetSockets {
    async fn dial_socket(&self, host: &HostName, path: &str) -> Result<Box<dyn Stream>, HostError> {
        let shell = self.hosts.get(host).ok_or_else(|| HostError {
            kind: HostErrorKind::Refused,
            message: format!("host `{host}` is not in the inventory"),
            hint: None,
        })?;
        shell.dial_socket(path).await
    }
}
