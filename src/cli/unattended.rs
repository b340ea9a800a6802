//! `--unattended`: what a run that nobody watches may do, asked of the ledger before a host is.

use super::args::WindowArgs;
use super::error::CliError;
use super::exit::ExitCode;
use super::resume::Drive;
use super::rollout::PAST;
use super::screen::Screen;
use super::wire::Desk;
use crate::core::fleet::{Fleet, Service};
use crate::core::hold::{Remark, standing};
use crate::core::ids::{Digest, RevisionRef};
use crate::core::spec::RolloutKind;
use crate::core::unattended::{Attempt, Hand, Objection, Rest, Ruling, Standing, ruling};
use crate::ports::RolloutRecord;
use crate::report::hold::by_whom;
use crate::report::time::clock;
use crate::report::{counted, printable};

/// A run that nobody watches.
pub(crate) struct Unwatched<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) service: &'a Service,
    pub(crate) window: &'a WindowArgs,
    pub(crate) verbose: u8,
}

impl Unwatched<'_> {
    /// What is done in place of a rollout to `target` (nothing: it is not known yet), and how that ended; nothing: it may begin.
    ///
    /// # Errors
    /// Exit code 5 when the service is to be left alone.
    pub(crate) async fn instead(
        &self,
        target: Option<&Digest>,
        screen: &mut Screen,
    ) -> Result<Option<ExitCode>, CliError> {
        let Some(looking) = Desk::open_to_look(self.fleet).await? else {
            return Ok(None);
        };
        match asked(&looking, self.service, target).await? {
            Ruling::Begin => Ok(None),
            Ruling::Leave(objection) => Err(left_alone(self.service, &objection)),
            Ruling::GoOn(_) => {
                let desk = Desk::open(self.fleet).await?;
                let drive = Drive {
                    fleet: self.fleet,
                    service: self.service,
                    desk: &desk,
                    abort: false,
                    window: self.window,
                    unattended: true,
                    verbose: self.verbose,
                };
                drive.run(false, screen).await.map(Some)
            }
        }
    }
}

/// Whether a rollout to `target` may still begin, now that the lease is ours.
///
/// # Errors
/// Exit code 5 when the service is to be left alone, or somebody was at work meanwhile.
pub(crate) async fn may_begin(
    desk: &Desk,
    service: &Service,
    target: &RevisionRef,
) -> Result<(), CliError> {
    match asked(desk, service, Some(&target.digest)).await? {
        Ruling::Begin => Ok(()),
        Ruling::Leave(objection) => Err(left_alone(service, &objection)),
        Ruling::GoOn(_) => Err(meanwhile(service)),
    }
}

/// Whether that rollout may still be gone on with, now that the lease is ours.
///
/// # Errors
/// Exit code 5 when the service is to be left alone, or somebody was at work meanwhile.
pub(crate) async fn may_go_on(
    desk: &Desk,
    service: &Service,
    newest: &RolloutRecord,
) -> Result<(), CliError> {
    match asked(desk, service, Some(&newest.to)).await? {
        Ruling::GoOn(id) if id == newest.id => Ok(()),
        Ruling::Leave(objection) => Err(left_alone(service, &objection)),
        Ruling::GoOn(_) | Ruling::Begin => Err(meanwhile(service)),
    }
}

/// That a service is held, for a person who works on it all the same.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) async fn held(desk: &Desk, service: &Service) -> Result<Option<String>, CliError> {
    let holds = desk.ledger.holds(&service.name).await?;
    Ok(standing(&holds).map(|hold| {
        format!(
            "{}; only unattended runs heed that",
            held_words(service, hold)
        )
    }))
}

