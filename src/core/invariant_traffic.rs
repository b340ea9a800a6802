//! What the checker notes of the traffic that we see to.

use std::collections::BTreeSet;

use super::is_done;
use crate::core::event::{ActionKind, ActionOutcome};
use crate::core::spec::HostSpec;
use crate::core::traffic_state::TrafficSight;

/// Of one host.
#[derive(Debug, Clone, Default)]
pub(super) struct Traffic {
    pub(super) flows: bool,
    /// By a rollout, and not put back.
    pub(super) cut: bool,
    /// Where it was out when nobody of us had taken it out.
    others: BTreeSet<String>,
    /// A balancer would send it traffic though nothing runs there.
    pub(super) open: bool,
    /// Its drain failed: it goes back all the same.
    pub(super) deaf: bool,
}

impl Traffic {
    pub(super) fn new(host: &HostSpec) -> Self {
        Self {
            cut: host.taken_out.is_some(),
            others: host.taken_out.clone().unwrap_or_default(),
            ..Self::default()
        }
    }

    pub(super) fn is_sure(&self) -> bool {
        self.flows && !self.cut
    }

    pub(super) fn look(&mut self, seen: Option<&TrafficSight>, present: bool) {
        let Some(seen) = seen else {
            self.flows = false;
            return;
        };
        self.open = !present && !seen.attached.is_empty();
        if !present {
            self.gone();
        } else if self.cut {
            self.flows = seen.detached.iter().all(|one| self.others.contains(one));
            self.cut = !self.flows;
        } else {
            self.flows = !seen.attached.is_empty();
            self.others.clone_from(&seen.detached);
        }
    }

    /// Of an instance that is started beside this one.
    pub(super) fn of_new(&self) -> Self {
        Self {
            flows: false,
            cut: self.flows || self.cut,
            others: self.others.clone(),
            deaf: false,
            open: false,
        }
    }

    /// Takes a look at both instances of a host; what it makes of the other.
    pub(super) fn look_at_both(&mut self, own: &TrafficSight, other: &TrafficSight) -> Self {
        if !self.cut {
            self.others = own
                .detached
                .intersection(&other.detached)
                .cloned()
                .collect();
        }
        let others = self.others.clone();
        let noted = |seen: &TrafficSight| {
            let cut = seen.detached.iter().any(|one| !others.contains(one));
            Self {
                flows: !cut && !seen.attached.is_empty(),
                cut,
                others: others.clone(),
                deaf: false,
                open: false,
            }
        };
        *self = noted(own);
        noted(other)
    }

    fn gone(&mut self) {
        (self.flows, self.cut) = (false, true);
        self.others.clear();
    }

    pub(super) fn end(&mut self, action: ActionKind, outcome: &ActionOutcome) {
        self.open &= action != ActionKind::Drain;
        match (action, outcome) {
            (ActionKind::Attach, ActionOutcome::Done { .. })
            | (ActionKind::Drain, ActionOutcome::Declined { .. }) => {
                (self.flows, self.cut) = (true, false);
            }
            (ActionKind::Stop, ActionOutcome::Done { .. }) => self.gone(),
            (ActionKind::Drain, outcome) => self.deaf = !is_done(outcome),
            _ => {}
        }
    }
}
