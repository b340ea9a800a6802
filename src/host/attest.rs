//! Attestation: what runs, and what lies on disk, compared with the manifest (contract, section 4).
//!
//! `confirm` does it always, `status --verify` and `check --connect` on demand; both by [`compare`].

use super::adopt::{self, Found};
use super::facts::{Facts, InstanceFacts};
use super::hosts::check_absent;
use super::layout::folder_of;
use super::machine::{Machine, Queue, dir};
use super::script::Request;
use super::seen::{Seen, UnitSeen, differences};
use super::side;
use super::switch::manifest;
use super::systemd::drop_in;
use crate::core::event::Runs;
use crate::core::fleet::Service;
use crate::core::ids::{Digest, InvocationId, RevisionRef};
use crate::core::revision::{Adopted, FileContent, Manifest};
use crate::ports::{Attestation, Attested, HostError};

/// A look that met a step of a rollout half-way is taken again so often.
const LOOKS: u32 = 3;

/// So many differences are told of one host; of more their number.
const TOLD: usize = 10;

/// How much is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// As much as proves that the revision runs: its files only where the running file proves nothing.
    Running,
    /// Every file, too.
    Everything,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Comparison {
    pub(crate) attestation: Option<Attestation>,
    pub(crate) drift: Vec<String>,
}

impl Comparison {
    fn drifted(difference: String) -> Self {
        Self {
            attestation: None,
            drift: vec![difference],
        }
    }
}

/// Compares a host with the revision that it runs; changes nothing.
pub(crate) async fn attest(machine: &Machine, service: &Service) -> Result<Attested, HostError> {
    let mut facts = machine.facts(service).await?;
    for _ in 1..LOOKS {
        let attested = once(machine, service, &facts).await?;
        if attested.drift.is_empty() {
            return Ok(attested);
        }
        // Between two requests a controller may have been at work: that is no drift.
        let now = machine.facts(service).await?;
        if now.step == facts.step && now.current == facts.current {
            return Ok(attested);
        }
        facts = now;
    }
    once(machine, service, &facts).await
}

async fn once(machine: &Machine, service: &Service, facts: &Facts) -> Result<Attested, HostError> {
    let (runs, found) = adopt::runs(machine, service, facts).await?;
    let mut compared = Comparison::default();
    // What was cut off is neither one revision nor the other until the next controller comes.
    if facts.cut_off().is_none() {
        compared = match &runs {
            Runs::Revision { revision } => {
                compare(
                    machine,
                    service,
                    facts,
                    revision,
                    found.as_ref(),
                    Depth::Everything,
                )
                .await?
            }
            Runs::Nothing => match check_absent(facts, &runs) {
                Ok(()) => Comparison::default(),
                Err(error) => Comparison::drifted(error.message),
            },
        };
        compared.drift.splice(0..0, moved(facts));
    }
    if !compared.drift.is_empty() {
        compared.attestation = None;
    }
    shorten(&mut compared.drift);
    Ok(Attested {
        runs,
        attestation: compared.attestation,
        drift: compared.drift,
    })
}

fn shorten(drift: &mut Vec<String>) {
    let more = drift.len().saturating_sub(TOLD);
    if more > 1 {
        drift.truncate(TOLD);
        drift.push(format!("and {more} more"));
    }
}

/// Whether `current` was moved by somebody else since the last step.
fn moved(facts: &Facts) -> Option<String> {
    let step = facts.step.as_ref().filter(|step| step.state == "done")?;
    let within = format!("{}/", facts.dir);
    let plain = |target: &str| target.strip_prefix(&within).unwrap_or(target).to_owned();
    let shown = |target: &str| match target {
        "" => "nothing".to_owned(),
        target => format!("`{target}`"),
    };
    (plain(&step.to) != plain(facts.target())).then(|| {
        format!(
            "`current` points to {}, not to {}, where rollctl left it",
            shown(facts.target()),
            shown(&step.to)
        )
    })
}

