//! One service on its hosts: the port that the driver works with.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::adopt;
use super::attest::attest;
use super::confirm::confirm;
use super::facts::{Facts, decode};
use super::machine::{Machine, PATIENCE, Queue};
use super::payload::Payloads;
use super::preflight::{check_host, check_place, check_socket, check_units};
use super::pull::wanted_tools;
use super::remembered::remembered;
use super::script::{Request, encoded, refused};
use super::side;
use super::stage::{Depot, Stage};
use super::switch::switch;
use super::systemd::parse_show;
use super::upload::step;
use crate::core::event::{Runs, Started};
use crate::core::fleet::{Scope, Service};
use crate::core::ids::{BootId, HostName, RevisionName, UnitName};
use crate::core::revision::Revision;
use crate::ports::{
    Artifacts, Attested, Clock, Confirmed, Controller, HostError, HostFacts, Hosts, JournalExcerpt,
    PackageContents, Remembered, Staged, Stop, Stream, Switch, UnitState, UploadProgress,
};

/// One service on its hosts, over SSH.
pub struct ServiceHosts {
    service: Service,
    machines: BTreeMap<HostName, Machine>,
    depot: Depot,
    clock: Arc<dyn Clock>,
}

impl ServiceHosts {
    pub(crate) fn with_machines(
        service: Service,
        machines: impl IntoIterator<Item = Machine>,
        artifacts: Arc<dyn Artifacts>,
        clock: Arc<dyn Clock>,
        max_uploads: usize,
    ) -> Self {
        Self {
            service,
            machines: machines
                .into_iter()
                .map(|machine| (machine.name.clone(), machine))
                .collect(),
            depot: Depot {
                artifacts,
                payloads: Payloads::default(),
                fetching: Mutex::new(HashMap::new()),
                uploads: tokio::sync::Semaphore::new(max_uploads.max(1)),
            },
            clock,
        }
    }

    fn machine(&self, host: &HostName) -> Result<&Machine, HostError> {
        self.machines.get(host).ok_or_else(|| {
            refused(
                format!("host `{host}` is gone from the inventory, or out of service"),
                None,
            )
        })
    }
}

fn with_units(units: &[UnitName], request: Request) -> Request {
    let add = |request: Request, unit: &UnitName| request.arg(unit.as_str());
    units.iter().fold(request, add)
}

/// Names and paths that a line on the host cannot hold, or that a command would take for an option.
fn check_service(service: &Service) -> Result<(), HostError> {
    let odd = |text: &str| text.contains(['\n', '\r', '\0']);
    for unit in &service.units {
        let is_plain = unit
            .as_str()
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c));
        if !is_plain || unit.as_str().starts_with('-') {
            return Err(refused(format!("`{unit}` is not the name of a unit"), None));
        }
    }
    let paths = [
        ("install_dir", Some(&service.install_dir)),
        ("binary", Some(&service.binary)),
        ("link", service.link.as_ref()),
    ];
    for (key, path) in paths {
        if path.is_some_and(|path| odd(path)) {
            return Err(refused(format!("`{key}` has a line break in it"), None));
        }
    }
    Ok(())
}

#[async_trait]
impl Hosts for ServiceHosts {
    async fn observe(&self, host: &HostName) -> Result<HostFacts, HostError> {
        check_service(&self.service)?;
        let machine = self.machine(host)?;
        let facts = machine.facts(&self.service).await?;
        if self.service.template().is_some() {
            return side::host_facts(facts);
        }
        let (runs, found) = adopt::runs(machine, &self.service, &facts).await?;
        check_absent(&facts, &runs)?;
        Ok(host_facts(facts, runs, found))
    }

