//! What a run that nobody watches may do (contract, section 6): a timer must not undo what a person did, nor try again by
//! itself what failed.
//!
//! The last word on a build counts. It may be that of its own last rollout, or of a person who rolled out something else
//! after it. A build on which there is no word yet is released, unless the service is held or a person's rollout is not over.

use super::event::{Event, Outcome, PauseCause, RecordedEvent};
use super::hold::Remark;
use super::ids::{Digest, RevisionRef, RolloutId};
use super::rollout::{IllegalEvent, RolloutPhase, RolloutState};
use super::spec::RolloutKind;
use super::time::Timestamp;

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hand {
    /// `user@machine`.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A rollout of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its number.
    pub id: RolloutId,
    /// Why it ran.
    pub kind: RolloutKind,
    /// What it went for.
    pub target: RevisionRef,
    /// Who began it.
    pub begun: Hand,
    /// Whether no person ever drove it: one who goes on with an unattended rollout makes it theirs.
    pub unattended: bool,
    /// How it stands.
    pub standing: Standing,
}

/// How a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Somebody drives it now.
    Driven,
    /// Nobody does, and it is not over.
    Open(Rest),
    /// Every host that could be worked on was brought to it, but so many instances failed by us.
    Completed {
        /// How many.
        failed: u32,
    },
    /// What could be done was done: the rest was unreachable, sick or failed by us.
    StoodStill {
        /// How many failed by us.
        failed: u32,
    },
    /// It failed, and every host runs what it ran before.
    RolledBack,
    /// Somebody must look.
    Failed,
    /// Somebody ended it.
    Aborted(Hand),
    /// Its `before_rollout` hook said no: nothing was touched.
    Refused,
    /// Another took its place.
    Superseded,
}

/// Why nobody drives a rollout that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// Its controller died.
    Interrupted,
    /// The service's window closed.
    Window,
    /// It failed, or stalled.
    Failure,
    /// A person paused it, or wanted it to end.
    Asked(Hand),
    /// Its controller was told to end: by systemd, at a shutdown, or by a CI server.
    Terminated,
}

/// What the run does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It begins its rollout.
    Begin,
    /// It goes on with the newest rollout instead.
    GoOn(RolloutId),
    /// It leaves the service alone.
    Leave(Objection),
}

/// Why the service is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// It is held.
    Held(Remark),
    /// A rollout is not over, and goes on by a person's hand only.
    Unfinished(Attempt),
    /// The build's last rollout failed.
    Failed(Attempt),
    /// After the build's last rollout a person rolled out something else.
    Replaced(Attempt),
}

/// What a run for `target` does; nothing: what it would release is not known yet. `past` is newest first, and reaches back at
/// least to the target's own last rollout.
pub fn ruling(target: Option<&Digest>, hold: Option<&Remark>, past: &[Attempt]) -> Ruling {
    if let Some(hold) = hold {
        return Ruling::Leave(Objection::Held(hold.clone()));
    }
    if let Some(ruling) = past.first().and_then(|newest| unfinished(target, newest)) {
        return ruling;
    }
    let objection = target.and_then(|target| last_word(target, past));
    objection.map_or(Ruling::Begin, Ruling::Leave)
}

/// What the newest rollout means while it is not over; nothing: it may be superseded, as far as it is concerned.
fn unfinished(target: Option<&Digest>, newest: &Attempt) -> Option<Ruling> {
    let Standing::Open(rest) = &newest.standing else {
        return None;
    };
    let is_same = target == Some(&newest.target.digest);
    let leave = || Some(Ruling::Leave(Objection::Unfinished(newest.clone())));
    match rest {
        Rest::Asked(_) => leave(),
        // Nobody decided that it should stand: the next run is what it waits for.
        Rest::Window if !newest.unattended => Some(Ruling::GoOn(newest.id)),
        _ if !newest.unattended => leave(),
        Rest::Failure if is_same => leave(),
        Rest::Interrupted | Rest::Window | Rest::Terminated if is_same => {
            Some(Ruling::GoOn(newest.id))
        }
        Rest::Failure | Rest::Interrupted | Rest::Window | Rest::Terminated => None,
    }
}

/// What speaks against a build that was rolled out before.
fn last_word(target: &Digest, past: &[Attempt]) -> Option<Objection> {
    let place = past.iter().position(|one| one.target.digest == *target)?;
    let (later, own) = (past.get(..place)?, past.get(place)?);
    if let Some(person) = later.iter().find(|one| is_a_word(one)) {
        return Some(Objection::Replaced(person.clone()));
    }
    match &own.standing {
        Standing::Completed { failed: 0 } | Standing::StoodStill { failed: 0 } => None,
        // The hook is asked each time.
        Standing::Refused | Standing::Driven => None,
        Standing::Superseded => later
            .last()
            .filter(|by| !by.unattended)
            .map(|by| Objection::Replaced(by.clone())),
        Standing::Completed { .. }
        | Standing::StoodStill { .. }
        | Standing::RolledBack
        | Standing::Failed
        | Standing::Aborted(_) => Some(Objection::Failed(own.clone())),
        Standing::Open(_) => Some(Objection::Unfinished(own.clone())),
    }
}

