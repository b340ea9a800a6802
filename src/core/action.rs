//! The kinds of actions, and how one may end.

use serde::{Deserialize, Serialize};

use super::event::Started;

/// The kinds of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Ship and verify; nothing goes down.
    Stage,
    /// Run the hook before the switch; nothing goes down.
    BeforeInstance,
    /// The same before one is started beside what runs, which goes on serving.
    BeforeStart,
    /// Take out of traffic, and wait for what is under way there.
    Drain,
    /// Switch to the target and restart.
    Activate,
    /// Start it beside what runs: the target, or on the way back what ran before.
    Start,
    /// Read back that the wanted revision runs.
    Confirm,
    /// Put into traffic, and read that back.
    Attach,
    /// Run the hook after the switch.
    AfterInstance,
    /// Put back what ran before and restart.
    Revert,
    /// Stop what runs on a spare host, and remove it there.
    Stop,
    /// Take the other instance on the host out of traffic, and wait for what is under way there.
    DrainSibling,
    /// Put the other instance on the host back into traffic.
    AttachSibling,
    /// Stop the other instance on the host, and remove it.
    StopSibling,
    /// Remove revisions that nobody needs.
    Prune,
}

impl std::fmt::Display for ActionKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Stage => "stage",
            Self::BeforeInstance => "before_instance",
            Self::BeforeStart => "before_start",
            Self::Drain => "drain",
            Self::Activate => "activate",
            Self::Start => "start",
            Self::Confirm => "confirm",
            Self::Attach => "attach",
            Self::AfterInstance => "after_instance",
            Self::Revert => "revert",
            Self::Stop => "stop",
            Self::DrainSibling => "drain_sibling",
            Self::AttachSibling => "attach_sibling",
            Self::StopSibling => "stop_sibling",
            Self::Prune => "prune",
        })
    }
}

/// How an action ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ActionOutcome {
    /// It was done, and read back.
    Done {
        /// The units as they were started, for activate and revert.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started: Option<Started>,
    },
    /// It was not begun: a fresh look at the host showed something else than it was decided on.
    Declined {
        /// What.
        reason: String,
    },
    /// The host refused and changed nothing: it is not touched again in this rollout.
    Refused {
        /// Why, with the way out.
        reason: String,
    },
    /// It failed.
    Failed {
        /// Why.
        reason: String,
    },
    /// Nobody knows: the connection died and did not come back in time.
    Lost {
        /// Why.
        reason: String,
    },
}
