//! What one rollout is to reach, and within which bounds. It never changes while the rollout runs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::fleet::{Domain, OnFailure, Step};
use super::hooks::HookKind;
use super::ids::{HostName, RevisionRef, ServiceName};
use super::revision::Signer;
use super::time::millis;
use super::window::Windowed;

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
    /// Set when an earlier rollout took it out of traffic and has not put it back: the endpoints at which an operator
    /// had taken it out before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_out: Option<BTreeSet<String>>,
    /// Whether it carries the service only during a rollout; it is not in [`Budget::desired`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spare: bool,
}

impl HostSpec {
    /// An ordinary host in no domain, without a place in `order`, and not left out of traffic.
    pub fn new(name: HostName, selected: bool) -> Self {
        Self {
            name,
            selected,
            rank: 0,
            values: Vec::new(),
            taken_out: None,
            spare: false,
        }
    }

    /// A spare host that this rollout may use.
    pub fn spare(name: HostName) -> Self {
        Self {
            spare: true,
            ..Self::new(name, true)
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
    /// The service's ordinary hosts in service, in inventory order; after them its spare hosts.
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
    /// Whether a new instance may be started beside the old one: one unit for each revision, and two ports.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub side_by_side: bool,
    /// Whether instances are taken out of traffic and put back by us.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub balanced: bool,
    /// The hooks that the service had when the rollout began.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hooks: BTreeSet<HookKind>,
    /// Who signed the target; empty where no signature was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<Signer>,
    /// Whether nobody watched it begin: a timer did (`--unattended`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unattended: bool,
    /// What it had to do with the service's window when it began; nothing: there is none, or it does not hold for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Windowed>,
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

#[cfg(test)]
mod tests {
    use super::super::budget::Quantity::{self, Count, Percent};
    use super::*;

    fn step(to: Quantity, bake: u64, approve: bool) -> Step {
        Step {
            to,
            bake: Duration::from_secs(bake),
            approve,
        }
    }

    #[test]
    fn gates_by_what_is_desired_and_selected() {
        let plain = |to| step(to, 0, false);
        // steps, desired, selected -> where the gates are
        for (steps, desired, selected, gates) in [
            (vec![], 10, 10, vec![]),
            (
                vec![plain(Count(1)), plain(Percent(25)), plain(Percent(100))],
                10,
                10,
                vec![1, 3, 10],
            ),
            // Rounded up, at least 1.
            (vec![plain(Percent(1))], 10, 10, vec![1]),
            (vec![plain(Percent(51))], 10, 10, vec![6]),
            (
                vec![plain(Percent(33)), plain(Percent(67))],
                3,
                3,
                vec![1, 3],
            ),
            // Shares are of what is desired, not of what is selected; no gate is beyond the selection.
            (
                vec![plain(Percent(25)), plain(Percent(50))],
                10,
                4,
                vec![3, 4],
            ),
            (vec![plain(Count(2)), plain(Count(7))], 10, 1, vec![1]),
            // What goes no further than the one before is no gate of its own.
            (vec![plain(Count(2)), plain(Percent(10))], 10, 10, vec![2]),
            (
                vec![plain(Count(1)), plain(Percent(25)), plain(Percent(50))],
                2,
                2,
                vec![1],
            ),
            // Nothing desired, nothing selected: never a gate at 0.
            (vec![plain(Percent(50))], 0, 0, vec![1]),
        ] {
            let found: Vec<_> = Gate::resolve(&steps, desired, selected)
                .into_iter()
                .map(|gate| gate.to)
                .collect();
            assert_eq!(found, gates, "{steps:?} of {desired}, {selected} selected");
        }
    }

    #[test]
    fn gates_that_fall_together_keep_the_longer_wait_and_the_approval() {
        let gate = |to, bake, approve| Gate {
            to,
            bake: Duration::from_secs(bake),
            approve,
        };
        for (first, second, together) in [
            ((300, false), (60, false), (300, false)),
            ((60, false), (300, false), (300, false)),
            ((60, true), (0, false), (60, true)),
            ((0, false), (60, true), (60, true)),
        ] {
            let steps = [
                step(Count(1), first.0, first.1),
                step(Percent(10), second.0, second.1),
                step(Count(2), 7, false),
            ];
            assert_eq!(
                Gate::resolve(&steps, 4, 4),
                [gate(1, together.0, together.1), gate(2, 7, false)],
                "{first:?} and {second:?}"
            );
        }
    }

    #[test]
    fn domains_by_the_hosts_of_each_value() {
        // values of the hosts, max_unavailable -> each host's place; each value with its hosts and its budget
        type Values = Vec<(&'static str, u32, Option<u32>)>;
        let cases: [(&str, Option<Quantity>, &[usize], Values); 8] = [
            ("", Some(Count(1)), &[], vec![]),
            (
                "a b a",
                None,
                &[0, 1, 0],
                vec![("a", 2, None), ("b", 1, None)],
            ),
            // In the order of the hosts, not of the alphabet.
            (
                "b a b",
                Some(Count(1)),
                &[0, 1, 0],
                vec![("b", 2, Some(1)), ("a", 1, Some(1))],
            ),
            // Of the value's own hosts, rounded down, at least 1.
            (
                "a a a a b b b c",
                Some(Percent(50)),
                &[0, 0, 0, 0, 1, 1, 1, 2],
                vec![("a", 4, Some(2)), ("b", 3, Some(1)), ("c", 1, Some(1))],
            ),
            (
                "a a a",
                Some(Percent(1)),
                &[0, 0, 0],
                vec![("a", 3, Some(1))],
            ),
            (
                "a a a",
                Some(Percent(0)),
                &[0, 0, 0],
                vec![("a", 3, Some(1))],
            ),
            ("a a", Some(Percent(100)), &[0, 0], vec![("a", 2, Some(2))]),
            // Never more than there are.
            (
                "a a b",
                Some(Count(5)),
                &[0, 0, 1],
                vec![("a", 2, Some(2)), ("b", 1, Some(1))],
            ),
        ];
        for (hosts, max_unavailable, places, values) in cases {
            let domain = Domain {
                label: "zone".to_owned(),
                at_once: Some(1),
                max_unavailable,
            };
            let (found, found_places) = DomainBudget::resolve(&domain, hosts.split_whitespace());
            let expected = DomainBudget {
                label: "zone".to_owned(),
                at_once: Some(1),
                values: values
                    .into_iter()
                    .map(|(value, desired, max_unavailable)| ValueBudget {
                        value: value.to_owned(),
                        desired,
                        max_unavailable,
                    })
                    .collect(),
            };
            assert_eq!(found, expected, "{hosts} with {max_unavailable:?}");
            assert_eq!(found_places, places, "{hosts}");
        }
    }
}
