//! What one rollout is to reach, and within which bounds. It never changes while the rollout runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::fleet::OnFailure;
use super::ids::{HostName, RevisionRef, ServiceName};
use super::time::millis;

/// Why a rollout runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutKind {
    /// Brings a new revision, or an old one to hosts that lack it.
    Release,
    /// Returns to an earlier revision.
    Rollback,
    /// Starts the same revision anew.
    Restart,
}

impl std::fmt::Display for RolloutKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Release => "release",
            Self::Rollback => "rollback",
            Self::Restart => "restart",
        })
    }
}

/// One host of the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSpec {
    /// Its name.
    pub name: HostName,
    /// Whether this rollout may touch it (`--hosts`); it counts in the budgets either way.
    pub selected: bool,
}

/// One rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// What is rolled.
    pub service: ServiceName,
    /// Why.
    pub kind: RolloutKind,
    /// What the selected hosts are to run.
    pub target: RevisionRef,
    /// The service's revision before, for words only.
    pub from: Option<RevisionRef>,
    /// Resolved budgets.
    pub budget: Budget,
    /// The service's ordinary hosts in service, in inventory order.
    pub hosts: Vec<HostSpec>,
    /// Ready without a break for that long is available.
    #[serde(with = "millis")]
    pub min_ready: Duration,
    /// From start to available, else the instance has failed.
    #[serde(with = "millis")]
    pub deadline: Duration,
    /// The longest time without any phase ending well.
    #[serde(with = "millis")]
    pub progress_deadline: Duration,
    /// Instances failed by us before `on_failure` applies.
    pub max_failures: u32,
    /// What happens over `max_failures`.
    pub on_failure: OnFailure,
    /// How many hosts may be shipped to at once, at least 1.
    pub max_uploads: u32,
}
