//! The balancers: what they are told, and what they say.

use std::collections::BTreeSet;

use rand::Rng;

use rollctl::core::event::{ActionKind, ActionOutcome, SiblingSight};
use rollctl::core::rollout::Expects;
use rollctl::core::traffic_state::TrafficSight;

use crate::draw::runs_of;
use crate::order::{Coming, Order};
use crate::world::World;

const BALANCER: &str = "lb";

impl World {
    /// Where the balancers have a host's instance.
    pub(crate) fn traffic_of(&self, place: usize) -> Option<TrafficSight> {
        self.seen_by_balancer(self.hosts[place].in_traffic)
    }

    fn seen_by_balancer(&self, sends: bool) -> Option<TrafficSight> {
        let one = BTreeSet::from([BALANCER.to_owned()]);
        let (attached, detached) = match sends {
            true => (one, BTreeSet::new()),
            false => (BTreeSet::new(), one),
        };
        self.spec
            .balanced
            .then_some(TrafficSight { attached, detached })
    }

    /// What runs beside on a host that answers.
    pub(crate) fn sibling_of(&self, place: usize) -> Option<Box<SiblingSight>> {
        let host = &self.hosts[place];
        let other = host.other.filter(|_| host.answers_ssh(self.now))?;
        Some(Box::new(SiblingSight {
            runs: runs_of(other.runs),
            started: Some(host.start_numbered(other.starts)),
            unproven: host.armed.is_some_and(|armed| armed.beside),
            traffic: self.seen_by_balancer(other.in_traffic),
        }))
    }

    /// A balancer is told to take an instance out, or to put it in. It asks nobody's epoch: a controller makes sure of
    /// its lease just before.
    pub(crate) fn balance(&mut self, order: Order) {
        if order.epoch < self.ledger.epoch {
            let reason = "the lease is gone".to_owned();
            let outcome = ActionOutcome::Failed { reason };
            self.come(self.now + 1, Coming::Reply(order, outcome));
            return;
        }
        let takes = self.rng.random_range(100..4_000);
        let fails = !self.is_calm() && self.rng.random_bool(0.03);
        let now = self.now;
        let host = &mut self.hosts[order.host];
        let works_again = order.expects == Some(Expects::Broken) && host.serves(now);
        let outcome = match () {
            () if works_again && order.action == ActionKind::Drain => ActionOutcome::Declined {
                reason: "it works again".to_owned(),
            },
            () if fails => ActionOutcome::Failed {
                reason: "no answer from the balancer".to_owned(),
            },
            () => {
                let sends = matches!(order.action, ActionKind::Attach | ActionKind::AttachSibling);
                match host.other.as_mut().filter(|other| other.runs == order.of) {
                    Some(other) if host.runs != order.of => other.in_traffic = sends,
                    _ => host.in_traffic = sends,
                }
                ActionOutcome::Done { started: None }
            }
        };
        self.come(self.now + takes, Coming::Reply(order, outcome));
    }
}
