//! `status`: what runs where, and what a rollout waits for. Contract, section 6.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::json::{moment, remark};
use super::table::table;
use super::time::{age, age_of, clock};
use super::verify::{self, Compared, Verified};
use super::waits::{wait_in_words, waits_in_words};
use super::way_out::WayOut;
use crate::core::budget::Budget;
use crate::core::counts::Counts;
use crate::core::decision::WaitReason;
use crate::core::hold::Remark;
use crate::core::ids::{HostName, RevisionName, RolloutId, ServiceName};
use crate::core::revision::Revision;
use crate::core::spec::RolloutKind;
use crate::core::time::Timestamp;

/// What is known of a service now. Pure data.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusView {
    /// The service.
    pub service: ServiceName,
    /// What it is to run: the target of its newest completed rollout; nothing before the first release.
    pub revision: Option<Revision>,
    /// The rollout that is running, paused or interrupted.
    pub rollout: Option<RolloutView>,
    /// The service's ordinary hosts in service.
    pub desired: u32,
    /// Instances that run.
    pub current: u32,
    /// Of these, those on the wanted revision (of a rollout its target, else `revision`).
    pub up_to_date: u32,
    /// Ready for `min_ready`.
    pub available: u32,
    /// Each host; side by side, one with two instances stands there twice, one after the other.
    pub instances: Vec<InstanceView>,
    /// Whether the hosts were looked at just now; else the ledger's memory is shown.
    pub live: bool,
    /// Hosts that are out of service: listed, not counted.
    pub out_of_service: Vec<HostName>,
    /// Who holds the service, so that unattended runs leave it alone.
    pub hold: Option<Remark>,
    /// What the comparison with the manifests found on each host; nothing when nobody asked for it.
    pub verified: Option<Vec<Verified>>,
    /// Now.
    pub now: Timestamp,
}

impl StatusView {
    /// Takes the counts of a rollout.
    #[must_use]
    pub fn with_counts(mut self, counts: Counts) -> Self {
        self.desired = counts.desired;
        self.current = counts.running;
        self.up_to_date = counts.up_to_date;
        self.available = counts.available;
        self
    }

    /// Puts what was seen on the hosts just now in the place of what the ledger remembers, and counts anew.
    #[must_use]
    pub fn looked_at(mut self, seen: Vec<InstanceView>) -> Self {
        for of_host in seen.chunk_by(|one, next| one.host == next.host) {
            let Some(InstanceView { host, .. }) = of_host.first() else {
                continue;
            };
            let is_of_host = |one: &InstanceView| one.host == *host;
            let place = self.instances.iter().position(is_of_host);
            let place = place.unwrap_or(self.instances.len());
            let old: Vec<_> = self
                .instances
                .extract_if(.., |one| is_of_host(one))
                .collect();
            let seen = of_host.iter().cloned().map(|mut one| {
                // The ledger knows since when, as long as nothing changed.
                let same = old.iter().find(|old| old.revision == one.revision);
                one.since = one.since.or(same.and_then(|old| old.since));
                one
            });
            self.instances.splice(place..place, seen);
        }
        self.live = true;
        self.counted()
    }

    /// Counts the instances as they are listed. One that is unreachable, or that nobody could look at, counts as running;
    /// a host with two that run is available once.
    #[must_use]
    pub fn counted(mut self) -> Self {
        let wanted = match (&self.rollout, &self.revision) {
            (Some(rollout), _) => Some(rollout.to.clone()),
            (None, Some(revision)) => Some(revision.reference().name),
            (None, None) => None,
        };
        let chosen =
            |which: fn(&InstanceView) -> bool| self.instances.iter().filter(move |one| which(one));
        let hosts = |which: fn(&InstanceView) -> bool| {
            let hosts: BTreeSet<_> = chosen(which).map(|one| &one.host).collect();
            hosts.len()
        };
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let is_running = |one: &InstanceView| {
            one.revision.is_some() || matches!(one.state.as_str(), "unreachable" | "refused")
        };
        let is_up_to_date = |one: &&InstanceView| wanted.is_some() && one.revision == wanted;
        let current = count(chosen(is_running).count());
        let up_to_date = count(self.instances.iter().filter(is_up_to_date).count());
        let available = count(hosts(|one| one.state == "available"));
        self.desired = count(hosts(|one| !one.spare));
        (self.current, self.up_to_date, self.available) = (current, up_to_date, available);
        self
    }
}

impl StatusView {
    /// What the comparison found of an instance. Of the two on a host only the one that it runs after a reboot is compared.
    fn found<'a>(&self, verified: &'a [Verified], one: &InstanceView) -> Option<&'a Compared> {
        let of_host = |other: &&InstanceView| other.host == one.host;
        let is_alone = self.instances.iter().filter(of_host).count() == 1;
        verify::of(verified, &one.host)
            .filter(|compared| is_alone || compared.revision == one.revision)
    }
}

