//! What events make of an instance's traffic. See [`TrafficState`](super::traffic_state::TrafficState).

use super::event::ActionOutcome;
use super::instance::{Instance, Stage};
use super::traffic_state::TrafficSight;

impl Instance {
    pub(super) fn observe_traffic(&mut self, seen: Option<&TrafficSight>) {
        let is_absent = self.is_absent();
        if let Some(traffic) = &mut self.traffic {
            match seen {
                Some(seen) => traffic.see(seen, is_absent),
                None => traffic.forget(),
            }
        }
    }

    pub(super) fn take_out(&mut self) {
        if let Some(traffic) = &mut self.traffic {
            traffic.take_out();
        }
    }

    /// Where it leads that an instance was taken out of traffic, or could not be.
    pub(super) fn drained(
        &mut self,
        stage: &Stage,
        outcome: &ActionOutcome,
        reason: String,
    ) -> Option<Stage> {
        let was_begun = !matches!(outcome, ActionOutcome::Declined { .. });
        if let Some(traffic) = &mut self.traffic {
            match was_begun {
                true => traffic.drained(),
                false => traffic.not_taken_out(),
            }
        }
        Some(match (stage, outcome) {
            // What failed goes back whether or not its balancers answer.
            (Stage::Draining { .. }, ActionOutcome::Done { .. })
            | (Stage::Failed { .. } | Stage::Settling { .. }, _)
            | (Stage::Retiring, ActionOutcome::Done { .. }) => stage.clone(),
            (Stage::Retiring, _) => Stage::Broken {
                reason: format!("it could not be taken out of traffic to be stopped: {reason}"),
            },
            (Stage::Draining { started: None, .. }, ActionOutcome::Declined { .. }) => {
                Stage::Staged
            }
            (Stage::Draining { started: None, .. }, _) => Stage::Reverted {
                failure: Some(reason),
            },
            // On the way back from the target a balancer that does not answer holds up nobody.
            (Stage::Draining { .. }, _) => stage.clone(),
            _ => return None,
        })
    }

    /// Where it leads that an instance was put into traffic, or could not be.
    pub(super) fn attached(&mut self, stage: &Stage, done: bool, reason: &str) -> Stage {
        if let Some(traffic) = &mut self.traffic {
            match done {
                true => traffic.put_in(),
                false => traffic.half_in(),
            }
        }
        match stage {
            stage if done => stage.clone(),
            Stage::Updated { started: Some(_) } => Stage::Failed {
                reason: reason.to_owned(),
            },
            _ => Stage::Broken {
                reason: unattached(self.failure(), reason),
            },
        }
    }
}

fn unattached(failure: Option<&str>, reason: &str) -> String {
    match failure {
        Some(why) => format!("{why}; putting it back into traffic failed: {reason}"),
        None => format!("putting it back into traffic failed: {reason}"),
    }
}
