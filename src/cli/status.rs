//! `rollctl status [SERVICE] [--watch] [--verify]`: what the ledger has, and what the hosts say now where they were asked.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::CliError;
use super::exit::ExitCode;
use super::screen::Screen;
use crate::core::counts::Counts;
use crate::core::decide::decide;
use crate::core::event::{ActionKind, Event, RecordedEvent, Runs};
use crate::core::fleet::Service;
use crate::core::hold::standing;
use crate::core::ids::{Digest, HostName, RevisionName};
use crate::core::revision::Revision;
use crate::core::rollout::{IllegalEvent, Instance, RolloutState};
use crate::core::time::Timestamp;
use crate::ports::{InstanceRecord, Ledger, RolloutRecord};
use crate::report::Output;
use crate::report::state::{failed, phase, word, word_of_sibling};
use crate::report::status::{
    InstanceView, RolloutView, StatusView, status_json, status_table, watch_screen,
};
use crate::report::words::why_in_words;

/// Between two pictures of `--watch`, where the ledger tells of nothing before.
pub(crate) const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How far back the newest completed rollout is looked for.
const ROLLOUTS_SEARCHED: usize = 10_000;

/// What the ledger knows of a service, without asking a host.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn from_ledger(
    service: &Service,
    ledger: &dyn Ledger,
    now: Timestamp,
) -> Result<StatusView, CliError> {
    let name = &service.name;
    let revisions = ledger.revisions(name).await?;
    let rollouts = ledger.rollouts(name, ROLLOUTS_SEARCHED).await?;
    let remembered: BTreeMap<HostName, InstanceRecord> = ledger
        .instances(name)
        .await?
        .into_iter()
        .map(|record| (record.host.clone(), record))
        .collect();
    let view = StatusView {
        service: name.clone(),
        revision: current_revision(&rollouts, &revisions),
        rollout: None,
        desired: 0,
        current: 0,
        up_to_date: 0,
        available: 0,
        instances: service
            .carriers()
            .map(|host| InstanceView {
                spare: service.spare_hosts.contains(host),
                ..from_memory(host, &remembered, &revisions)
            })
            .collect(),
        live: false,
        out_of_service: service.out_of_service.clone(),
        hold: standing(&ledger.holds(name).await?).cloned(),
        verified: None,
        now,
    }
    .counted();
    match rollouts.first().filter(|newest| is_open(newest)) {
        Some(newest) => {
            let events = ledger.events(newest.id, 0).await?;
            with_rollout(view, newest, &events, &revisions)
        }
        None => Ok(view),
    }
}

/// The revision that the service is to run: the target of its newest completed rollout over all its hosts.
pub fn current_revision(rollouts: &[RolloutRecord], revisions: &[Revision]) -> Option<Revision> {
    let newest = rollouts
        .iter()
        .find(|one| one.outcome == "completed" && !one.partial)?;
    revisions
        .iter()
        .find(|one| one.digest == newest.to)
        .cloned()
}

/// Prints services once. Where hosts were to be verified: 11 when some drifted, 3 when some could not be looked at.
///
/// # Errors
/// When stdout cannot be written.
pub fn show(views: &[StatusView], screen: &mut Screen) -> Result<ExitCode, CliError> {
    match screen.output {
        Output::Human => {
            let tables: Vec<String> = views.iter().map(status_table).collect();
            screen.print(&tables.join("\n"))?;
        }
        Output::Json => {
            for view in views {
                screen.print_json(&status_json(view))?;
            }
        }
    }
    Ok(verdict(views))
}

fn verdict(views: &[StatusView]) -> ExitCode {
    views
        .iter()
        .flat_map(|view| view.verified.iter().flatten())
        .map(|one| match &one.seen {
            Ok(compared) if compared.drift.is_empty() => ExitCode::Done,
            Ok(_) => ExitCode::Mixed,
            Err(_) => ExitCode::Skipped,
        })
        .fold(ExitCode::Done, ExitCode::worst)
}

/// Draws what `look` says, again each time that `rest` is over, until Ctrl-C or until nobody reads any more. Ends well:
/// looking changes nothing.
///
/// # Errors
/// What `look` says, or when stdout cannot be written.
pub async fn watch(
    mut look: impl AsyncFnMut() -> Result<Vec<StatusView>, CliError>,
    mut rest: impl AsyncFnMut(),
    screen: &mut Screen,
) -> Result<ExitCode, CliError> {
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    while !screen.reader_is_gone() {
        let views = tokio::select! {
            _ = &mut stop => break,
            views = look() => views?,
        };
        draw(&views, screen)?;
        tokio::select! {
            _ = &mut stop => break,
            () = rest() => {}
        }
    }
    Ok(ExitCode::Done)
}

fn draw(views: &[StatusView], screen: &mut Screen) -> Result<(), CliError> {
    if screen.output == Output::Json {
        show(views, screen)?;
        return Ok(());
    }
    let now = views.first().map_or(Timestamp::LONG_AGO, |view| view.now);
    let text = watch_screen(views, now);
    if screen.stdout_is_terminal {
        // Home, the picture, and nothing of the one before to the right of it or below it.
        let text = text.replace('\n', "\x1b[K\n");
        screen.print(&format!("\x1b[H{text}\x1b[J"))?;
    } else {
        screen.print(&format!("{text}\n"))?;
    }
    Ok(())
}

fn is_open(rollout: &RolloutRecord) -> bool {
    matches!(
        rollout.outcome.as_str(),
        "running" | "paused" | "interrupted"
    )
}

