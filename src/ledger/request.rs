//! What becomes of a request. Knows no database.

use super::fault::Misuse;
use crate::core::event::Event;
use crate::ports::{Answer, Lease, Request};

/// Whether a request of the lease's service can still be answered: each is answered once.
///
/// # Errors
/// When there is no such request, or it is another service's.
pub(crate) fn is_open(request: Option<&Request>, lease: &Lease) -> Result<bool, Misuse> {
    let request = request.ok_or(Misuse("there is no such request"))?;
    if request.service != lease.service {
        return Err(Misuse("the lease is for another service than the request"));
    }
    Ok(request.answer.is_none())
}

/// The answer to every request that is open when `event` is written, if that voids them: nobody has read them, and what
/// was asked of one rollout, or of a controller that died, must not hit what runs now.
pub(crate) fn voided_by(event: &Event) -> Option<Answer> {
    let reason = match event {
        Event::RolloutStarted { .. } => "another rollout began",
        Event::RolloutResumed { .. } => "the rollout was resumed",
        _ => return None,
    };
    Some(Answer::Refused {
        reason: reason.to_owned(),
    })
}

/// What a request that was withdrawn has for an answer.
pub(crate) fn withdrawn() -> Answer {
    Answer::Refused {
        reason: "it was withdrawn".to_owned(),
    }
}