/// Whether a rollout says what a person wants the service to run. One that left everything as it was does not; whoever wants
/// to go back does, even if that failed.
fn is_a_word(attempt: &Attempt) -> bool {
    let changed = !matches!(attempt.standing, Standing::RolledBack | Standing::Refused);
    match attempt.kind {
        _ if attempt.unattended => false,
        RolloutKind::Restart => false,
        RolloutKind::Rollback => attempt.standing != Standing::Refused,
        RolloutKind::Release => changed,
    }
}

impl Attempt {
    /// What the events of a rollout say of it. `driven`: whether somebody works on it now.
    ///
    /// # Errors
    /// When they do not fit together.
    pub fn read(events: &[RecordedEvent], driven: bool) -> Result<Self, IllegalEvent> {
        let state = RolloutState::fold(events)?;
        let Some((first, Event::RolloutStarted { spec, by, .. })) =
            events.first().map(|first| (first, &first.event))
        else {
            return Err(IllegalEvent::NoStart);
        };
        // A person's stays a person's, though a timer went on with it.
        let resumed = events.iter().filter_map(|recorded| match &recorded.event {
            Event::RolloutResumed { unattended, .. } => Some(*unattended),
            _ => None,
        });
        let unattended = spec.unattended && resumed.into_iter().all(|one| one);
        let begun = Hand {
            by: by.clone(),
            at: first.at,
        };
        let standing = match driven {
            true => Standing::Driven,
            false => standing(&state, events, &begun),
        };
        Ok(Self {
            id: first.rollout,
            kind: spec.kind,
            target: spec.target.clone(),
            begun,
            unattended,
            standing,
        })
    }
}

fn standing(state: &RolloutState, events: &[RecordedEvent], begun: &Hand) -> Standing {
    let failed = || {
        let instances = state.instances.iter();
        let failed = instances.filter(|one| one.failure().is_some() && !one.sick_before);
        u32::try_from(failed.count()).unwrap_or(u32::MAX)
    };
    match state.phase {
        RolloutPhase::Ended(Outcome::Completed) => Standing::Completed { failed: failed() },
        RolloutPhase::Ended(Outcome::StoodStill) => Standing::StoodStill { failed: failed() },
        RolloutPhase::Ended(Outcome::RolledBack) => Standing::RolledBack,
        RolloutPhase::Ended(Outcome::Failed) => Standing::Failed,
        RolloutPhase::Ended(Outcome::Refused) => Standing::Refused,
        RolloutPhase::Ended(Outcome::Aborted) => {
            Standing::Aborted(asked(events).unwrap_or_else(|| begun.clone()))
        }
        RolloutPhase::Superseded(_) => Standing::Superseded,
        RolloutPhase::Observing | RolloutPhase::Progressing | RolloutPhase::Paused => {
            Standing::Open(rest(state, events))
        }
    }
}

fn rest(state: &RolloutState, events: &[RecordedEvent]) -> Rest {
    let hand = |rest: Rest| asked(events).map_or(rest, Rest::Asked);
    if state.abort.is_some() {
        return hand(Rest::Interrupted);
    }
    match &state.pause {
        None => Rest::Interrupted,
        Some(PauseCause::WindowClosed { .. }) => Rest::Window,
        Some(PauseCause::Failures { .. } | PauseCause::Stalled) => Rest::Failure,
        Some(PauseCause::Asked { by }) if by == SIGTERM => Rest::Terminated,
        Some(PauseCause::Asked { .. }) => hand(Rest::Interrupted),
    }
}

/// What a pause was asked for by, when that was the signal of whoever ends processes.
const SIGTERM: &str = "SIGTERM";

/// Who last asked for a pause or an end.
fn asked(events: &[RecordedEvent]) -> Option<Hand> {
    events.iter().rev().find_map(|recorded| {
        let by = match &recorded.event {
            Event::AbortRequested { by } => by,
            Event::PauseRequested {
                cause: PauseCause::Asked { by },
            } => by,
            _ => return None,
        };
        Some(Hand {
            by: by.clone(),
            at: recorded.at,
        })
    })
}

#[cfg(test)]
#[path = "unattended_tests.rs"]
mod tests;