fn name_of(digest: &Digest, revisions: &[Revision]) -> Option<RevisionName> {
    revisions
        .iter()
        .find(|one| one.digest == *digest)
        .map(|one| one.reference().name)
}

fn from_memory(
    host: &HostName,
    remembered: &BTreeMap<HostName, InstanceRecord>,
    revisions: &[Revision],
) -> InstanceView {
    match remembered.get(host) {
        Some(record) => InstanceView {
            host: host.clone(),
            spare: false,
            revision: record
                .digest
                .as_ref()
                .and_then(|digest| name_of(digest, revisions)),
            state: record.state.clone(),
            since: Some(record.since),
        },
        None => InstanceView {
            host: host.clone(),
            spare: false,
            revision: None,
            state: "unknown".to_owned(),
            since: None,
        },
    }
}

/// Folds the rollout's events: what they say is newer than what is remembered of the hosts.
fn with_rollout(
    mut view: StatusView,
    record: &RolloutRecord,
    events: &[RecordedEvent],
    revisions: &[Revision],
) -> Result<StatusView, CliError> {
    let now = view.now;
    let (mut state, started) = fold(events).map_err(|error| {
        CliError::of(ExitCode::Unexpected, &error)
            .detail(format!("the events of rollout {} do not fit", record.id))
            .hint(format!("`rollctl describe {}` shows them", record.id))
    })?;
    let rows = std::mem::take(&mut view.instances);
    view.instances = rows
        .into_iter()
        .flat_map(|row| match state.instance(&row.host) {
            Some(instance) => of_rollout(row, instance, &state, &started, now),
            None => vec![row],
        })
        .collect();
    let running = record.outcome == "running";
    let waiting_on = if running {
        // The controller looks all the time; how fresh its looks are is not written down.
        let hosts: Vec<_> = state.instances.iter().map(|one| one.host.clone()).collect();
        for host in &hosts {
            state.saw(host, now);
            state.saw_sibling(host, now);
        }
        decide(&state, now).waiting_on
    } else {
        Vec::new()
    };
    let phase = match record.outcome.as_str() {
        "interrupted" => "interrupted",
        _ => phase(&state),
    };
    let counts = Counts::of(&state, now);
    view.rollout = Some(RolloutView {
        id: record.id,
        kind: record.kind,
        phase: phase.to_owned(),
        from: record
            .from
            .as_ref()
            .and_then(|digest| name_of(digest, revisions)),
        to: state.spec.target.name.clone(),
        by: record.by.clone(),
        resumed_by: resumed_by(events),
        started_at: record.started_at,
        budget: state.spec.budget,
        waiting_on,
        why: why_in_words(&state),
        failed: failed(&state),
        goes_back: state.goes_back(),
    });
    // A controller that writes events looks at the hosts; a paused or dead one does not.
    view.live = running;
    Ok(view.with_counts(counts))
}

/// Who went on with the rollout last.
fn resumed_by(events: &[RecordedEvent]) -> Option<String> {
    events
        .iter()
        .rev()
        .find_map(|recorded| match &recorded.event {
            Event::RolloutResumed { by, .. } => Some(by.clone()),
            _ => None,
        })
}

/// When the rollout last started what runs where.
type StartedAt = BTreeMap<(HostName, Digest), Timestamp>;

fn fold(events: &[RecordedEvent]) -> Result<(RolloutState, StartedAt), IllegalEvent> {
    let (first, rest) = events.split_first().ok_or(IllegalEvent::NoStart)?;
    let mut state = RolloutState::start(first.at, &first.event)?;
    let mut started = StartedAt::new();
    for recorded in rest {
        state.apply(recorded.at, &recorded.event)?;
        let Event::ActionStarted { host, action } = &recorded.event else {
            continue;
        };
        let Some(instance) = state.instance(host) else {
            continue;
        };
        let starts = match action {
            ActionKind::Activate | ActionKind::Start => true,
            // What it goes back to still runs: the new one is only stopped.
            ActionKind::Revert => !instance.has_before_beside(),
            _ => false,
        };
        if let Some(runs) = instance
            .runs
            .as_ref()
            .and_then(Runs::revision)
            .filter(|_| starts)
        {
            started.insert((host.clone(), runs.digest.clone()), recorded.at);
        }
    }
    Ok((state, started))
}

/// What the rollout knows of a host, over what is remembered: an instance, and the other one beside it.
fn of_rollout(
    remembered: InstanceView,
    instance: &Instance,
    state: &RolloutState,
    started: &StartedAt,
    now: Timestamp,
) -> Vec<InstanceView> {
    let since = |runs: &Runs, name: Option<&RevisionName>| {
        let key = (instance.host.clone(), runs.revision()?.digest.clone());
        let as_before = remembered
            .since
            .filter(|_| remembered.revision.as_ref() == name);
        started.get(&key).copied().or(as_before)
    };
    let seen = |runs: &Runs, word: &str| {
        let name = runs.revision().map(|one| one.name.clone());
        InstanceView {
            since: since(runs, name.as_ref()),
            revision: name,
            state: word.to_owned(),
            ..remembered.clone()
        }
    };
    let own_word = match instance.reach {
        Some(_) => word(instance, state, now),
        None => &remembered.state,
    };
    let own = match &instance.runs {
        Some(runs) => seen(runs, own_word),
        None => InstanceView {
            state: own_word.to_owned(),
            ..remembered.clone()
        },
    };
    let other = instance.sibling.as_ref().and_then(|sibling| {
        let word = word_of_sibling(instance, state, now)?;
        Some(seen(sibling.runs.as_ref()?, word))
    });
    std::iter::once(own).chain(other).collect()
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
