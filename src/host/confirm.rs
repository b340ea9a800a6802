//! Reading back: the wanted revision runs as it was started. Only this read counts as success.

use super::adopt;
use super::facts::{Facts, decode};
use super::layout::folder_of;
use super::machine::{Machine, PATIENCE, Queue};
use super::script::Request;
use super::switch::{ends, manifest};
use super::upload::step;
use crate::core::event::{Runs, Started};
use crate::core::fleet::Service;
use crate::core::ids::UnitName;
use crate::core::revision::{Adopted, FileContent, Manifest};
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
    let mut request = ends(step("confirm", service, controller), controller, switch)
        .option("to", facts.target())
        .option("boot", &facts.boot);
    for unit in &started.units {
        request = request
            .option("unit", &unit.unit)
            .option("expect", format!("{}:{}", unit.invocation, unit.restarts));
    }
    machine.step(request, PATIENCE).await?;
    Ok(Confirmed { attestation })
}

/// Compares what runs with the manifest.
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
    if found.is_some() {
        // As it was before rollctl came: found by its digest just now.
        return Ok(Attestation::FilesAndRestart);
    }
    let Some(name) = facts.name_of(&wanted.digest) else {
        return Err(failed(format!("`{wanted}` is not on the host")));
    };
    let folder = folder_of(&facts.dir, name);
    let Some(manifest) = manifest(machine, &folder).await? else {
        return Err(failed(format!("the manifest of `{wanted}` cannot be read")));
    };
    if matches!(manifest.adopted, Some(Adopted::Folder { .. })) {
        return Ok(Attestation::FilesAndRestart);
    }
    let request = service
        .units
        .iter()
        .fold(Request::new("attest"), |request, unit| {
            request.option("unit", unit)
        });
    let processes = parse_attest(&machine.read(Queue::Work, request).await?);
    let mut is_running_file = false;
    for process in &processes {
        is_running_file |= check_process(service, facts, &folder, &manifest, process)?;
    }
    if is_running_file {
        return Ok(Attestation::RunningFile);
    }
    let request = Request::new("have")
        .option("dir", super::machine::dir(service))
        .option("name", name)
        .option("digest", &wanted.digest);
    match machine.read(Queue::Work, request).await?.as_slice() {
        b"whole\n" => Ok(Attestation::FilesAndRestart),
        _ => Err(failed(format!(
            "files of `{wanted}` in `{folder}` were changed"
        ))),
    }
}

/// Whether the process runs a file of the revision; an error when it runs another where that one should be.
fn check_process(
    service: &Service,
    facts: &Facts,
    folder: &str,
    manifest: &Manifest,
    process: &Process,
) -> Result<bool, HostError> {
    let sum_of = |path: &str| {
        manifest.files.iter().find_map(|file| match &file.content {
            FileContent::File { sha256, .. } if file.path == path => Some(sha256.as_str()),
            _ => None,
        })
    };
    let exe = process
        .exe
        .strip_suffix(" (deleted)")
        .unwrap_or(&process.exe);
    if exe.is_empty() {
        // Restricted rights do not show the path: a known content is proof enough, another may be an interpreter.
        return Ok(manifest.files.iter().any(|file| {
            matches!(&file.content, FileContent::File { sha256, .. } if *sha256 == process.sha256)
        }));
    }
    let origin = match &manifest.adopted {
        Some(Adopted::File { origin }) => Some(origin.as_str()),
        _ => None,
    };
    let expected = if let Some(path) = exe.strip_prefix(&format!("{folder}/")) {
        sum_of(path)
    } else if service.link.as_deref() == Some(exe) || origin == Some(exe) {
        sum_of(&service.binary)
    } else if exe.starts_with(&format!("{}/", facts.dir)) {
        None
    } else {
        return Ok(false);
    };
    if expected == Some(process.sha256.as_str()) {
        return Ok(true);
    }
    Err(failed(format!(
        "`{}` runs `{exe}`, which is not the file of the revision",
        process.unit
    )))
}

/// The main process of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    unit: UnitName,
    /// Empty: unknown.
    exe: String,
    sha256: String,
}

fn parse_attest(output: &[u8]) -> Vec<Process> {
    let mut all: Vec<Process> = Vec::new();
    for line in String::from_utf8_lossy(output).lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        match (name, all.last_mut()) {
            ("unit", _) => {
                if let Some((unit, pid)) = value.split_once(' ')
                    && pid != "0"
                {
                    all.push(Process {
                        unit: UnitName::new(unit),
                        exe: String::new(),
                        sha256: String::new(),
                    });
                }
            }
            ("exe", Some(process)) => process.exe = decode(value).unwrap_or_default(),
            ("sha256", Some(process)) => process.sha256 = value.to_owned(),
            _ => {}
        }
    }
    all
}

fn failed(message: String) -> HostError {
    HostError {
        kind: HostErrorKind::Failed,
        message,
        hint: None,
    }
}
