//! `plan`: what a release would do, in which order. Contract, section 6.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::json::budget;
use super::printable;
use super::signers::{signed_by, signers_json};
use super::table::table;
use crate::core::budget::Budget;
use crate::core::hooks::HookKind;
use crate::core::ids::{HostName, ServiceName};
use crate::core::program::{Program, RunsOn};
use crate::core::revision::Signer;

/// What a rollout would do. Pure data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanView {
    /// The service.
    pub service: ServiceName,
    /// The name of the revision that it is on; nothing before the first release.
    pub from: Option<String>,
    /// The name that the revision would get.
    pub to: String,
    /// Resolved budgets.
    pub budget: Budget,
    /// Every host, in the order in which its turn would come; those with nothing to do last.
    pub instances: Vec<PlannedInstance>,
    /// What the operator's programs would be run for, and which.
    pub hooks: BTreeMap<HookKind, Program>,
    /// Who signed the revision; empty where no signature is asked for.
    pub signed_by: Vec<Signer>,
    /// What a person should know before.
    pub warnings: Vec<String>,
}

/// One host in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedInstance {
    /// Its name.
    pub host: HostName,
    /// What it runs; nothing: no instance, or nobody knows.
    pub from: Option<String>,
    /// What it would run.
    pub to: Option<String>,
    /// How.
    pub method: Method,
    /// From 1: those of one wave could be in work at once; nothing: not touched. A help for the eye; there is no barrier.
    pub wave: Option<u32>,
    /// Why now, or why not at all: `absent: costs no availability`.
    pub reason: String,
}

/// How an instance gets the new revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Nothing runs there.
    Start,
    /// The old one is stopped, the new one started on the same port.
    InPlace,
    /// The new one is started next to the old one.
    SideBySide,
    /// On a spare host.
    Spare,
    /// Not touched.
    None,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Start => "start",
            Self::InPlace => "in-place",
            Self::SideBySide => "side-by-side",
            Self::Spare => "spare",
            Self::None => "none",
        })
    }
}

/// The table for people.
pub fn plan_table(view: &PlanView) -> String {
    let touched = view
        .instances
        .iter()
        .filter(|one| one.method != Method::None)
        .count();
    let from = view
        .from
        .as_ref()
        .filter(|from| **from != view.to)
        .map_or_else(String::new, |from| format!(" from `{from}`"));
    if touched == 0 {
        let is_there = |one: &PlannedInstance| one.from.as_deref() == Some(view.to.as_str());
        let why = match view.instances.iter().all(is_there) {
            true => "nothing to do",
            false => "no host would be switched",
        };
        let mut text = format!("{why}: `{}` would stay as it is\n\n", view.service);
        text.push_str(&instances(view));
        text.push_str(&warnings(view));
        return text;
    }
    let b = view.budget;
    let surge = match b.max_surge {
        0 => String::new(),
        _ => format!(", at most {} running", b.max_total()),
    };
    let mut text = format!(
        "`{}` to `{}`{from}: {touched} of {} hosts, at least {} of {} available all the time{surge}\n\n",
        view.service,
        view.to,
        view.instances.len(),
        b.min_available(),
        b.desired,
    );
    text.push_str(&instances(view));
    text.push_str(&hooks(view));
    if !view.signed_by.is_empty() {
        text.push_str(&format!("\nsigned by {}\n", signed_by(&view.signed_by)));
    }
    text.push_str(&warnings(view));
    text.push_str(
        "\nhosts of one wave are in work at once; there is no pause between waves: each begins when there is room\n",
    );
    text
}

fn instances(view: &PlanView) -> String {
    let dash = || "-".to_owned();
    let rows: Vec<_> = view
        .instances
        .iter()
        .map(|one| {
            vec![
                one.wave.map_or_else(dash, |wave| wave.to_string()),
                one.host.as_str().to_owned(),
                one.from.clone().unwrap_or_else(dash),
                one.to.clone().unwrap_or_else(dash),
                one.method.to_string(),
                one.reason.clone(),
            ]
        })
        .collect();
    table(0, &["WAVE", "HOST", "FROM", "TO", "METHOD", "WHY"], &rows)
}

/// `hooks: before_rollout `check-freeze`, after_instance `smoke` on the host`: programs, whose arguments nobody needs here.
fn hooks(view: &PlanView) -> String {
    let told: Vec<_> = view
        .hooks
        .iter()
        .map(|(kind, hook)| {
            let place = match hook.on {
                RunsOn::Controller => "",
                RunsOn::Host => " on the host",
            };
            format!("{kind} `{}`{place}", printable(program(hook)))
        })
        .collect();
    match told.is_empty() {
        true => String::new(),
        false => format!("\nhooks: {}\n", told.join(", ")),
    }
}

