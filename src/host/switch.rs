//! The switch: from what runs to what is to run, as one step on the host.

use std::time::Duration;

use super::adopt;
use super::facts::{Facts, parse_started};
use super::guard::Guard;
use super::layout::{folder_of, target_of};
use super::machine::{Machine, PATIENCE};
use super::preflight::check_host;
use super::script::{OF_ANOTHER, Request, encoded, refused};
use super::systemd::{STOP_TIMEOUT, drop_in};
use super::upload::step;
use crate::core::event::{Runs, Started};
use crate::core::fleet::Service;
use crate::core::revision::{Adopted, Manifest};
use crate::ports::{Controller, HostError, Switch};

/// A unit whose stop may take for ever is waited for no longer than this.
const LONGEST_STOP: Duration = Duration::from_secs(600);

/// Switches and restarts.
pub(crate) async fn switch(
    machine: &Machine,
    service: &Service,
    controller: &Controller,
    switch: &Switch,
) -> Result<Started, HostError> {
    match plan(machine, service, controller, switch).await? {
        Plan::Answered(started) => Ok(started),
        Plan::Ask(request, patience) => {
            let answer = machine.step(request, patience).await?;
            parse_started(&String::from_utf8_lossy(&answer))
                .ok_or_else(|| refused("the host's answer about the switch makes no sense", None))
        }
    }
}

/// What is to be asked of the host.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Nothing: it was done, and this was the answer.
    Answered(Started),
    /// The step, and how long it may take.
    Ask(Request, Duration),
}

/// The host says the same under its lock; here it comes before what else was changed by whoever took over.
fn check_driver(facts: &Facts, controller: &Controller) -> Result<(), HostError> {
    match &facts.owner {
        Some(owner) if owner.ledger != controller.owner.ledger => Err(refused(
            format!(
                "`{}` is managed by the ledger {} on {}",
                facts.dir, owner.ledger, owner.machine
            ),
            Some(OF_ANOTHER.into()),
        )),
        _ => Ok(()),
    }
}

/// Looks at the host, and makes of it the one request that is the switch.
pub(crate) async fn plan(
    machine: &Machine,
    service: &Service,
    controller: &Controller,
    switch: &Switch,
) -> Result<Plan, HostError> {
    let facts = machine.facts(service).await?;
    if let Some(started) = answered(&facts, controller, switch) {
        return Ok(Plan::Answered(started));
    }
    check_driver(&facts, controller)?;
    check_host(service, &facts)?;
    let mut is_unmanaged = false;
    if !is_cut_off(&facts, controller, switch) {
        let (runs, _) = adopt::runs(machine, service, &facts).await?;
        if !is_same(&runs, &switch.from) {
            return Err(refused(
                format!(
                    "it runs {}, not {}",
                    in_words(&runs),
                    in_words(&switch.from)
                ),
                Some("somebody changed the host in the meantime; run the command again".into()),
            ));
        }
        is_unmanaged = facts.managed().is_none();
    }
    let limit = limit(service, &facts);
    let to = Destination::find(machine, &facts, switch).await?;
    let mut request = ends(step("switch", service, controller), controller, switch)
        .option("from", facts.target())
        .option("to", &to.target)
        .option("revision", &to.folder)
        .option("binary", &service.binary)
        .option("drop_in", drop_in(&facts.dir))
        .option("limit", limit.as_secs())
        .option("patience", limit.as_secs() + 60);
    if let Some(link) = service.link.as_ref().filter(|_| to.has_binary) {
        request = request.option("link", link);
    }
    if let Some(origin) = to.origin.as_ref().filter(|_| !is_unmanaged) {
        request = request.option("origin", origin);
    }
    for unit in &service.units {
        request = request.option("unit", unit);
    }
    if switch.guarded {
        request = Guard::of(service, &facts, controller, switch, limit).add_to(request)?;
    }
    let units = u32::try_from(service.units.len()).unwrap_or(u32::MAX);
    let patience = limit.saturating_mul(units.saturating_mul(2)) + PATIENCE;
    Ok(Plan::Ask(request, patience))
}

/// Which rollout, and from what to what: the same for the switch and its confirmation.
pub(crate) fn ends(request: Request, controller: &Controller, switch: &Switch) -> Request {
    let (from_name, from_digest) = name_and_digest(&switch.from);
    let (to_name, digest) = name_and_digest(&switch.to);
    request
        .option("by", encoded(&controller.by))
        .option("rollout", controller.rollout)
        .option("hash", &switch.event_hash)
        .option("from_name", from_name)
        .option("from_digest", from_digest)
        .option("to_name", to_name)
        .option("digest", digest)
}

fn name_and_digest(runs: &Runs) -> (String, String) {
    match runs.revision() {
        Some(revision) => (revision.name.to_string(), revision.digest.to_string()),
        None => ("-".into(), "-".into()),
    }
}

