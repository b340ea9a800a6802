//! What other commands ask of the controller. They travel through the ledger; only the controller writes events.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::job::{Adapters, Input, Job};
use crate::core::event::{Event, PauseCause};
use crate::core::rollout::RolloutState;
use crate::ports::{Answer, News, Request, RequestKind};

/// How often they are looked for (contract, section 5), where the ledger tells of none before.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Sends each request once, until the loop is gone or this task is aborted. A ledger that cannot be read now is read
/// again: that the lease is lost is another task's word.
pub(super) async fn listen(ports: Arc<Adapters>, job: Arc<Job>, sender: mpsc::Sender<Input>) {
    let mut sent = BTreeSet::new();
    loop {
        for request in ports
            .ledger
            .open_requests(&job.lease)
            .await
            .unwrap_or_default()
        {
            if sent.insert(request.id) && sender.send(Input::Asked(request)).await.is_err() {
                return;
            }
        }
        ports.ledger.wait_for(News::Requests, LOOK_EVERY).await;
    }
}

/// What a request becomes: an event, or nothing with the reason why.
pub(super) fn event_of(request: &Request, state: &RolloutState) -> Result<Event, String> {
    let by = request.by.clone();
    match request.kind {
        _ if state.abort.is_some() => Err("the rollout is being aborted".to_owned()),
        RequestKind::Pause => Ok(Event::PauseRequested {
            cause: PauseCause::Asked { by },
        }),
        RequestKind::Abort => Ok(Event::AbortRequested { by }),
        RequestKind::Approve => {
            let step = state.gate.step;
            match state.current_gate() {
                Some(gate) if gate.approve && state.gate.reached_at.is_some() => {
                    Ok(Event::StepApproved { step, by })
                }
                Some(gate) if gate.approve => Err(format!("step {} is not reached yet", step + 1)),
                _ => Err("the rollout does not wait for anybody to approve".to_owned()),
            }
        }
    }
}

/// The answer to a request that became an event, or did not.
pub(super) fn answer(event: &Result<Event, String>) -> Answer {
    match event {
        Ok(_) => Answer::Taken,
        Err(reason) => Answer::Refused {
            reason: reason.clone(),
        },
    }
}
