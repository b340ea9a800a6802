//! The port to what sends instances their traffic.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::core::ids::HostName;
use crate::core::traffic_state::TrafficSight;

use super::hosts::{HostError, Stream};

/// One instance as its balancers know it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its host.
    pub host: HostName,
    /// Which of the two ports, side by side; nothing: the service's.
    pub port: Option<u16>,
}

/// How an instance left its traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// 0, or the sessions that were still open when `drain_timeout` was over.
    pub sessions_left: u64,
}

/// What went wrong with a balancer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TrafficError {
    /// Lower-case fragment that names the balancer; the causes are already in it.
    pub message: String,
    /// What a person can do.
    pub hint: Option<String>,
}

impl TrafficError {
    /// Message and hint in one line, for an event.
    pub fn in_words(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; hint: {hint}", self.message),
            None => self.message.clone(),
        }
    }
}

/// Reaches sockets on the inventory's hosts.
#[async_trait]
pub trait SocketDialer: Send + Sync {
    /// A stream to a Unix socket on a host, as its login user.
    async fn dial_socket(&self, host: &HostName, path: &str) -> Result<Box<dyn Stream>, HostError>;
}

/// The balancers of one service. A short failure is asked again inside.
#[async_trait]
pub trait Traffic: Send + Sync {
    /// Where they have the instance; changes nothing.
    async fn observe(&self, member: &Member) -> Result<TrafficSight, TrafficError>;

    /// Takes it out everywhere, waits until nothing is under way there or `drain_timeout` is over, and reads back that
    /// it is out. Done twice, the second only waits.
    async fn drain(&self, member: &Member) -> Result<Drained, TrafficError>;

    /// Puts it in everywhere but at these endpoints, and reads that back. Done twice, the second does nothing.
    async fn attach(&self, member: &Member, except: &BTreeSet<String>) -> Result<(), TrafficError>;
}
