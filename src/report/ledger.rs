//! What `ledger verify` and `ledger rebuild` found.

use serde_json::{Value, json};

use super::count::counted;
use super::escape::printable;
use crate::core::ids::{HostName, LedgerId, RolloutId, ServiceName};

/// What an audit of a ledger found. Pure data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditView {
    /// Which ledger.
    pub ledger: LedgerId,
    /// Of each service, in the order of their names.
    pub services: Vec<AuditedService>,
    /// The first number in the order of all events that none has.
    pub gap: Option<i64>,
}

/// What was found of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedService {
    /// Which.
    pub service: ServiceName,
    /// How many events are as they were written; those from a break on do not count.
    pub events: u64,
    /// Where its chain breaks.
    pub broken: Option<BrokenEvent>,
    /// Its hosts, where they were asked.
    pub hosts: Vec<AuditedHost>,
}

/// Where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenEvent {
    /// In which rollout.
    pub rollout: RolloutId,
    /// At which event of it.
    pub seq: u64,
    /// What is wrong with it.
    pub problem: String,
}

/// What was found when a host's journal was compared with the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedHost {
    /// Which.
    pub host: HostName,
    /// How many lines of its journal were compared; why none could be.
    pub compared: Result<usize, String>,
    /// What the one has and the other has not.
    pub differences: Vec<String>,
}

/// For people.
pub fn audit_text(view: &AuditView) -> String {
    let mut text = format!("ledger {}\n", view.ledger);
    if view.services.is_empty() {
        text.push_str("it has no events yet\n");
    }
    for one in &view.services {
        text.push_str(&match &one.broken {
            None => format!(
                "{}: {} events, the chain is whole\n",
                one.service, one.events
            ),
            Some(broken) => format!(
                "{}: BROKEN at event {} of rollout {}: {}; the {} before it are whole\n",
                one.service, broken.seq, broken.rollout, broken.problem, one.events
            ),
        });
        for host in &one.hosts {
            match &host.compared {
                Ok(lines) if host.differences.is_empty() => text.push_str(&format!(
                    "  {}: the ledger agrees with {} of its journal\n",
                    host.host,
                    counted(*lines, "line")
                )),
                Ok(_) => {}
                Err(why) => {
                    text.push_str(&format!(
                        "  {}: not compared: {}\n",
                        host.host,
                        printable(why)
                    ));
                }
            }
            for difference in &host.differences {
                text.push_str(&format!(
                    "  {}: DIFFERS: {}\n",
                    host.host,
                    printable(difference)
                ));
            }
        }
    }
    if let Some(gap) = view.gap {
        text.push_str(&format!("event {gap} of the ledger is missing\n"));
    }
    text
}

/// For programs.
pub fn audit_json(view: &AuditView) -> Value {
    let host = |one: &AuditedHost| {
        json!({
            "host": one.host,
            "lines": one.compared.as_ref().ok(),
            "not_compared": one.compared.as_ref().err(),
            "differences": one.differences,
        })
    };
    let service = |one: &AuditedService| {
        let broken = one.broken.as_ref().map(|broken| {
            json!({"rollout": broken.rollout, "seq": broken.seq, "problem": broken.problem})
        });
        json!({
            "service": one.service,
            "events": one.events,
            "broken": broken,
            "hosts": one.hosts.iter().map(host).collect::<Vec<_>>(),
        })
    };
    json!({
        "version": 1,
        "ledger": view.ledger,
        "services": view.services.iter().map(service).collect::<Vec<_>>(),
        "missing_event": view.gap,
    })
}

/// What `ledger rebuild` made of one service. Pure data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuiltService {
    /// Which.
    pub service: ServiceName,
    /// What was read back; nothing: the ledger has it already, and it was left alone.
    pub found: Option<Rebuilt>,
}

/// What was read back of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many revisions.
    pub revisions: usize,
    /// How many rollouts.
    pub rollouts: usize,
    /// From how many hosts.
    pub hosts: usize,
    /// What somebody should know.
    pub notes: Vec<String>,
    /// Hosts that could not be read, and why.
    pub missing: Vec<(HostName, String)>,
    /// The ledgers that manage it on its hosts, and the machine of each.
    pub owners: Vec<(LedgerId, String)>,
}

/// For people.
pub fn rebuilt_text(services: &[RebuiltService]) -> String {
    services.iter().map(rebuilt_service).collect()
}

fn rebuilt_service(one: &RebuiltService) -> String {
    let service = &one.service;
    let Some(found) = &one.found else {
        return format!("{service}: the ledger has it already; it was left as it is\n");
    };
    let mut text = match found.revisions + found.rollouts {
        0 => format!(
            "{service}: its hosts remember nothing ({} read)\n",
            found.hosts
        ),
        _ => format!(
            "{service}: {} and {}, from {}\n",
            counted(found.revisions, "revision"),
            counted(found.rollouts, "rollout"),
            counted(found.hosts, "host")
        ),
    };
    for note in &found.notes {
        text.push_str(&format!("  {}\n", printable(note)));
    }
    for (host, why) in &found.missing {
        text.push_str(&format!("  {host}: not read: {}\n", printable(why)));
    }
    for (ledger, machine) in &found.owners {
        text.push_str(&format!(
            "  its hosts still belong to the ledger {ledger} on {}: the next release, rollback or restart needs `--take-over`, once\n",
            printable(machine)
        ));
    }
    text
}

/// For programs.
pub fn rebuilt_json(services: &[RebuiltService]) -> Value {
    let service = |one: &RebuiltService| match &one.found {
        None => json!({"service": one.service, "rebuilt": false}),
        Some(found) => json!({
            "service": one.service,
            "rebuilt": found.revisions + found.rollouts > 0,
            "revisions": found.revisions,
            "rollouts": found.rollouts,
            "hosts": found.hosts,
            "notes": found.notes,
            "not_read": found.missing.iter().map(|(host, why)| json!({"host": host, "reason": why})).collect::<Vec<_>>(),
            "owners": found.owners.iter().map(|(ledger, machine)| json!({"ledger": ledger, "machine": machine})).collect::<Vec<_>>(),
        }),
    };
    json!({"version": 1, "services": services.iter().map(service).collect::<Vec<_>>()})
}
