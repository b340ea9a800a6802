//! Side by side: each revision runs as an instance of a template, a unit of its own with a file of its own. Nothing is
//! replaced; what is not wanted any more is stopped and removed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::attest::{Comparison, Depth, compare};
use super::confirm::{as_started, failed};
use super::facts::{Facts, InstanceFacts, parse_started};
use super::guard::Guard;
use super::layout::folder_of;
use super::machine::{Machine, PATIENCE};
use super::preflight::check_host;
use super::script::{encoded, refused};
use super::switch::{ends, limit_of};
use super::systemd::parse_unit_text;
use super::upload::step;
use crate::core::event::{Runs, Started, Unproven};
use crate::core::fleet::Service;
use crate::core::ids::{RevisionName, RevisionRef, UnitName};
use crate::ports::{
    Attestation, Attested, Beside, Confirmed, Controller, HostError, HostErrorKind, HostFacts,
    Side, Stop, Switch,
};

/// The service as if the unit of that revision were its only one; as it is where revisions do not run side by side.
fn as_instance(service: &Service, of: Option<&RevisionName>) -> Service {
    Service {
        units: units_of(service, of).into_owned(),
        ..service.clone()
    }
}

/// The unit of that revision; all units where revisions do not run side by side.
pub(crate) fn units_of<'a>(service: &'a Service, of: Option<&RevisionName>) -> Cow<'a, [UnitName]> {
    match (service.template(), of) {
        (Some(template), Some(name)) => Cow::Owned(vec![template.instance(name)]),
        _ => Cow::Borrowed(&service.units),
    }
}

/// What a host runs: of its two instances the one that it runs after a reboot, and the other.
pub(crate) fn host_facts(facts: Facts) -> Result<HostFacts, HostError> {
    if let Some(stranger) = facts.strangers.first() {
        return Err(refused(
            format!("`{stranger}` runs, and rollctl did not start it"),
            Some(format!(
                "stop it: `systemctl disable --now {stranger}` on the host"
            )),
        ));
    }
    let main = facts
        .managed()
        .and_then(|revision| facts.instance(&revision.name).map(|one| (revision, one)));
    let others = || {
        let name = main.as_ref().map(|(revision, _)| revision.name.clone());
        let mut all = facts.instances.iter();
        let others: Vec<_> = all
            .by_ref()
            .filter(|one| Some(&one.name) != name.as_ref())
            .collect();
        // What nobody confirmed is what has to be seen to first.
        let unproven = others.iter().find(|one| !one.proven);
        unproven.or(others.first()).copied()
    };
    let beside = others().map(|one| Beside {
        revision: one.revision(),
        port: one.port,
        unit: one.unit.state.clone(),
        unproven: !one.proven,
    });
    let (runs, port, units) = match &main {
        Some((revision, one)) => (
            Runs::Revision {
                revision: revision.clone(),
            },
            Some(one.port),
            vec![one.unit.state.clone()],
        ),
        None => (Runs::Nothing, None, Vec::new()),
    };
    // A first instance that nobody confirmed is all that the host runs.
    let (runs, port, units, unproven, beside) = match (main.is_none(), beside) {
        (true, Some(first)) => (
            Runs::Revision {
                revision: first.revision.clone(),
            },
            Some(first.port),
            vec![first.unit.clone()],
            first.unproven.then_some(Unproven {
                before: Runs::Nothing,
            }),
            None,
        ),
        (_, beside) => (runs, port, units, None, beside),
    };
    Ok(HostFacts {
        runs,
        port,
        beside,
        unproven,
        unadopted: None,
        units,
        boot: facts.boot.clone(),
        architecture: facts.architecture.clone(),
        revisions: facts
            .kept
            .iter()
            .map(|(name, kept)| (name.clone(), kept.digest.clone()))
            .collect(),
        owner: facts.owner.clone(),
        epoch: facts.epoch,
    })
}

/// Compares the one that the host runs with its manifest; changes nothing.
pub(crate) async fn attest_host(
    machine: &Machine,
    service: &Service,
) -> Result<Attested, HostError> {
    let facts = machine.facts(service).await?;
    let main = facts.managed();
    let main = main
        .as_ref()
        .and_then(|revision| facts.instance(&revision.name));
    let Some(one) = main else {
        return Ok(Attested {
            runs: Runs::Nothing,
            attestation: None,
            drift: Vec::new(),
        });
    };
    let compared = compare_one(machine, service, &facts, one, Depth::Everything).await?;
    Ok(Attested {
        runs: Runs::Revision {
            revision: one.revision(),
        },
        attestation: compared.attestation,
        drift: compared.drift,
    })
}

async fn compare_one(
    machine: &Machine,
    service: &Service,
    facts: &Facts,
    one: &InstanceFacts,
    depth: Depth,
) -> Result<Comparison, HostError> {
    let of_one = facts.of_instance(one);
    let instance = as_instance(service, Some(&one.name));
    compare(machine, &instance, &of_one, &one.revision(), None, depth).await
}

/// The template, as the revision brings it: long-lived, and starting what lies in its own revision's folder.
pub(crate) fn check_template(
    service: &Service,
    facts: &Facts,
    texts: &BTreeMap<UnitName, String>,
    home: &str,
) -> Result<(), HostError> {
    let Some(template) = service.template() else {
        return Ok(());
    };
    let Some(text) = texts.get(template) else {
        return Err(refused(
            format!("the revision brings no unit file for `{template}`"),
            Some("give `unit_file`: side by side, each revision runs from its own".into()),
        ));
    };
    let text = parse_unit_text(text, home);
    if text.kind.as_deref() == Some("oneshot") {
        return Err(refused(
            format!("unit `{template}` is `Type=oneshot`: it does not stay up"),
            Some("rollctl rolls services that keep running".into()),
        ));
    }
    let own = format!("{}/revisions/%i", facts.dir);
    if text
        .exec_start
        .iter()
        .any(|exec| exec.reaches(std::slice::from_ref(&own)))
    {
        return Ok(());
    }
    let started = text
        .exec_start
        .first()
        .map_or("nothing", |exec| exec.path.as_str());
    Err(refused(
        format!("unit `{template}` starts `{started}`, which is not of its own revision"),
        Some(format!("let ExecStart name `{own}/{}`", service.binary)),
    ))
}

