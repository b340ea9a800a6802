//! The port to whoever watches.

use super::health::ProbeAnswer;
use super::hosts::JournalExcerpt;
use crate::core::decision::Decision;
use crate::core::event::RecordedEvent;
use crate::core::ids::HostName;
use crate::core::rollout::RolloutState;

/// What is shown and not stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Bytes on their way to a host.
    Upload {
        /// Which host.
        host: HostName,
        /// So far.
        sent: u64,
        /// In all.
        total: u64,
    },
    /// A poll of a host that is in work.
    Polled {
        /// Which host.
        host: HostName,
        /// What it said.
        answer: ProbeAnswer,
    },
    /// What is known of an instance that failed.
    Diagnosis {
        /// Which host.
        host: HostName,
        /// The last probe.
        last_probe: Option<ProbeAnswer>,
        /// The unit's last lines.
        journal: JournalExcerpt,
    },
    /// What somebody has to know although nothing went wrong.
    Warning {
        /// Which host.
        host: HostName,
        /// In words.
        text: String,
    },
}

/// Shows what happens. Must not block.
pub trait Reporter: Send + Sync {
    /// Events were recorded together, in that order; `state` has them all applied.
    fn events(&self, recorded: &[RecordedEvent], state: &RolloutState);

    /// A decision was taken; called when `waiting_on` changed.
    fn waiting(&self, state: &RolloutState, decision: &Decision);

    /// Something that is shown and not stored.
    fn progress(&self, progress: &Progress);
}
