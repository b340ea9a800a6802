//! What one rollout is to reach, and within which bounds. It never changes while the rollout runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::fleet::{Domain, OnFailure, Step};
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
    /// Its place by `order`: lower goes first.
    #[serde(default)]
    pub rank: u32,
    /// For each of [`Spec::domains`], the place of its value in [`DomainBudget::values`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<usize>,
}

impl HostSpec {
    /// A host in no domain and without a place in `order`.
    pub fn new(name: HostName, selected: bool) -> Self {
        Self {
            name,
            selected,
            rank: 0,
            values: Vec::new(),
        }
    }
}

/// A gate, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// How many selected hosts may be on the target before it opens.
    pub to: u32,
    /// How long it stays shut after so many are available.
    #[serde(with = "millis")]
    pub bake: Duration,
    /// Whether somebody has to approve before it opens.
    pub approve: bool,
}

/// A failure domain, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainBudget {
    /// The label.
    pub label: String,
    /// At most so many of its values are in work at once; nothing: any number.
    pub at_once: Option<u32>,
    /// Its values, in the order in which hosts name them.
    pub values: Vec<ValueBudget>,
}

/// One value of a failure domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueBudget {
    /// The label's value.
    pub value: String,
    /// The service's ordinary hosts that have it.
    pub desired: u32,
    /// How many of them may be unavailable; nothing: the service's budget alone counts.
    pub max_unavailable: Option<u32>,
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
    /// The gates, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Gate>,
    /// The failure domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainBudget>,
}

impl Gate {
    /// Resolves the steps of a strategy: shares are of `desired`, rounded up, at least 1 and at most `selected`. What
    /// would not go further than the gate before it is that gate again, with the longer bake.
    pub fn resolve(steps: &[Step], desired: u32, selected: u32) -> Vec<Self> {
        let mut gates: Vec<Self> = Vec::new();
        for step in steps {
            let to = step.to.rounded_up(desired).max(1).min(selected.max(1));
            match gates.last_mut().filter(|last| last.to >= to) {
                Some(last) => {
                    last.bake = last.bake.max(step.bake);
                    last.approve |= step.approve;
                }
                None => gates.push(Self {
                    to,
                    bake: step.bake,
                    approve: step.approve,
                }),
            }
        }
        gates
    }
}

impl DomainBudget {
    /// Resolves a domain over the values that the service's hosts have, in the order of the hosts; also the place of
    /// each host's value. A share is rounded down, at least 1, of the value's own hosts (contract, section 3, R4).
    pub fn resolve<'a>(
        domain: &Domain,
        hosts: impl IntoIterator<Item = &'a str>,
    ) -> (Self, Vec<usize>) {
        let mut values: Vec<ValueBudget> = Vec::new();
        let mut places = Vec::new();
        for value in hosts {
            let place = values
                .iter()
                .position(|known| known.value == value)
                .unwrap_or_else(|| {
                    values.push(ValueBudget {
                        value: value.to_owned(),
                        desired: 0,
                        max_unavailable: None,
                    });
                    values.len() - 1
                });
            if let Some(found) = values.get_mut(place) {
                found.desired += 1;
            }
            places.push(place);
        }
        for value in &mut values {
            value.max_unavailable = domain
                .max_unavailable
                .map(|share| share.rounded_down(value.desired).max(1).min(value.desired));
        }
        let budget = Self {
            label: domain.label.clone(),
            at_once: domain.at_once,
            values,
        };
        (budget, places)
    }
}