async fn asked(
    desk: &Desk,
    service: &Service,
    target: Option<&Digest>,
) -> Result<Ruling, CliError> {
    let ledger = &desk.ledger;
    let holds = ledger.holds(&service.name).await?;
    let records = ledger.rollouts(&service.name, PAST).await?;
    // Of the target's own last rollout at the furthest; what is new has none.
    let own = target.and_then(|target| records.iter().position(|record| record.to == *target));
    let mut past = Vec::new();
    for record in records.iter().take(own.unwrap_or(0) + 1) {
        let events = ledger.events(record.id, 0).await?;
        let driven = record.outcome == "running";
        let attempt = Attempt::read(&events, driven).map_err(|error| {
            CliError::of(ExitCode::Unexpected, &error)
                .detail(format!("the events of rollout {} do not fit", record.id))
                .hint(format!("`rollctl describe {}` shows them", record.id))
        })?;
        past.push(attempt);
    }
    Ok(ruling(target, standing(&holds), &past))
}

fn meanwhile(service: &Service) -> CliError {
    let name = &service.name;
    CliError::new(
        ExitCode::Paused,
        format!("`{name}` is left alone: somebody worked on it in this moment"),
    )
    .state("nothing was touched")
    .hint("the next run looks again")
}

/// What is said of a service that is left alone.
fn left_alone(service: &Service, objection: &Objection) -> CliError {
    let name = &service.name;
    let (message, hint) = match objection {
        Objection::Held(hold) => (
            held_words(service, hold),
            format!(
                "`rollctl unhold {name}` lifts it; without `--unattended` a release is not held up"
            ),
        ),
        Objection::Unfinished(attempt) => (
            format!("`{name}` is left alone: {}", unfinished(attempt)),
            format!(
                "`rollctl resume {name}` goes on with it; `rollctl rollback {name}` goes back; then runs like this one go on"
            ),
        ),
        Objection::Failed(attempt) => (
            format!(
                "`{}` is not tried again: its {}, {}",
                attempt.target,
                told(attempt),
                outcome(attempt)
            ),
            format!(
                "the next build goes out by itself; without `--unattended` this one is released again; `rollctl describe {}` tells why",
                attempt.id
            ),
        ),
        Objection::Replaced(attempt) => (
            format!(
                "this build of `{name}` is not released: {}",
                replaced(attempt)
            ),
            "the next build goes out by itself; without `--unattended` this one is released"
                .to_owned(),
        ),
    };
    CliError::new(ExitCode::Paused, message)
        .state("nothing was touched")
        .hint(hint)
}

fn held_words(service: &Service, hold: &Remark) -> String {
    format!("`{}` is held {}", service.name, by_whom(hold))
}

/// `rollout 7 (release by ann@desk, 2026-11-26T02:00:00Z)`
fn told(attempt: &Attempt) -> String {
    format!(
        "rollout {} ({} {})",
        attempt.id,
        attempt.kind,
        by(&attempt.begun)
    )
}

fn by(hand: &Hand) -> String {
    format!("by {}, {}", printable(&hand.by), clock(hand.at))
}

fn unfinished(attempt: &Attempt) -> String {
    let what = format!("{} of `{}`", told(attempt), attempt.target);
    match &attempt.standing {
        Standing::Open(Rest::Asked(hand)) => format!("{what} was paused {}", by(hand)),
        Standing::Open(Rest::Failure) => format!("{what} paused over a failure"),
        Standing::Open(Rest::Terminated | Rest::Window) => format!("{what} is paused"),
        _ => format!("{what} was interrupted: its rollctl died"),
    }
}

fn outcome(attempt: &Attempt) -> String {
    match &attempt.standing {
        Standing::RolledBack => "failed and was rolled back".to_owned(),
        Standing::Aborted(hand) => format!("was ended {}", by(hand)),
        Standing::Completed { failed } | Standing::StoodStill { failed } => {
            let failed = usize::try_from(*failed).unwrap_or(usize::MAX);
            format!("ended with {} that failed", counted(failed, "instance"))
        }
        _ => "failed".to_owned(),
    }
}

fn replaced(attempt: &Attempt) -> String {
    let Attempt {
        id, begun, target, ..
    } = attempt;
    let (who, at) = (printable(&begun.by), clock(begun.at));
    match attempt.kind {
        RolloutKind::Rollback => format!("{who} rolled back to `{target}` (rollout {id}, {at})"),
        RolloutKind::Release | RolloutKind::Restart => {
            format!("{who} released `{target}` after it (rollout {id}, {at})")
        }
    }
}
