//! The port to the balancers in front of one service.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{HostError, HostErrorKind};
use crate::core::ids::HostName;
use crate::core::traffic_state::TrafficSight;

/// One instance as balancers know it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its host.
    pub host: HostName,
    /// Which of the two, side by side; nothing: the service's own port.
    pub port: Option<u16>,
}

impl Member {
    /// The only one on its host, on the service's own port.
    pub fn on(host: &HostName) -> Self {
        Self {
            host: host.clone(),
            port: None,
        }
    }

    /// The one on that port; nothing: the service's own.
    pub fn at(host: &HostName, port: Option<u16>) -> Self {
        Self {
            host: host.clone(),
            port,
        }
    }
}

/// An instance that takes no new requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drained {
    /// 0, or what was still under way at `drain_timeout`, in what the balancer can count: sessions, connections, or (nginx)
    /// worker processes.
    pub sessions_left: u64,
    /// Where it would stay out if no controller came back, and why; each endpoint is told of once.
    pub unguarded: Vec<String>,
}

/// What went wrong with the balancers, and how things stand now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TrafficError {
    /// Lower-case fragment that names the endpoint; the causes are already in it.
    pub message: String,
    /// What a person can do.
    pub hint: Option<String>,
    /// Whether the same may well succeed later: a balancer that cannot be reached, one that is not done yet.
    pub is_passing: bool,
}

impl TrafficError {
    /// What no repetition cures.
    pub fn lasting(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: Some(hint.into()),
            is_passing: false,
        }
    }

    /// What may be better in a while.
    pub fn passing(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            is_passing: true,
        }
    }

    /// An error on a host on the way, after the name of what was to be reached.
    pub fn of_host(endpoint: &str, error: HostError) -> Self {
        Self {
            message: format!("{endpoint}: {}", error.message),
            hint: error.hint,
            is_passing: matches!(error.kind, HostErrorKind::Unreachable | HostErrorKind::Lost),
        }
    }

    /// Message and hint in one line, for an event.
    pub fn in_words(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; hint: {hint}", self.message),
            None => self.message.clone(),
        }
    }
}

/// Moves the instances of one service in and out of traffic. Every method may be asked again after whatever became of
/// the one before.
#[async_trait]
pub trait Traffic: Send + Sync {
    /// Where the instance is; changes nothing.
    async fn observe(&self, member: &Member) -> Result<TrafficSight, TrafficError>;

    /// Takes the instance out everywhere, waits until nothing is under way or `drain_timeout` is over, and reads back.
    /// After an error it may be out at some endpoints; the message says at which it is not. Before, a dead-man's switch is
    /// armed wherever one can be, by which it gets its traffic again if nobody attaches it in time.
    async fn drain(&self, member: &Member) -> Result<Drained, TrafficError>;

    /// Closes the entry of a port on which an instance is about to be started, and reads that back. No dead-man's switch is
    /// armed, and one that is left of whoever served there before is disarmed: if nobody comes back, nothing runs there, or
    /// what nobody has confirmed.
    async fn close(&self, member: &Member) -> Result<(), TrafficError> {
        self.drain(member).await.map(drop)
    }

    /// The instance came further, or another controller goes on with what one has begun: switches that are armed get their
    /// whole time again.
    async fn prolong(&self, _member: &Member) -> Result<(), TrafficError> {
        Ok(())
    }

    /// What has to be undone as soon as another process serves there: a mark by which the one before said no. Nothing,
    /// for balancers that are told.
    async fn started(&self, _member: &Member) -> Result<(), TrafficError> {
        Ok(())
    }

    /// Puts the instance in everywhere else than at `except`, and reads back. `works`: it is known to, so that the balancer
    /// has to find that too; else it is put back as it was, and the balancer's own checks decide.
    async fn attach(
        &self,
        member: &Member,
        except: &BTreeSet<String>,
        works: bool,
    ) -> Result<(), TrafficError>;

    /// It stays out of traffic for good, by somebody's decision: disarms what is armed.
    async fn stays_out(&self, _member: &Member) -> Result<(), TrafficError> {
        Ok(())
    }

    /// Where no dead-man's switch could be armed that should be, and why; each endpoint is told of once. Changes nothing.
    async fn unguarded(&self, _member: &Member) -> Result<Vec<String>, TrafficError> {
        Ok(Vec::new())
    }
}