    async fn check(&self, host: &HostName) -> Result<String, HostError> {
        check_service(&self.service)?;
        let machine = self.machine(host)?;
        let facts = machine.facts(&self.service).await?;
        check_host(&self.service, &facts)?;
        check_socket(&self.service, &facts)?;
        if self.service.unit_files.is_empty() {
            check_units(&self.service, &facts, &BTreeMap::new(), false)?;
        }
        check_place(
            machine,
            &self.service,
            &facts,
            &PackageContents::default(),
            Some(0),
            None,
        )
        .await?;
        let rights = match (facts.uid, machine.manner.uses_sudo()) {
            _ if self.service.scope == Scope::User => "its own user manager",
            (0, true) => "root by sudo",
            (0, false) => "root",
            _ => "sudo for the unit only",
        };
        let sockets = facts.units.iter().flat_map(|unit| &unit.sockets);
        let sockets: Vec<_> = sockets.map(|socket| format!("`{socket}`")).collect();
        let activated = match sockets.is_empty() {
            true => String::new(),
            false => format!(", activated by {}", sockets.join(", ")),
        };
        let wanted = wanted_tools(&self.service, self.depot.artifacts.is_pulled_from());
        let lacking = match wanted.iter().find(|tool| !facts.tools.contains(**tool)) {
            Some(tool) => format!(", no `{tool}`: artifacts come through SSH"),
            None => String::new(),
        };
        Ok(format!(
            "systemd {}, {}, {rights}{activated}{lacking}",
            facts.systemd, facts.architecture
        ))
    }

    async fn attest(&self, host: &HostName) -> Result<Attested, HostError> {
        check_service(&self.service)?;
        let machine = self.machine(host)?;
        match self.service.template() {
            Some(_) => side::attest_host(machine, &self.service).await,
            None => attest(machine, &self.service).await,
        }
    }

    async fn remembered(&self, host: &HostName) -> Result<Remembered, HostError> {
        remembered(self.machine(host)?, &self.service).await
    }

    async fn claim(&self, host: &HostName, controller: &Controller) -> Result<(), HostError> {
        check_service(&self.service)?;
        let request = step("claim", &self.service, controller)
            .option("machine", encoded(&controller.owner.machine))
            .option("service", &self.service.name)
            .option("rollout", controller.rollout)
            .option("by", encoded(&controller.by))
            .option("takes", if controller.takes_hosts { "yes" } else { "" });
        self.machine(host)?
            .step(request, PATIENCE)
            .await
            .map(|_| ())
    }

    async fn stage(
        &self,
        host: &HostName,
        controller: &Controller,
        revision: &Revision,
        progress: UploadProgress<'_>,
    ) -> Result<Staged, HostError> {
        let stage = Stage {
            machine: self.machine(host)?,
            service: &self.service,
            controller,
            depot: &self.depot,
            now: self.clock.now(),
        };
        stage.run(revision, progress).await
    }

    async fn switch(
        &self,
        host: &HostName,
        controller: &Controller,
        wanted: &Switch,
    ) -> Result<Started, HostError> {
        let machine = self.machine(host)?;
        match wanted.side {
            Some(how) => side::start(machine, &self.service, controller, wanted, how).await,
            None => switch(machine, &self.service, controller, wanted).await,
        }
    }

    async fn stop(
        &self,
        host: &HostName,
        controller: &Controller,
        wanted: &Stop,
    ) -> Result<(), HostError> {
        side::stop(self.machine(host)?, &self.service, controller, wanted).await
    }

    async fn confirm(
        &self,
        host: &HostName,
        controller: &Controller,
        switch: &Switch,
        started: &Started,
    ) -> Result<Confirmed, HostError> {
        let (machine, service) = (self.machine(host)?, &self.service);
        match switch.side {
            Some(how) => side::confirm(machine, service, controller, switch, how, started).await,
            None => confirm(machine, service, controller, switch, started).await,
        }
    }

    async fn prune(
        &self,
        host: &HostName,
        controller: &Controller,
        keep: &[RevisionName],
    ) -> Result<Vec<RevisionName>, HostError> {
        let request = keep
            .iter()
            .fold(step("prune", &self.service, controller), |request, name| {
                request.option("keep", name)
            });
        let answer = self.machine(host)?.step(request, PATIENCE).await?;
        Ok(String::from_utf8_lossy(&answer)
            .lines()
            .filter_map(|line| decode(line.strip_prefix("pruned ")?))
            .filter_map(|name| RevisionName::parse(&name).ok())
            .collect())
    }

    async fn units(
        &self,
        host: &HostName,
        of: Option<&RevisionName>,
    ) -> Result<(BootId, Vec<UnitState>), HostError> {
        let names = side::units_of(&self.service, of);
        let request = with_units(&names, Request::new("units"));
        let answer = self.machine(host)?.read(Queue::Poll, request).await?;
        let answer = String::from_utf8_lossy(&answer);
        let (boot, shown) = answer.split_once('\n').unwrap_or((&answer, ""));
        let units = parse_show(shown, &names)
            .ok_or_else(|| refused("systemd's answer makes no sense", None))?;
        Ok((
            BootId::new(boot),
            units.into_iter().map(|unit| unit.state).collect(),
        ))
    }