/// One instance, or a host that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceView {
    /// Its host.
    pub host: HostName,
    /// Whether it carries the service only during a rollout.
    pub spare: bool,
    /// What it runs; nothing: no instance, or nobody knows.
    pub revision: Option<RevisionName>,
    /// A word: see [`super::state`].
    pub state: String,
    /// Since when; nothing when that is not known.
    pub since: Option<Timestamp>,
}

/// A rollout that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutView {
    /// Its number.
    pub id: RolloutId,
    /// Why it runs.
    pub kind: RolloutKind,
    /// A word: see [`super::state::phase`]; or `interrupted`.
    pub phase: String,
    /// The service's revision before.
    pub from: Option<RevisionName>,
    /// Its target.
    pub to: RevisionName,
    /// Who started it: `user@machine`.
    pub by: String,
    /// Who went on with it last.
    pub resumed_by: Option<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// Its budgets, for the sentences.
    pub budget: Budget,
    /// What it waits for.
    pub waiting_on: Vec<WaitReason>,
    /// Why it pauses, goes back or is being ended, in words.
    pub why: Option<String>,
    /// How many instances failed by us.
    pub failed: usize,
    /// Whether every host goes back to what it ran before.
    pub goes_back: bool,
}

/// The tables of one service for people.
pub fn status_table(view: &StatusView) -> String {
    let age = view
        .revision
        .as_ref()
        .map_or_else(|| "-".to_owned(), |one| age(view.now.since(one.created_at)));
    let revision = view.revision.as_ref().map_or_else(
        || "-".to_owned(),
        |one| one.reference().name.as_str().to_owned(),
    );
    let head = vec![
        view.service.as_str().to_owned(),
        revision,
        view.desired.to_string(),
        view.current.to_string(),
        view.up_to_date.to_string(),
        view.available.to_string(),
        age,
    ];
    let mut text = table(
        0,
        &[
            "SERVICE",
            "REVISION",
            "DESIRED",
            "CURRENT",
            "UP-TO-DATE",
            "AVAILABLE",
            "AGE",
        ],
        &[head],
    );
    text.push('\n');
    text.push_str(&hosts_table(view));
    if !view.live {
        text.push_str("(as last seen: the hosts were not asked)\n");
    }
    if let Some(verified) = &view.verified {
        text.push_str(&verify::lines(verified, &view.service));
    }
    if let Some(hold) = &view.hold {
        text.push_str(&format!("\n{}\n", held(hold, view)));
    }
    if let Some(rollout) = &view.rollout {
        text.push('\n');
        text.push_str(&rollout_lines(rollout, view));
    }
    text
}

fn held(hold: &Remark, view: &StatusView) -> String {
    let cause = hold.cause.as_deref();
    let why = cause.map_or_else(String::new, |why| format!(" ({})", super::printable(why)));
    format!(
        "held{why} for {} by {}: unattended runs leave it alone; `rollctl unhold {}` lifts it",
        age(view.now.since(hold.at)),
        super::printable(&hold.by),
        view.service
    )
}

fn hosts_table(view: &StatusView) -> String {
    let dash = || "-".to_owned();
    let mut rows: Vec<Vec<String>> = view
        .instances
        .iter()
        .map(|one| {
            vec![
                match one.spare {
                    true => format!("{} (spare)", one.host),
                    false => one.host.as_str().to_owned(),
                },
                one.revision
                    .as_ref()
                    .map_or_else(dash, |name| name.as_str().to_owned()),
                one.state.clone(),
                one.since.map_or_else(dash, |since| age_of(since, view.now)),
            ]
        })
        .collect();
    rows.extend(view.out_of_service.iter().map(|host| {
        let state = super::state::OUT_OF_SERVICE.to_owned();
        vec![host.as_str().to_owned(), dash(), state, dash()]
    }));
    let mut header = vec!["HOST", "REVISION", "STATE", "SINCE"];
    if let Some(verified) = &view.verified {
        header.push("VERIFIED");
        let found = view.instances.iter().map(|one| view.found(verified, one));
        for (row, found) in rows.iter_mut().zip(found.chain(std::iter::repeat(None))) {
            row.push(verify::word(found).to_owned());
        }
    }
    table(0, &header, &rows)
}

fn rollout_lines(rollout: &RolloutView, view: &StatusView) -> String {
    let from = rollout
        .from
        .as_ref()
        .filter(|from| **from != rollout.to)
        .map_or_else(String::new, |from| format!(" from `{from}`"));
    let why = rollout
        .why
        .as_ref()
        .map_or_else(String::new, |why| format!(" ({})", super::printable(why)));
    let resumed = rollout.resumed_by.as_ref().map_or_else(String::new, |by| {
        format!(", gone on with by {}", super::printable(by))
    });
    let mut text = format!(
        "rollout {} ({} of `{}`{from}) is {}{why}, started {} ago by {}{resumed}\n",
        rollout.id,
        rollout.kind,
        rollout.to,
        phase_in_words(&rollout.phase),
        age(view.now.since(rollout.started_at)),
        super::printable(&rollout.by),
    );
    for sentence in waits_in_words(&rollout.waiting_on, &rollout.budget, view.now) {
        text.push_str(&format!("  waiting: {sentence}\n"));
    }
    if let Some(hint) = hint(rollout, &view.service) {
        text.push_str(&format!("\nhint: {hint}\n"));
    }
    text
}

