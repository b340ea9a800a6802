//! Going on with a rollout whose controller paused or died: what the hosts say counts, not what was planned.

use super::apply::Surroundings;
use super::event::{Runs, SiblingSight, Sight, Started, Unproven};
use super::health::Health;
use super::instance::{Instance, Stage};
use super::spec::RolloutKind;
use super::time::Timestamp;
use super::traffic_state::TrafficSight;

/// What a look shows of the instance that the rollout is about, and of the one beside it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) sight: Sight,
    pub(super) traffic: Option<TrafficSight>,
    pub(super) sibling: Option<SiblingSight>,
}

impl Instance {
    /// Which of two instances on a host the rollout is about: the target, unless it is on its way back from it. Otherwise
    /// the one that the host runs after a reboot.
    pub(super) fn look_at(
        &self,
        sight: &Sight,
        traffic: Option<&TrafficSight>,
        sibling: Option<&SiblingSight>,
        around: &Surroundings<'_>,
    ) -> Seen {
        let goes_back = matches!(
            self.stage,
            Stage::Reverting { .. } | Stage::Recovering { .. } | Stage::Reverted { .. }
        );
        if let (
            Sight::Reachable {
                runs,
                started,
                unproven: cut_off,
            },
            Some(other),
        ) = (sight, sibling)
            && other.started.is_some()
            && around.is_target(&other.runs)
            && !around.is_target(runs)
            && !goes_back
        {
            let unproven = Some(Unproven {
                before: runs.clone(),
            });
            return Seen {
                sight: Sight::Reachable {
                    runs: other.runs.clone(),
                    started: other.started.clone(),
                    unproven,
                },
                traffic: other.traffic.clone(),
                sibling: Some(SiblingSight {
                    runs: runs.clone(),
                    started: started.clone(),
                    unproven: cut_off.is_some(),
                    traffic: traffic.cloned(),
                }),
            };
        }
        Seen {
            sight: sight.clone(),
            traffic: traffic.cloned(),
            sibling: sibling.cloned(),
        }
    }

    /// A new controller knows nothing for certain: the host has to be looked at anew.
    pub(super) fn forget_looks(&mut self, retry: bool) {
        self.reach = None;
        self.health = None;
        self.fresh_until = Timestamp::LONG_AGO;
        self.open = None;
        self.unproven = false;
        self.prepared = false;
        if let Some(traffic) = &mut self.traffic {
            traffic.forget();
        }
        if let Some(sibling) = &mut self.sibling {
            (sibling.health, sibling.fresh_until) = (None, Timestamp::LONG_AGO);
            (sibling.leaving, sibling.stuck) = (false, None);
        }
        self.stage = match &self.stage {
            Stage::Staging | Stage::Staged | Stage::Retired => Stage::Pending,
            Stage::Reverted { .. } if retry => Stage::Pending,
            stage => stage.clone(),
        };
    }