fn program(hook: &Program) -> &str {
    hook.run.first().map_or("", String::as_str)
}

fn hooks_json(view: &PlanView) -> Vec<Value> {
    let one = |(kind, hook): (&HookKind, &Program)| {
        let on = match hook.on {
            RunsOn::Controller => "controller",
            RunsOn::Host => "host",
        };
        json!({
            "hook": kind,
            "on": on,
            "program": program(hook),
            "timeout_seconds": hook.timeout.as_secs_f64(),
        })
    };
    view.hooks.iter().map(one).collect()
}

fn warnings(view: &PlanView) -> String {
    view.warnings
        .iter()
        .map(|warning| format!("\nwarning: {}\n", printable(warning)))
        .collect()
}

/// The object for programs.
pub fn plan_json(view: &PlanView) -> Value {
    let instances: Vec<Value> = view
        .instances
        .iter()
        .map(|one| {
            json!({
                "host": one.host,
                "from": one.from,
                "to": one.to,
                "method": one.method.to_string(),
            })
        })
        .collect();
    json!({
        "version": 1,
        "service": view.service,
        "from": view.from,
        "to": view.to,
        "budget": budget(&view.budget),
        "instances": instances,
        "hooks": hooks_json(view),
        "signed_by": signers_json(&view.signed_by),
        "warnings": view.warnings,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::sample::host;

    fn planned(
        name: &str,
        from: Option<&str>,
        method: Method,
        wave: Option<u32>,
        reason: &str,
    ) -> PlannedInstance {
        PlannedInstance {
            host: host(name),
            from: from.map(str::to_owned),
            to: Some("v1.4.2".to_owned()),
            method,
            wave,
            reason: reason.to_owned(),
        }
    }

    fn hook(on: RunsOn, program: &str) -> Program {
        Program {
            on,
            run: vec![program.to_owned(), "--token".to_owned()],
            timeout: Duration::from_secs(30),
        }
    }

    fn view() -> PlanView {
        PlanView {
            signed_by: Vec::new(),
            service: ServiceName::new("web"),
            from: Some("v1.4.1".to_owned()),
            to: "v1.4.2".to_owned(),
            budget: Budget {
                desired: 4,
                max_surge: 0,
                max_unavailable: 1,
            },
            instances: vec![
                planned(
                    "web-04",
                    None,
                    Method::Start,
                    Some(1),
                    "absent: costs no availability",
                ),
                planned(
                    "web-01",
                    Some("v1.4.1"),
                    Method::InPlace,
                    Some(1),
                    "within max_unavailable",
                ),
                planned(
                    "web-02",
                    Some("v1.4.1"),
                    Method::InPlace,
                    Some(2),
                    "when web-01 is available",
                ),
                planned(
                    "web-03",
                    Some("v1.4.2"),
                    Method::None,
                    None,
                    "runs it already",
                ),
            ],
            hooks: BTreeMap::from([
                (
                    HookKind::BeforeRollout,
                    hook(RunsOn::Controller, "/etc/fleet/check-freeze"),
                ),
                (HookKind::AfterInstance, hook(RunsOn::Host, "smoke")),
            ]),
            warnings: vec!["strip the artifact: 45 MB of debug information".to_owned()],
        }
    }

    #[test]
    fn order_waves_and_reasons() {
        insta::assert_snapshot!(plan_table(&view()));
    }

    #[test]
    fn nothing_to_do_is_said_first() {
        let mut view = view();
        view.instances.drain(..3);
        view.warnings.clear();
        insta::assert_snapshot!(plan_table(&view));
    }

    #[test]
    fn programs_get_the_contracts_keys() {
        assert_eq!(
            plan_json(&view()),
            json!({
                "version": 1,
                "service": "web",
                "from": "v1.4.1",
                "to": "v1.4.2",
                "budget": {
                    "desired": 4,
                    "max_surge": 0,
                    "max_unavailable": 1,
                    "max_total": 4,
                    "min_available": 3,
                },
                "instances": [
                    {"host": "web-04", "from": null, "to": "v1.4.2", "method": "start"},
                    {"host": "web-01", "from": "v1.4.1", "to": "v1.4.2", "method": "in-place"},
                    {"host": "web-02", "from": "v1.4.1", "to": "v1.4.2", "method": "in-place"},
                    {"host": "web-03", "from": "v1.4.2", "to": "v1.4.2", "method": "none"},
                ],
                "hooks": [
                    {"hook": "before_rollout", "on": "controller", "program": "/etc/fleet/check-freeze", "timeout_seconds": 30.0},
                    {"hook": "after_instance", "on": "host", "program": "smoke", "timeout_seconds": 30.0},
                ],
                "signed_by": [],
                "warnings": ["strip the artifact: 45 MB of debug information"],
            })
        );
    }
}
