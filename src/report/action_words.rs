//! Sentences on what is done to an instance.

use super::escape::printable;
use super::time::span;
use super::words::{About, before, had_nothing, target};
use crate::core::event::{ActionKind, ActionOutcome};
use crate::core::ids::HostName;

pub(super) fn begun(action: ActionKind, host: &HostName, about: &dyn About) -> String {
    let target = target(about);
    match action {
        ActionKind::Stage => format!("shipping {target}"),
        ActionKind::BeforeInstance | ActionKind::BeforeStart => {
            "running its before_instance hook".to_owned()
        }
        ActionKind::Drain => "taking it out of traffic".to_owned(),
        ActionKind::Activate if had_nothing(host, about) => format!("starting {target}"),
        ActionKind::Activate => format!("switching from {} to {target}", before(host, about)),
        ActionKind::Confirm => format!("reading back that {target} runs"),
        ActionKind::Attach => "putting it into traffic".to_owned(),
        ActionKind::AfterInstance => "running its after_instance hook".to_owned(),
        ActionKind::Revert if had_nothing(host, about) => format!("removing {target} again"),
        ActionKind::Revert => format!("putting {} back", before(host, about)),
        ActionKind::Start if about.goes_back() => {
            format!("starting {} beside it", before(host, about))
        }
        ActionKind::Start => format!("starting {target} beside {}", before(host, about)),
        ActionKind::Stop => "stopping it: its spare host is not needed any more".to_owned(),
        ActionKind::DrainSibling => "taking the other one out of traffic".to_owned(),
        ActionKind::AttachSibling => "putting the other one back into traffic".to_owned(),
        ActionKind::StopSibling => "stopping the other one".to_owned(),
        ActionKind::Prune => "removing old revisions".to_owned(),
    }
}

pub(super) fn ended(
    action: ActionKind,
    outcome: &ActionOutcome,
    host: &HostName,
    about: &dyn About,
) -> String {
    match outcome {
        ActionOutcome::Done { .. } => done(action, host, about),
        ActionOutcome::Declined { reason } => {
            format!("{action} not begun, looking again: {}", printable(reason))
        }
        ActionOutcome::Refused { reason } => {
            format!("cannot take part, nothing changed: {}", printable(reason))
        }
        ActionOutcome::Failed { reason } => format!("{action} failed: {}", printable(reason)),
        ActionOutcome::Lost { reason } => format!(
            "connection lost during {action}, nobody knows whether it was done: {}",
            printable(reason)
        ),
    }
}

pub(super) fn done(action: ActionKind, host: &HostName, about: &dyn About) -> String {
    let target = target(about);
    match action {
        ActionKind::Stage => format!("{target} is there, verified"),
        ActionKind::BeforeInstance | ActionKind::BeforeStart => "may be switched now".to_owned(),
        ActionKind::Drain => "out of traffic".to_owned(),
        ActionKind::Activate => match about.spec() {
            Some(spec) => format!(
                "{target} started, must stay ready for {}",
                span(spec.min_ready)
            ),
            None => format!("{target} started"),
        },
        ActionKind::Confirm => format!("runs {target}, confirmed"),
        ActionKind::Attach => "in traffic".to_owned(),
        ActionKind::AfterInstance => format!("runs {target}, and its hook is content"),
        ActionKind::Revert if had_nothing(host, about) => format!("{target} removed again"),
        ActionKind::Revert => format!("{} started again", before(host, about)),
        ActionKind::Start if about.goes_back() => {
            format!("{} started beside it", before(host, about))
        }
        ActionKind::Start => match about.spec() {
            Some(spec) => format!(
                "{target} started beside {}, must stay ready for {}",
                before(host, about),
                span(spec.min_ready)
            ),
            None => format!("{target} started beside what runs"),
        },
        ActionKind::Stop => "stopped; the spare host runs nothing any more".to_owned(),
        ActionKind::DrainSibling => "the other one is out of traffic".to_owned(),
        ActionKind::AttachSibling => "the other one is in traffic".to_owned(),
        ActionKind::StopSibling => "the other one is stopped".to_owned(),
        ActionKind::Prune => "old revisions removed".to_owned(),
    }
}