/// Starts a revision beside the one that runs, or in its place on another port.
pub(crate) async fn start(
    machine: &Machine,
    service: &Service,
    controller: &Controller,
    switch: &Switch,
    side: Side,
) -> Result<Started, HostError> {
    let facts = machine.facts(service).await?;
    check_host(service, &facts)?;
    let (Some(template), Some(to)) = (service.template(), switch.to.revision()) else {
        return Err(refused("there is nothing to start", None));
    };
    let Some(name) = facts.name_of(&to.digest) else {
        return Err(refused(
            format!("revision `{to}` is not on the host"),
            Some("it was removed after it was staged; run the command again".into()),
        ));
    };
    let limit = limit_of(
        facts.instances.iter().map(|one| one.unit.stop_timeout),
        service.health.deadline,
    );
    let drop_in = drop_in(&folder_of(&facts.dir, name), side.port);
    let mut request = ends(step("side_start", service, controller), controller, switch)
        .option("template", template)
        .option("to_name", name)
        .option("port", side.port)
        .option("drop_in", drop_in)
        .option("limit", limit.as_secs())
        .option("patience", limit.as_secs() + 60)
        .option("keeps", if side.keeps { "yes" } else { "no" })
        .option("guarded", if switch.guarded { "yes" } else { "no" });
    if switch.guarded {
        request = Guard::side(service, &facts, controller, switch, name, limit).add_to(request)?;
    }
    let answer = machine
        .step(request, limit.saturating_mul(2) + PATIENCE)
        .await?;
    parse_started(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| refused("the host's answer about the start makes no sense", None))
}

/// Reads back that an instance runs as it was started; from then on it is what the host runs.
pub(crate) async fn confirm(
    machine: &Machine,
    service: &Service,
    controller: &Controller,
    switch: &Switch,
    side: Side,
    started: &Started,
) -> Result<Confirmed, HostError> {
    let facts = machine.facts(service).await?;
    let (Some(template), Some(to)) = (service.template(), switch.to.revision()) else {
        return Err(failed("there is nothing to confirm".to_owned()));
    };
    let Some(one) = facts.instances.iter().find(|one| one.digest == to.digest) else {
        return Err(failed(match facts.fired.as_deref() {
            Some(fired) => format!("its dead-man's switch has taken `{to}` away again ({fired})"),
            None => format!("`{to}` has no instance here any more"),
        }));
    };
    let attestation = attest(machine, service, &facts, one).await?;
    let request = ends(
        step("side_confirm", service, controller),
        controller,
        switch,
    )
    .option("template", template)
    .option("to_name", &one.name)
    .option("keeps", if side.keeps { "yes" } else { "no" });
    machine.step(as_started(request, started), PATIENCE).await?;
    Ok(Confirmed { attestation })
}

async fn attest(
    machine: &Machine,
    service: &Service,
    facts: &Facts,
    one: &InstanceFacts,
) -> Result<Attestation, HostError> {
    let compared = compare_one(machine, service, facts, one, Depth::Running).await?;
    if !compared.drift.is_empty() {
        return Err(failed(compared.drift.join("; ")));
    }
    Ok(compared.attestation.unwrap_or(Attestation::FilesAndRestart))
}

/// Stops one instance and removes it; what stays is what the host runs from then on.
pub(crate) async fn stop(
    machine: &Machine,
    service: &Service,
    controller: &Controller,
    stop: &Stop,
) -> Result<(), HostError> {
    let facts = machine.facts(service).await?;
    let Some(template) = service.template() else {
        return Err(refused("its revisions do not run side by side", None));
    };
    let name = |revision: &RevisionRef| {
        let found = facts
            .instances
            .iter()
            .find(|one| one.digest == revision.digest);
        found.map_or_else(|| revision.name.clone(), |one| one.name.clone())
    };
    let limit = limit_of(
        facts.instances.iter().map(|one| one.unit.stop_timeout),
        Duration::from_secs(10),
    );
    let stays = stop
        .stays
        .as_ref()
        .map_or("-".to_owned(), |one| name(one).to_string());
    let request = step("side_stop", service, controller)
        .option("by", encoded(&controller.by))
        .option("rollout", controller.rollout)
        .option("hash", &stop.event_hash)
        .option("from_name", name(&stop.revision))
        .option("to_name", stays)
        .option("template", template)
        .option("limit", limit.as_secs())
        .option("patience", limit.as_secs() + 60);
    machine
        .step(request, limit.saturating_mul(2) + PATIENCE)
        .await
        .map(drop)
        .map_err(|error| HostError {
            kind: match error.kind {
                HostErrorKind::Refused => HostErrorKind::Failed,
                kind => kind,
            },
            ..error
        })
}

/// The drop-in of one revision's unit: its own environment, and the port that it has on this host.
pub(super) fn drop_in(folder: &str, port: u16) -> String {
    let path = format!("{folder}/.rollctl/environment").replace('%', "%%");
    format!("[Service]\nEnvironmentFile={path}\nEnvironment=PORT={port}\n")
}