fn phase_in_words(phase: &str) -> &str {
    match phase {
        "at-step" => "at a step",
        "rolling-back" => "rolling back",
        phase => phase,
    }
}

/// What to type, where it waits for somebody.
fn hint(rollout: &RolloutView, service: &ServiceName) -> Option<String> {
    let RolloutView { id, .. } = rollout;
    let way_out = WayOut {
        service,
        kind: rollout.kind,
        from: rollout.from.as_ref(),
        to: &rollout.to,
        failed: rollout.failed,
        goes_back: rollout.goes_back,
    };
    let back = way_out.or_back();
    let waits_for_somebody = rollout
        .waiting_on
        .iter()
        .any(|reason| matches!(reason, WaitReason::Approval { .. }));
    match rollout.phase.as_str() {
        "paused" => Some(format!(
            "{}{back}; `rollctl describe {id}` tells all",
            way_out.resume_paused()
        )),
        "interrupted" => Some(format!("{}{back}", way_out.resume_interrupted())),
        "at-step" if waits_for_somebody => Some(format!(
            "`rollctl approve {service}` lets it go on; `rollctl abort {service}` ends it where it stands"
        )),
        _ => None,
    }
}

/// The object for programs.
pub fn status_json(view: &StatusView) -> Value {
    let instances: Vec<Value> = view
        .instances
        .iter()
        .map(|one| {
            let mut object = json!({
                "host": one.host,
                "revision": one.revision,
                "state": one.state,
                "since": one.since.map_or(Value::Null, moment),
            });
            if one.spare {
                object["spare"] = json!(true);
            }
            if let Some(verified) = &view.verified {
                verify::add_json(view.found(verified, one), &mut object);
            }
            object
        })
        .collect();
    json!({
        "version": 1,
        "service": view.service,
        "revision": view.revision.as_ref().map(|one| json!({
            "number": one.number,
            "name": one.reference().name,
            "digest": one.digest,
        })),
        "rollout": view.rollout.as_ref().map(|one| rollout_json(one, view.now)),
        "hold": view.hold.as_ref().map(remark),
        "desired": view.desired,
        "current": view.current,
        "up_to_date": view.up_to_date,
        "available": view.available,
        "instances": instances,
    })
}

fn rollout_json(rollout: &RolloutView, now: Timestamp) -> Value {
    let waiting_on: Vec<Value> = rollout
        .waiting_on
        .iter()
        .map(|reason| waiting(reason, &rollout.budget, now))
        .collect();
    json!({
        "id": rollout.id,
        "kind": rollout.kind,
        "phase": rollout.phase,
        "from": rollout.from,
        "to": rollout.to,
        "waiting_on": waiting_on,
    })
}

/// `{"reason","hosts":[],"text"}`: a word for programs, a sentence for people.
fn waiting(reason: &WaitReason, budget: &Budget, now: Timestamp) -> Value {
    let (word, hosts): (&str, &[HostName]) = match reason {
        WaitReason::FirstLook { hosts } => ("first_look", hosts),
        WaitReason::Working { host, .. } => ("working", std::slice::from_ref(host)),
        WaitReason::Settling { host, .. } => ("settling", std::slice::from_ref(host)),
        WaitReason::MinReady { host, .. } => ("min_ready", std::slice::from_ref(host)),
        WaitReason::NoHeadroom { unavailable, .. } => ("no_headroom", unavailable),
        WaitReason::InFlight { .. } => ("in_flight", &[]),
        WaitReason::NoRoom { .. } => ("no_room", &[]),
        WaitReason::Stale { hosts } => ("stale", hosts),
        WaitReason::Gate { .. } => ("gate", &[]),
        WaitReason::Baking { .. } => ("baking", &[]),
        WaitReason::Approval { .. } => ("approval", &[]),
        WaitReason::OtherValues { .. } => ("other_values", &[]),
        WaitReason::NoHeadroomInside { .. } => ("no_headroom_inside", &[]),
        WaitReason::Hook { .. } => ("hook", &[]),
        WaitReason::Pausing => ("pausing", &[]),
        WaitReason::Aborting => ("aborting", &[]),
        WaitReason::GoingBack => ("going_back", &[]),
    };
    json!({"reason": word, "hosts": hosts, "text": wait_in_words(reason, budget, now)})
}

/// Several services under one another, with the time for `--watch`.
pub fn watch_screen(views: &[StatusView], now: Timestamp) -> String {
    let tables: Vec<String> = views.iter().map(status_table).collect();
    format!("{}\n\n{}", clock(now), tables.join("\n"))
}

#[cfg(test)]
#[path = "status_tests.rs"]
pub(crate) mod tests;
