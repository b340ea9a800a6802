//! Which events people are told of who do not watch, and in which words.

use super::ending::Diagnoses;
use super::escape::printable;
use super::words::{rollback_in_words, sentence};
use crate::core::event::{Event, RecordedEvent};
use crate::core::hold::Remark;
use crate::core::ids::{FleetName, ServiceName};
use crate::core::notify::Moment;
use crate::core::rollout::RolloutState;
use crate::ports::{Message, Rolled};

/// The message about an event, where people are told of it; `state` has it applied. What probes and journals said of
/// instances that failed is not in it: it is shown to whoever works on them, and sent to nobody.
pub fn message(
    recorded: &RecordedEvent,
    state: &RolloutState,
    fleet: &FleetName,
) -> Option<Message> {
    let spec = &state.spec;
    let service = &spec.service;
    let (moment, summary, mut details, next) = match &recorded.event {
        Event::RolloutStarted { .. } | Event::RolloutResumed { .. } => {
            let watch = format!("`rollctl status {service} --watch` shows it");
            (
                Moment::Start,
                sentence(recorded, state),
                Vec::new(),
                Some(watch),
            )
        }
        Event::RollbackStarted { cause } => {
            let why = rollback_in_words(cause);
            let summary = format!(
                "rollout {} of `{service}` goes back: {why}",
                recorded.rollout
            );
            let next = format!("nothing yet; `rollctl status {service} --watch` shows it");
            (Moment::Failure, summary, Vec::new(), Some(next))
        }
        Event::StepReached { step } if spec.steps.get(*step).is_some_and(|gate| gate.approve) => {
            let (number, target) = (step + 1, &spec.target);
            let summary = format!(
                "rollout {} of `{service}` has reached step {number} with `{target}` and waits for somebody to approve",
                recorded.rollout
            );
            let next = format!(
                "`rollctl approve {service}` lets it go on; `rollctl abort {service}` ends it"
            );
            (Moment::Hold, summary, Vec::new(), Some(next))
        }
        _ => {
            let ending = Diagnoses::default().ending(recorded, state)?;
            let moment = match &recorded.event {
                // The later one tells of itself.
                Event::RolloutSuperseded { .. } => return None,
                Event::RolloutPaused => Moment::Pause,
                _ if ending.completed => Moment::Finish,
                _ => Moment::Failure,
            };
            let notice = ending.notice;
            let details = notice.details.into_iter().chain(notice.state).collect();
            (moment, notice.message, details, notice.hint)
        }
    };
    details.retain(|line: &String| !line.is_empty());
    Some(Message {
        moment,
        at: recorded.at,
        fleet: fleet.clone(),
        service: service.clone(),
        rollout: Some(Rolled {
            id: recorded.rollout,
            kind: spec.kind,
            from: spec.from.as_ref().map(|from| from.name.clone()),
            to: spec.target.name.clone(),
        }),
        summary,
        details,
        next,
    })
}

/// The message that somebody holds a service.
pub fn of_hold(said: &Remark, service: &ServiceName, fleet: &FleetName) -> Message {
    let by = printable(&said.by);
    Message {
        moment: Moment::Hold,
        at: said.at,
        fleet: fleet.clone(),
        service: service.clone(),
        rollout: None,
        summary: format!("`{service}` is held by {by}: unattended runs leave it alone"),
        details: said
            .cause
            .iter()
            .map(|why| printable(why).into_owned())
            .collect(),
        next: Some(format!("`rollctl unhold {service}` lifts it")),
    }
}

#[cfg(test)]
#[path = "telling_tests.rs"]
mod tests;