/// Compares what runs with a revision that the host is found to run.
pub(crate) async fn compare(
    machine: &Machine,
    service: &Service,
    facts: &Facts,
    wanted: &RevisionRef,
    found: Option<&Found>,
    depth: Depth,
) -> Result<Comparison, HostError> {
    if let Some(found) = found {
        return as_found(machine, service, facts, found).await;
    }
    let Some(name) = facts.name_of(&wanted.digest) else {
        return Ok(Comparison::drifted(format!(
            "`{wanted}` is not on the host"
        )));
    };
    let folder = folder_of(&facts.dir, name);
    let Some(manifest) = manifest(machine, &folder).await? else {
        return Ok(Comparison::drifted(format!(
            "the manifest of `{name}` cannot be read"
        )));
    };
    let expected = Expected {
        service,
        facts,
        folder: &folder,
        manifest: &manifest,
    };
    let seen = expected.look(machine).await?;
    let mut drift = expected.drift(&seen);
    let runs_its_file = expected.check_processes(&seen, &mut drift);
    // An instance is started for its revision, and becomes what the host runs only after that.
    if facts.instances.is_empty() {
        drift.extend(not_restarted(facts, &seen));
    }
    if depth == Depth::Everything || !runs_its_file {
        let request = Request::new("differences")
            .option("dir", dir(service))
            .option("name", name);
        let answer = machine.read(Queue::Work, request).await?;
        drift.extend(differences(&answer, name.as_str()));
        if let Some(Adopted::Folder { target }) = &manifest.adopted {
            let now = adopt::folder_of_now(machine, facts, target).await?;
            if now.is_some_and(|digest| digest != manifest.digest) {
                drift.push(format!(
                    "`{target}` is not what it was when it was adopted as `{name}`"
                ));
            }
        }
    }
    let attestation = seen.attestation(runs_its_file).filter(|_| drift.is_empty());
    Ok(Comparison { attestation, drift })
}

/// What rollctl did not install. Where it put it back, it was found by its digest just now; where it never was at
/// work, there is nothing to compare with.
async fn as_found(
    machine: &Machine,
    service: &Service,
    facts: &Facts,
    found: &Found,
) -> Result<Comparison, HostError> {
    let step = facts.step.as_ref().filter(|step| step.state == "done");
    let left = step.map(|step| Digest::new(step.to_digest.clone()));
    if let Some(left) = left.filter(|left| left.as_str() != "-" && *left != found.digest) {
        let name = facts
            .name_of(&left)
            .map_or_else(|| left.to_string(), ToString::to_string);
        return Ok(Comparison::drifted(format!(
            "what runs is not `{name}` as rollctl left it: its file or its unit was changed"
        )));
    }
    if facts.name_of(&found.digest).is_none() {
        return Ok(Comparison::default());
    }
    let request = units(Request::new("attest").option("dir", dir(service)), service);
    let seen = Seen::parse(&machine.read(Queue::Work, request).await?);
    let mut drift = Vec::new();
    let mut runs_its_file = !seen.units.is_empty();
    for unit in &seen.units {
        let origin = match &found.adopted {
            Adopted::File { origin } => Some(origin.as_str()),
            Adopted::Folder { .. } => None,
        };
        let sum = found.file().map(|(sum, _)| sum);
        match origin.filter(|origin| unit.path() == *origin) {
            Some(_) if sum == unit.sum() => {}
            Some(origin) if unit.sum().is_some() => drift.push(format!(
                "`{}` still runs what `{origin}` was before it was replaced",
                unit.name
            )),
            _ => runs_its_file = false,
        }
    }
    drift.extend(not_restarted(facts, &seen));
    let attestation = seen.attestation(runs_its_file).filter(|_| drift.is_empty());
    Ok(Comparison { attestation, drift })
}

fn units(request: Request, service: &Service) -> Request {
    service
        .units
        .iter()
        .fold(request, |request, unit| request.option("unit", unit))
}

/// A revision of ours, and where it lies on the host.
struct Expected<'a> {
    service: &'a Service,
    facts: &'a Facts,
    folder: &'a str,
    manifest: &'a Manifest,
}

