//! Side by side, from the loop's side: which of the two ports each instance has, and what hosts are asked to do.

use std::collections::BTreeMap;

use super::execute::Order;
use super::run::Driver;
use crate::core::event::{ActionKind, Runs};
use crate::core::health::Health;
use crate::core::ids::{Digest, HostName, RevisionRef};
use crate::core::rollout::{Instance, Stage};
use crate::ports::{Controller, HostError, HostFacts, Hosts, Member, Side, Stop, Switch};

/// The ports of instances, as hosts tell them and as they are given out.
#[derive(Debug, Clone, Default)]
pub(super) struct PortsOf {
    pair: Option<[u16; 2]>,
    known: BTreeMap<HostName, BTreeMap<Digest, u16>>,
}

impl PortsOf {
    /// `pair`: old and new take turns; nothing for a service whose units are replaced.
    pub(super) fn new(pair: Option<[u16; 2]>) -> Self {
        Self {
            pair,
            known: BTreeMap::new(),
        }
    }

    /// Takes in what a look has shown.
    pub(super) fn learn(&mut self, host: &HostName, facts: &HostFacts) {
        let own = facts
            .runs
            .revision()
            .map(|one| one.digest.clone())
            .zip(facts.port);
        let beside = facts
            .beside
            .as_ref()
            .map(|one| (one.revision.digest.clone(), one.port));
        let known = self.known.entry(host.clone()).or_default();
        known.extend(own.into_iter().chain(beside));
    }

    /// The port of what runs there; the first one where nobody knows.
    pub(super) fn of(&self, host: &HostName, runs: Option<&Runs>) -> Option<u16> {
        let [first, _] = self.pair?;
        let digest = &runs?.revision()?.digest;
        let known = self.known.get(host).and_then(|ports| ports.get(digest));
        Some(known.copied().unwrap_or(first))
    }

    /// Gives a port to what is to be started: one that neither of these has.
    fn give(&mut self, host: &HostName, to: &Runs, taken: [Option<&Runs>; 2]) -> Option<u16> {
        let pair = self.pair?;
        let taken: Vec<_> = taken
            .into_iter()
            .filter_map(|runs| self.of(host, runs))
            .collect();
        let free = pair.iter().find(|port| !taken.contains(port));
        // Two run already, and one of them is stopped for this one: it gets that one's.
        let port = free.or(taken.first()).copied().unwrap_or(pair[0]);
        let known = self.known.entry(host.clone()).or_default();
        known.insert(to.revision()?.digest.clone(), port);
        Some(port)
    }
}

/// What an action has to know of the two instances on a host.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// What the rollout is about there, before the action.
    pub(super) main: Runs,
    /// The other one.
    pub(super) other: Option<RevisionRef>,
    /// What is to be started.
    pub(super) to: Runs,
    /// Its port.
    port: u16,
    /// The port that the main one does not have: that of the other one, or a free one.
    beside: u16,
    /// Whether the other one has its traffic, as far as is known, and whether it works: an entry that both share may lead
    /// to the main one.
    other_serves: Option<bool>,
    /// Whether the host goes back.
    goes_back: bool,
    /// Whether what it goes back to still runs.
    is_beside: bool,
}