    /// A fresh look at an instance that this rollout has touched.
    ///
    /// | it was | seen on the target | seen as before | cannot be reached |
    /// |---|---|---|---|
    /// | activating, settling, confirming, lost | proves itself anew | nothing was done | lost |
    /// | before its switch: draining, or its hook runs | as at a first look | nothing was done | nothing was done |
    /// | draining on the way back | updated | reverted | lost |
    /// | updated | updated | nothing was done; when going back: reverted | updated, as far as is known |
    /// | failed, reverting, recovering | failed: is put back | has to recover | lost |
    /// | retiring | as at a first look | as at a first look | lost |
    /// | reverted | failed: is put back | reverted | reverted |
    /// | broken | broken | broken | broken |
    pub(super) fn look_again(&mut self, sight: &Sight, around: &Surroundings<'_>) {
        let Sight::Reachable {
            runs,
            started,
            unproven,
        } = sight
        else {
            self.lose_sight(sight);
            return;
        };
        let is_before = self
            .before
            .as_ref()
            .is_some_and(|before| is_same(before, runs));
        let is_target = around.is_target(runs);
        let restarted = around.kind == RolloutKind::Restart;
        let next = match &self.stage {
            // It was only taken out of traffic: nothing was switched.
            Stage::Preparing { .. } | Stage::Draining { started: None, .. } | Stage::Retiring => {
                return self.look_first(sight, around);
            }
            Stage::Draining {
                started: Some(_), ..
            } if is_target => Stage::Updated {
                started: started.clone(),
            },
            Stage::Draining { .. } if is_before => Stage::Reverted { failure: None },
            // A restart leaves no other trace than its dead-man's switch until it is confirmed.
            Stage::Activating { .. } | Stage::Lost { .. }
                if is_target && (!restarted || unproven.is_some()) =>
            {
                settling(around.at, started.as_ref())
            }
            Stage::Settling { .. } | Stage::Confirming { .. } if is_target => {
                settling(around.at, started.as_ref())
            }
            // On its way back and not there: what was never confirmed must not be taken for proved.
            Stage::Reverting { failure: None } | Stage::Recovering { failure: None, .. }
                if is_target && !is_before && unproven.is_some() =>
            {
                settling(around.at, started.as_ref())
            }
            Stage::Updated { .. } if is_target => Stage::Updated {
                started: started.clone(),
            },
            Stage::Updated { .. } if is_before && around.goes_back => {
                Stage::Reverted { failure: None }
            }
            Stage::Draining { .. }
            | Stage::Activating { .. }
            | Stage::Settling { .. }
            | Stage::Confirming { .. }
            | Stage::Lost { .. }
            | Stage::Updated { .. } => {
                // Put back by its dead-man's switch, or by somebody's hand: it is as if nothing had been done.
                self.before = Some(runs.clone());
                self.unproven = unproven.is_some();
                Stage::Pending
            }
            Stage::Failed { reason } => {
                self.back(is_before, is_target, Some(reason), around, started)
            }
            Stage::Reverting { failure } | Stage::Recovering { failure, .. } => {
                self.back(is_before, is_target, failure.as_ref(), around, started)
            }
            Stage::Reverted { failure } if is_target && !is_before => Stage::Failed {
                reason: failure
                    .clone()
                    .unwrap_or_else(|| "it runs the target again".to_owned()),
            },
            Stage::Reverted { .. } => {
                // What an earlier rollout never confirmed there is still to be put back by its dead-man's switch.
                self.unproven = unproven.is_some();
                self.stage.clone()
            }
            stage => stage.clone(),
        };
        if matches!(next, Stage::Settling { .. } | Stage::Recovering { .. }) {
            // It has to prove itself: what it was before says nothing.
            self.health = Some(Health::Unknown);
        }
        self.stage = next;
    }

    /// Where an instance stands that was being put back when its controller died.
    fn back(
        &self,
        is_before: bool,
        is_target: bool,
        failure: Option<&String>,
        around: &Surroundings<'_>,
        started: &Option<Started>,
    ) -> Stage {
        let failure = failure.cloned();
        match started {
            _ if is_before && (self.sick_before || self.was_absent()) => {
                Stage::Reverted { failure }
            }
            Some(started) if is_before => Stage::Recovering {
                since: around.at,
                started: started.clone(),
                failure,
            },
            _ if is_before => Stage::Reverted { failure },
            _ if is_target && failure.is_none() && started.is_some() => Stage::Updated {
                started: started.clone(),
            },
            _ if is_target => Stage::Failed {
                reason: failure.unwrap_or_else(|| "it was to be put back".to_owned()),
            },
            _ => Stage::Broken {
                reason: "it runs neither the target nor what ran before".to_owned(),
            },
        }
    }

    fn lose_sight(&mut self, sight: &Sight) {
        let why = match sight {
            Sight::Unreachable { reason } | Sight::Refused { reason } => reason.clone(),
            Sight::Reachable { .. } => return,
        };
        if matches!(
            self.stage,
            Stage::Preparing { .. } | Stage::Draining { started: None, .. }
        ) {
            self.stage = Stage::Pending;
        } else if self.is_in_hand() && !self.is_given_up() {
            let reason = match self.failure() {
                Some(failure) => format!("{failure}; its host was lost: {why}"),
                None => format!("its host was lost: {why}"),
            };
            self.stage = Stage::Lost { reason };
        }
    }
}

fn settling(at: Timestamp, started: Option<&Started>) -> Stage {
    match started {
        Some(started) => Stage::Settling {
            since: at,
            started: started.clone(),
        },
        None => Stage::Failed {
            reason: "nothing is known of its start".to_owned(),
        },
    }
}

fn is_same(a: &Runs, b: &Runs) -> bool {
    match a.revision() {
        Some(revision) => b.is(revision),
        None => *b == Runs::Nothing,
    }
}
