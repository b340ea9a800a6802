//! Reading back: the wanted revision runs as it was started. Only this read counts as success.

use super::adopt;
use super::attest::{Depth, compare};
use super::facts::Facts;
use super::machine::{Machine, PATIENCE};
use super::script::Request;
use super::switch::ends;
use super::upload::step;
use crate::core::event::{Runs, Started};
use crate::core::fleet::Service;
use crate::ports::{Attestation, Confirmed, Controller, HostError, HostErrorKind, Switch};

/// Confirms a switch.
pub(crate) async fn confirm(
    machine: &Machine,
    service: &Service,
    controller: &Controller,
    switch: &Switch,
    started: &Started,
) -> Result<Confirmed, HostError> {
    let facts = machine.facts(service).await?;
    let attestation = attest(machine, service, &facts, &switch.to).await?;
    let request = ends(step("confirm", service, controller), controller, switch)
        .option("to", facts.target())
        .option("boot", &facts.boot);
    machine.step(as_started(request, started), PATIENCE).await?;
    Ok(Confirmed { attestation })
}

/// Which units have to run, and as which start of theirs.
pub(crate) fn as_started(request: Request, started: &Started) -> Request {
    started.units.iter().fold(request, |request, unit| {
        request
            .option("unit", &unit.unit)
            .option("expect", format!("{}:{}", unit.invocation, unit.restarts))
    })
}

/// Compares what runs with the manifest: any difference is an error.
async fn attest(
    machine: &Machine,
    service: &Service,
    facts: &Facts,
    to: &Runs,
) -> Result<Attestation, HostError> {
    let (runs, found) = adopt::runs(machine, service, facts).await?;
    let Some(wanted) = to.revision() else {
        return match runs.revision() {
            None => Ok(Attestation::FilesAndRestart),
            Some(revision) => Err(failed(format!("`{revision}` runs, though nothing should"))),
        };
    };
    if !runs.is(wanted) {
        if let Some((at, name)) = facts.fired.as_deref().and_then(|text| text.split_once(' ')) {
            let back = match name {
                "-" => "stopped it again".to_owned(),
                name => format!("put `{name}` back"),
            };
            return Err(failed(format!("its dead-man's switch has {back} at {at}")));
        }
        return Err(failed(format!("`{wanted}` is not in place")));
    }
    let compared = compare(
        machine,
        service,
        facts,
        wanted,
        found.as_ref(),
        Depth::Running,
    )
    .await?;
    if !compared.drift.is_empty() {
        return Err(failed(compared.drift.join("; ")));
    }
    // Whether the units are up is read back under the lock.
    Ok(compared.attestation.unwrap_or(Attestation::FilesAndRestart))
}

pub(crate) fn failed(message: String) -> HostError {
    HostError {
        kind: HostErrorKind::Failed,
        message,
        hint: None,
    }
}