impl Driver {
    /// What an action is to know of the instances on its host; nothing where units are replaced. `before`: the instance as
    /// it was when the action was decided.
    pub(super) fn pair(&mut self, kind: ActionKind, before: &Instance) -> Option<Pair> {
        if !self.state.spec.side_by_side {
            return None;
        }
        let [first, second] = self.ports_of.pair?;
        let host = &before.host;
        let after = self.state.instance(host)?;
        let goes_back =
            kind == ActionKind::Revert || matches!(after.stage, Stage::Reverting { .. });
        let to = match goes_back {
            true => before.before.clone().unwrap_or(Runs::Nothing),
            false => Runs::Revision {
                revision: self.state.spec.target.clone(),
            },
        };
        let sibling = before.sibling.as_ref().and_then(|one| one.runs.as_ref());
        let is_same = |one: &Runs| to.revision().is_some_and(|to| one.is(to));
        let is_beside = kind == ActionKind::Revert && sibling.is_some_and(is_same);
        let starts = matches!(
            kind,
            ActionKind::Start | ActionKind::Activate | ActionKind::Revert
        );
        // One that is started anew keeps its port.
        let restarts = before.runs.as_ref().is_some_and(is_same);
        let port = match starts && !is_beside && !restarts {
            true => self
                .ports_of
                .give(host, &to, [before.runs.as_ref(), sibling]),
            false => self.ports_of.of(host, Some(&to)),
        };
        let serves = before.sibling.as_ref().filter(|one| one.is_attached());
        Some(Pair {
            main: before.runs.clone().unwrap_or(Runs::Nothing),
            other: sibling.and_then(Runs::revision).cloned(),
            to,
            port: port.unwrap_or(first),
            beside: match self.ports_of.of(host, before.runs.as_ref()) {
                Some(main) if main == first => second,
                _ => first,
            },
            other_serves: serves.map(|one| one.health.is_some_and(Health::is_ready)),
            goes_back,
            is_beside,
        })
    }
}

impl Pair {
    /// The port of what is to be started.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Where the other one serves, or nobody since the main one has taken its place.
    pub(super) fn left_beside(&self, host: &HostName) -> Member {
        Member::at(host, Some(self.beside))
    }

    /// The other one, where it has its traffic, and whether it works.
    pub(super) fn serving_other(&self, host: &HostName) -> Option<(Member, bool)> {
        let works = self.other.as_ref().and(self.other_serves)?;
        Some((self.left_beside(host), works))
    }

    /// Whether nothing runs on that port, the main one's, once the host was put back.
    pub(super) fn leaves(&self, port: Option<u16>) -> bool {
        self.to == Runs::Nothing || port != Some(self.port)
    }

    fn side(&self, keeps: bool) -> Side {
        let port = self.port;
        Side { port, keeps }
    }

    /// The switch that starts something; `keeps`: what runs goes on running.
    pub(super) fn switch(&self, hash: &str, keeps: bool) -> Switch {
        Switch {
            from: self.main.clone(),
            to: self.to.clone(),
            event_hash: hash.to_owned(),
            guarded: !self.goes_back,
            side: Some(self.side(keeps)),
        }
    }

    /// The switch that is confirmed: what runs beside was what ran before.
    pub(super) fn confirmed(&self, order: &Order) -> Switch {
        let beside = self
            .other
            .clone()
            .map(|revision| Runs::Revision { revision });
        Switch {
            from: beside.unwrap_or_else(|| order.before.clone()),
            to: self.main.clone(),
            event_hash: order.event_hash.clone(),
            guarded: true,
            side: Some(self.side(self.other.is_some())),
        }
    }

    /// Puts back what ran before: where that still runs, what is new is only stopped.
    pub(super) async fn put_back(
        &self,
        hosts: &dyn Hosts,
        controller: &Controller,
        order: &Order,
    ) -> Result<Option<crate::core::event::Started>, HostError> {
        let host = &order.host;
        hosts.claim(host, controller).await?;
        let stays = self.to.revision().filter(|_| self.is_beside).cloned();
        match (self.main.revision(), self.to.revision()) {
            (Some(new), back) if self.is_beside || back.is_none() => {
                let stop = Stop {
                    revision: new.clone(),
                    stays,
                    event_hash: order.event_hash.clone(),
                };
                hosts.stop(host, controller, &stop).await.map(|()| None)
            }
            _ => {
                let switch = self.switch(&order.event_hash, false);
                hosts.switch(host, controller, &switch).await.map(Some)
            }
        }
    }

    /// Stops the other one; the main one is what the host runs.
    pub(super) async fn stop_other(
        &self,
        hosts: &dyn Hosts,
        controller: &Controller,
        order: &Order,
    ) -> Result<(), HostError> {
        let Some(other) = &self.other else {
            return Ok(());
        };
        let stop = Stop {
            revision: other.clone(),
            stays: self.main.revision().cloned(),
            event_hash: order.event_hash.clone(),
        };
        hosts.stop(&order.host, controller, &stop).await
    }
}