fn is_same(seen: &Runs, expected: &Runs) -> bool {
    match expected.revision() {
        Some(revision) => seen.is(revision),
        None => seen.revision().is_none(),
    }
}

fn in_words(runs: &Runs) -> String {
    runs.revision()
        .map_or_else(|| "nothing".to_owned(), |revision| format!("`{revision}`"))
}

/// Whether the last step here is this one.
fn is_this(facts: &Facts, controller: &Controller, switch: &Switch) -> bool {
    facts.step.as_ref().is_some_and(|step| {
        step.hash == switch.event_hash
            && step.rollout == controller.rollout.to_string()
            && step.to_digest == name_and_digest(&switch.to).1
    })
}

/// The answer that was given before and got lost.
fn answered(facts: &Facts, controller: &Controller, switch: &Switch) -> Option<Started> {
    let step = facts.step.as_ref().filter(|step| step.state == "done")?;
    (is_this(facts, controller, switch) && step.to == facts.target()).then(|| step.started.clone())
}

fn is_cut_off(facts: &Facts, controller: &Controller, switch: &Switch) -> bool {
    let state = facts.step.as_ref().map(|step| step.state.as_str());
    matches!(state, Some("begun" | "failed")) && is_this(facts, controller, switch)
}

/// How long one unit may take to stop and start.
fn limit(service: &Service, facts: &Facts) -> Duration {
    let stops = facts.units.iter().map(|unit| unit.stop_timeout);
    limit_of(stops, service.health.deadline)
}

/// What is waited for one unit to stop, by its own timeout.
pub(crate) fn longest_stop(stop: Duration) -> Duration {
    stop.min(LONGEST_STOP)
}

/// A restart stops the old process by the `TimeoutStopSec=` of the unit file that is in place by then. It may be the
/// default, however short the one was that systemd showed before.
pub(crate) fn limit_of(stops: impl Iterator<Item = Duration>, deadline: Duration) -> Duration {
    let stop = stops.max().unwrap_or(LONGEST_STOP);
    stop.clamp(STOP_TIMEOUT, LONGEST_STOP) + deadline.max(Duration::from_secs(10))
}

/// Where a switch leads.
#[derive(Debug, Default)]
struct Destination {
    /// What `current` is to point to; empty: to nothing.
    target: String,
    /// The folder with the unit files and the environment.
    folder: String,
    /// Whether `link` is kept pointing to a file in it.
    has_binary: bool,
    /// Where the units of an adopted file expect it.
    origin: Option<String>,
}

impl Destination {
    async fn find(machine: &Machine, facts: &Facts, switch: &Switch) -> Result<Self, HostError> {
        let Some(revision) = switch.to.revision() else {
            return Ok(Self {
                has_binary: true,
                ..Self::default()
            });
        };
        let Some(name) = facts.name_of(&revision.digest) else {
            return Err(refused(
                format!("revision `{revision}` is not on the host"),
                Some("it was removed after it was staged; run the command again".into()),
            ));
        };
        let folder = folder_of(&facts.dir, name);
        if let Some(target) = facts.kept.get(name).and_then(|kept| kept.target.clone()) {
            return Ok(Self {
                target,
                folder,
                ..Self::default()
            });
        }
        let mut origin = None;
        if name.is_adopted()
            && let Some(Adopted::File { origin: path }) = manifest(machine, &folder)
                .await?
                .and_then(|manifest| manifest.adopted)
        {
            origin = Some(path);
        }
        Ok(Self {
            target: target_of(name),
            folder,
            has_binary: true,
            origin,
        })
    }
}

/// The manifest of a revision on the host, when it can be read.
pub(crate) async fn manifest(
    machine: &Machine,
    folder: &str,
) -> Result<Option<Manifest>, HostError> {
    let request = Request::new("text").arg(format!("{folder}/.rollctl/manifest.json"));
    let answer = machine.read(super::machine::Queue::Work, request).await?;
    Ok(adopt::parse_texts(&answer)
        .into_iter()
        .next()
        .flatten()
        .and_then(|text| serde_json::from_str(&text).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_the_time_that_its_stop_may_take() {
        for (stops, deadline, expected, why) in [
            (vec![90], 60, 150, "the default"),
            (vec![1], 60, 150, "what comes next may have the default"),
            (vec![120, 5], 60, 180, "the longest counts"),
            (vec![9999], 60, 660, "not for ever"),
            (vec![90], 1, 100, "a start takes its time"),
        ] {
            let stops = stops.into_iter().map(Duration::from_secs);
            let found = limit_of(stops, Duration::from_secs(deadline));
            assert_eq!(found, Duration::from_secs(expected), "{why}");
        }
    }
}