    async fn run_check(
        &self,
        host: &HostName,
        command: &str,
        timeout: Duration,
    ) -> Result<(i32, String), HostError> {
        let seconds = format!("{}", timeout.as_secs_f64().max(0.1));
        let request = Request::new("check").arg(seconds).arg(command);
        let answer = self.machine(host)?.read(Queue::Look, request).await?;
        let answer = String::from_utf8_lossy(&answer);
        let (status, output) = answer.split_once('\n').unwrap_or((&answer, ""));
        Ok((status.parse().unwrap_or(-1), output.to_owned()))
    }

    async fn journal(
        &self,
        host: &HostName,
        of: Option<&RevisionName>,
        lines: usize,
    ) -> Result<JournalExcerpt, HostError> {
        let names = side::units_of(&self.service, of);
        let request = with_units(&names, Request::new("journal").arg(lines.to_string()));
        let answer = self.machine(host)?.read(Queue::Look, request).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.kind == crate::ports::HostErrorKind::Failed => {
                return Ok(JournalExcerpt::NotReadable);
            }
            Err(error) => return Err(error),
        };
        Ok(excerpt(&String::from_utf8_lossy(&answer)))
    }

    async fn dial(
        &self,
        host: &HostName,
        address: &str,
        port: u16,
    ) -> Result<Box<dyn Stream>, HostError> {
        self.machine(host)?.shell.dial(address, port).await
    }

    async fn rest(&self, host: &HostName) {
        if let Ok(machine) = self.machine(host)
            && machine.shell.idle().is_some()
        {
            machine.rest().await;
        }
    }

    async fn close(&self, host: &HostName) {
        if let Ok(machine) = self.machine(host) {
            machine.close().await;
        }
    }
}

/// Where something runs there is an instance, also when its files are gone: taken for absent it would go down without
/// regard to any budget.
pub(crate) fn check_absent(facts: &Facts, runs: &Runs) -> Result<(), HostError> {
    let active = facts
        .units
        .iter()
        .find(|unit| matches!(unit.state.active.as_str(), "active" | "reloading"));
    let (Runs::Nothing, None, Some(unit)) = (runs, facts.cut_off(), active) else {
        return Ok(());
    };
    let unit = &unit.state.started.unit;
    let files = match facts.target() {
        "" => "what it was started from is gone".to_owned(),
        target => format!(
            "`{}/current` leads to `{target}`, which is not whole",
            facts.dir
        ),
    };
    Err(refused(
        format!("`{unit}` is active, but {files}"),
        Some(format!(
            "put the files back; or `systemctl stop {unit}`, and it is started as one that is absent"
        )),
    ))
}

fn host_facts(facts: Facts, runs: Runs, found: Option<adopt::Found>) -> HostFacts {
    let revisions: BTreeMap<_, _> = facts
        .kept
        .iter()
        .map(|(name, kept)| (name.clone(), kept.digest.clone()))
        .collect();
    HostFacts {
        runs,
        port: None,
        beside: None,
        // One that was cut off is counted as what it becomes at the next claim: nothing then is armed.
        unproven: match facts.cut_off() {
            Some(_) => None,
            None => facts.unproven,
        },
        unadopted: found
            .filter(|found| !revisions.values().any(|digest| *digest == found.digest))
            .map(|found| found.adopted),
        units: facts.units.into_iter().map(|unit| unit.state).collect(),
        boot: facts.boot,
        architecture: facts.architecture,
        revisions,
        owner: facts.owner,
        epoch: facts.epoch,
    }
}

/// The first line of the script's answer says whether the journal could be read.
fn excerpt(answer: &str) -> JournalExcerpt {
    match answer.split_once('\n') {
        Some(("readable", lines)) => JournalExcerpt::Lines(
            lines
                .lines()
                .filter(|line| !line.starts_with("-- "))
                .map(str::to_owned)
                .collect(),
        ),
        _ => JournalExcerpt::NotReadable,
    }
}