impl Expected<'_> {
    /// Where the units of an adopted file expect it.
    fn origin(&self) -> Option<&str> {
        match &self.manifest.adopted {
            Some(Adopted::File { origin }) => Some(origin),
            _ => None,
        }
    }

    /// `link`, where it is kept leading to the revision.
    fn link(&self) -> Option<&str> {
        let is_folder = matches!(self.manifest.adopted, Some(Adopted::Folder { .. }));
        self.service.link.as_deref().filter(|_| !is_folder)
    }

    async fn look(&self, machine: &Machine) -> Result<Seen, HostError> {
        let mut request = units(
            Request::new("attest").option("dir", dir(self.service)),
            self.service,
        );
        if let Some(link) = self.link() {
            request = request.option("link", link);
        }
        if let Some(origin) = self.origin() {
            request = request.option("origin", origin);
        }
        Ok(Seen::parse(&machine.read(Queue::Work, request).await?))
    }

    /// What lies outside of the revision's folder and belongs to it: unit files, drop-ins, links.
    fn drift(&self, seen: &Seen) -> Vec<String> {
        let mut drift = Vec::new();
        for unit in &seen.units {
            let name = &unit.name;
            let instance = |one: &&InstanceFacts| one.unit.state.started.unit == *name;
            let instance = self.facts.instances.iter().find(instance);
            let wanted = match instance {
                Some(_) => self.manifest.units.values().next(),
                None => self.manifest.units.get(name),
            };
            if wanted.is_some_and(|wanted| *wanted != unit.unit_file) {
                drift.push(match unit.unit_file.as_str() {
                    "-" => format!("the unit file of `{name}` is gone or cannot be read"),
                    _ => format!("the unit file of `{name}` differs from the revision's"),
                });
            }
            let wanted = (self.manifest.environment).then(|| match instance {
                Some(one) => side::drop_in(self.folder, one.port),
                None => drop_in(&self.facts.dir),
            });
            let changed = match (&wanted, &unit.drop_in) {
                (None, None) => continue,
                (Some(wanted), Some(there)) if wanted == there => continue,
                (Some(_), Some(_)) => "was changed",
                (Some(_), None) => "is gone",
                (None, Some(_)) => "does not belong to the revision",
            };
            drift.push(format!("drop-in `50-rollctl.conf` of `{name}` {changed}"));
        }
        let target = format!("{}/current/{}", self.facts.dir, self.service.binary);
        if let Some(link) = self.link().filter(|_| seen.link != target) {
            drift.push(format!("link `{link}` does not lead into `current`"));
        }
        if let Some(origin) = self
            .origin()
            .filter(|_| Some(&*seen.origin) != self.binary())
        {
            drift.push(format!("`{origin}` is not the file that was adopted there"));
        }
        drift
    }

    fn sum_of(&self, path: &str) -> Option<&str> {
        self.manifest
            .files
            .iter()
            .find_map(|file| match &file.content {
                FileContent::File { sha256, .. } if file.path == path => Some(sha256.as_str()),
                _ => None,
            })
    }

    fn binary(&self) -> Option<&str> {
        self.sum_of(&self.service.binary)
    }

    /// Whether each process runs a file of the revision. One that runs another where that one should be is drift.
    fn check_processes(&self, seen: &Seen, drift: &mut Vec<String>) -> bool {
        let mut all = !seen.units.is_empty();
        for unit in &seen.units {
            match self.check_process(seen, unit) {
                Ok(is_its_file) => all &= is_its_file,
                Err(difference) => drift.push(difference),
            }
        }
        all
    }

    fn check_process(&self, seen: &Seen, unit: &UnitSeen) -> Result<bool, String> {
        let Some(sum) = unit.sum() else {
            return Ok(false);
        };
        // Of an adopted folder no file is on record.
        if matches!(self.manifest.adopted, Some(Adopted::Folder { .. })) {
            return Ok(false);
        }
        let exe = unit.path();
        if exe.is_empty() {
            // Restricted rights do not show the path: a known content is proof enough, another may be an interpreter.
            return Ok(self.manifest.files.iter().any(
                |file| matches!(&file.content, FileContent::File { sha256, .. } if sha256 == sum),
            ));
        }
        let dir = &self.facts.dir;
        let below = |folder: &str| {
            exe.strip_prefix(folder)
                .and_then(|rest| rest.strip_prefix('/'))
        };
        // install_dir may be reached through a link.
        let in_dir = below(dir).or_else(|| below(&seen.real));
        let within = self.folder.strip_prefix(&format!("{dir}/"));
        let inside = in_dir
            .zip(within)
            .and_then(|(path, folder)| path.strip_prefix(folder)?.strip_prefix('/'));
        let expected = if let Some(path) = inside {
            self.sum_of(path)
        } else if self.link() == Some(exe) || self.origin() == Some(exe) {
            self.binary()
        } else if in_dir.is_some() {
            None
        } else {
            return Ok(false);
        };
        if expected == Some(sum) {
            return Ok(true);
        }
        let why = match expected {
            Some(_) => "whose SHA-256 is not the manifest's",
            None => "which is not a file of the revision",
        };
        Err(format!("`{}` runs `{}`, {why}", unit.name, unit.exe))
    }
}

/// Units that run since before the switch. An invocation that the last step noted, or a later one, is younger.
fn not_restarted(facts: &Facts, seen: &Seen) -> Vec<String> {
    let recorded: Vec<&InvocationId> = facts
        .step
        .iter()
        .filter(|step| step.state == "done" && step.to == facts.target())
        .flat_map(|step| &step.started.units)
        .map(|unit| &unit.invocation)
        .collect();
    seen.units
        .iter()
        .filter(|unit| unit.active == "active")
        .filter(|unit| !recorded.iter().any(|id| id.as_str() == unit.invocation))
        .filter(|unit| {
            unit.entered
                .zip(seen.switched)
                .is_some_and(|(entered, switched)| entered < switched)
        })
        .map(|unit| format!("`{}` was not restarted since the switch", unit.name))
        .collect()
}
