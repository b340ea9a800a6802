//! What people are told who do not watch.

use crate::core::ids::{FleetName, RevisionName, RolloutId, ServiceName};
use crate::core::notify::Moment;
use crate::core::spec::RolloutKind;
use crate::core::time::Timestamp;

/// One message about a rollout, or about a service that is held. It holds nothing that a probe or a journal said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is about.
    pub moment: Moment,
    /// When it happened.
    pub at: Timestamp,
    /// Which fleet.
    pub fleet: FleetName,
    /// Which service.
    pub service: ServiceName,
    /// Which rollout; nothing: it is about the service itself.
    pub rollout: Option<Rolled>,
    /// What happened, in one sentence.
    pub summary: String,
    /// More lines: each host with its trouble, the state that the fleet is in.
    pub details: Vec<String>,
    /// What to do next.
    pub next: Option<String>,
}

/// The rollout that a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rolled {
    /// Its number.
    pub id: RolloutId,
    /// Why it runs.
    pub kind: RolloutKind,
    /// The service's revision before; nothing before the first.
    pub from: Option<RevisionName>,
    /// Its target.
    pub to: RevisionName,
}

impl Message {
    /// All of it, as a person reads it.
    pub fn text(&self) -> String {
        let mut text = format!("[{}] {}", self.fleet, self.summary);
        for line in &self.details {
            text.push('\n');
            text.push_str(line);
        }
        if let Some(next) = &self.next {
            text.push_str("\nnext: ");
            text.push_str(next);
        }
        text
    }
}
