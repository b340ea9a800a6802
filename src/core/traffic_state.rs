//! Where an instance stands with its balancers. Contract, section 3: what we took out of traffic we put back, and what an
//! operator took out stays out.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What the balancers said of an instance: the names of their endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrafficSight {
    /// Those that send it traffic.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub attached: BTreeSet<String>,
    /// Those that do not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub detached: BTreeSet<String>,
}

/// Where an instance stands with its balancers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrafficState {
    /// Whether traffic reaches it wherever it is meant to; nothing when nobody knows.
    pub attached: Option<bool>,
    /// Whether any endpoint may still send it traffic, as far as that can be helped.
    pub flows: bool,
    /// Whether a rollout took it out, or began to, and has not put it back.
    pub taken_out: bool,
    /// Endpoints at which an operator took it out: it is not put in there.
    pub kept_out: BTreeSet<String>,
}

impl TrafficState {
    /// Before the first look; `taken_out`: an earlier rollout left it out, with the endpoints that were an operator's.
    pub(super) fn new(taken_out: Option<&BTreeSet<String>>) -> Self {
        Self {
            attached: None,
            flows: false,
            taken_out: taken_out.is_some(),
            kept_out: taken_out.cloned().unwrap_or_default(),
        }
    }

    /// Whether traffic reaches it wherever it is meant to, as far as is known.
    pub fn is_attached(&self) -> bool {
        self.attached == Some(true) && !self.taken_out
    }

    /// Takes a look. `is_absent`: nothing runs there, so that nobody took anything out.
    pub(super) fn see(&mut self, sight: &TrafficSight, is_absent: bool) {
        if is_absent {
            self.gone();
        } else if self.taken_out {
            self.attached = Some(sight.detached.is_subset(&self.kept_out));
            self.taken_out = self.attached != Some(true);
        } else {
            self.attached = Some(!sight.attached.is_empty());
            self.kept_out.clone_from(&sight.detached);
        }
        self.flows = !sight.attached.is_empty();
    }

    /// Takes a look at both instances of a host, and answers what it makes of the other. What an operator keeps out is out
    /// for both; where only one is out, that is our doing.
    pub(super) fn see_both(&mut self, own: &TrafficSight, other: &TrafficSight) -> Self {
        let kept_out: BTreeSet<String> = match self.taken_out {
            true => self.kept_out.clone(),
            false => own
                .detached
                .intersection(&other.detached)
                .cloned()
                .collect(),
        };
        let seen = |sight: &TrafficSight| {
            let taken_out = !sight.detached.is_subset(&kept_out);
            Self {
                attached: Some(!taken_out && !sight.attached.is_empty()),
                flows: !sight.attached.is_empty(),
                taken_out,
                kept_out: kept_out.clone(),
            }
        };
        *self = seen(own);
        seen(other)
    }

    /// Of a new instance beside this one: out as yet, and to be put in where this one is meant to be.
    pub(super) fn beside(&self) -> Self {
        Self {
            attached: Some(false),
            flows: false,
            taken_out: !self.is_kept_out(),
            kept_out: self.kept_out.clone(),
        }
    }

    /// Nothing runs there: whoever keeps what is not there out of traffic does not mean what will be started there.
    pub(super) fn gone(&mut self) {
        self.kept_out.clear();
        (self.attached, self.taken_out) = (Some(false), true);
    }

    /// A new controller knows nothing for certain.
    pub(super) fn forget(&mut self) {
        (self.attached, self.flows) = (None, false);
    }

    /// It is to be taken out: from the decision on it is as good as out, until it was read back that it is in.
    pub(super) fn take_out(&mut self) {
        self.taken_out = true;
    }

    /// It was not taken out after all; what a rollout had left out before is still out.
    pub(super) fn not_taken_out(&mut self) {
        self.taken_out = self.attached != Some(true);
    }

    /// A drain came to its end, well or not: no more can be done.
    pub(super) fn drained(&mut self) {
        (self.attached, self.flows) = (Some(false), false);
    }

    /// It could not be put in everywhere: some endpoint may send it traffic now.
    pub(super) fn half_in(&mut self) {
        self.flows = true;
    }

    /// It was read back that it is in.
    pub(super) fn put_in(&mut self) {
        (self.attached, self.flows, self.taken_out) = (Some(true), true, false);
    }

    /// Whether an operator took it out, everywhere.
    pub fn is_kept_out(&self) -> bool {
        self.attached == Some(false) && !self.taken_out
    }
}
