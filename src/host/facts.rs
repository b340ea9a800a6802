//! What a host says about a service, parsed.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::script::refused;
use super::systemd::{Unit, parse_show};
use crate::core::event::{Runs, Started, StartedUnit, Unproven};
use crate::core::ids::{
    BootId, Digest, Epoch, InvocationId, LedgerId, RevisionName, RevisionRef, UnitName,
};
use crate::core::revision::Architecture;
use crate::ports::{HostError, Owner};

/// Everything about the service on one host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    pub(crate) systemd: u32,
    pub(crate) boot: BootId,
    pub(crate) uid: u32,
    pub(crate) architecture: Architecture,
    /// install_dir, `~` expanded.
    pub(crate) dir: String,
    pub(crate) home: String,
    /// Who logged in.
    pub(crate) login: String,
    pub(crate) owner: Option<Owner>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) current: Current,
    pub(crate) tools: BTreeSet<String>,
    /// Whether the user's systemd outlives the login; nothing: scope is the system's.
    pub(crate) lingers: Option<bool>,
    pub(crate) kept: BTreeMap<RevisionName, Kept>,
    pub(crate) step: Option<Step>,
    /// What the dead-man's switch would put back that is armed for what runs now.
    pub(crate) unproven: Option<Unproven>,
    /// When a dead-man's switch was the last that changed something here, and what it put back: `TIME NAME`.
    pub(crate) fired: Option<String>,
    pub(crate) units: Vec<Unit>,
    /// Side by side: every instance that was started here.
    pub(crate) instances: Vec<InstanceFacts>,
    /// Side by side: units of the template that run and are none of those.
    pub(crate) strangers: Vec<UnitName>,
    /// Whether uploads or removals that were cut off left something, or are at work.
    pub(crate) has_leftovers: bool,
}

/// One instance of a template on a host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InstanceFacts {
    /// Of its revision's folder.
    pub(crate) name: RevisionName,
    pub(crate) digest: Digest,
    pub(crate) port: u16,
    /// Whether it was ever confirmed.
    pub(crate) proven: bool,
    pub(crate) unit: Unit,
}

impl InstanceFacts {
    pub(crate) fn revision(&self) -> RevisionRef {
        RevisionRef {
            name: self.name.clone(),
            digest: self.digest.clone(),
        }
    }

    /// Reads `NAME PORT PROVEN DIGEST SHOWN`; the template gives the unit its name.
    fn parse(value: &str, template: &UnitName) -> Option<Self> {
        let mut words = value.split(' ');
        let name = RevisionName::parse(words.next()?).ok()?;
        let (port, proven) = (words.next()?.parse().ok()?, words.next()? == "yes");
        let digest = Digest::new(words.next()?);
        let unit = template.instance(&name);
        let shown = parse_show(&decode(words.next()?)?, &[unit])?;
        Some(Self {
            name,
            digest,
            port,
            proven,
            unit: shown.into_iter().next()?,
        })
    }
}

/// `install_dir/current`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Current {
    None,
    /// A symbolic link, and where it points.
    Link(String),
    /// Something that rollctl cannot switch.
    Other,
}

/// A complete revision on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) digest: Digest,
    /// Of an adopted folder: what `current` points to when it runs.
    pub(crate) target: Option<String>,
}

/// The record of the last step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) state: String,
    pub(crate) rollout: String,
    pub(crate) hash: String,
    /// `back` when it puts back what the step before it saved.
    pub(crate) way: String,
    pub(crate) to: String,
    pub(crate) from_name: String,
    pub(crate) from_digest: String,
    pub(crate) to_digest: String,
    /// Invocations before, when `begun`; those that were started, when `done`.
    pub(crate) started: Started,
}

impl Facts {
    /// The instance of a revision.
    pub(crate) fn instance(&self, name: &RevisionName) -> Option<&InstanceFacts> {
        self.instances.iter().find(|one| one.name == *name)
    }

    /// The same as if that instance were all that the host runs.
    pub(crate) fn of_instance(&self, one: &InstanceFacts) -> Self {
        Self {
            units: vec![one.unit.clone()],
            ..self.clone()
        }
    }

    /// What `current` points to; empty: it is absent.
    pub(crate) fn target(&self) -> &str {
        match &self.current {
            Current::Link(target) => target,
            Current::None | Current::Other => "",
        }
    }

    /// The revision that `current` leads to, when rollctl knows it.
    pub(crate) fn managed(&self) -> Option<RevisionRef> {
        let target = self.target();
        let within = target
            .strip_prefix(&format!("{}/", self.dir))
            .unwrap_or(target);
        let (name, kept) = self.kept.iter().find(|(name, kept)| match &kept.target {
            Some(folder) => folder == target,
            None => within.strip_prefix("revisions/") == Some(name.as_str()),
        })?;
        Some(RevisionRef {
            name: name.clone(),
            digest: kept.digest.clone(),
        })
    }

    /// Whether `current` leads into our revisions, whole or not.
    pub(crate) fn is_ours(&self) -> bool {
        let target = self.target();
        self.managed().is_some()
            || target
                .strip_prefix(&format!("{}/", self.dir))
                .unwrap_or(target)
                .starts_with("revisions/")
    }

    /// A step that was cut off before all units were restarted: what the next claim makes of it. A revert is finished,
    /// any other is put back.
    pub(crate) fn cut_off(&self) -> Option<Runs> {
        let step = self.step.as_ref().filter(|step| step.state == "begun")?;
        if step.way == "back" {
            let digest = Digest::new(step.to_digest.clone());
            return Some(match self.name_of(&digest).cloned() {
                Some(name) => Runs::Revision {
                    revision: RevisionRef { name, digest },
                },
                None => Runs::Nothing,
            });
        }
        let is_restarted = step.started.units.iter().all(|before| {
            self.units.iter().any(|unit| {
                unit.state.started.unit == before.unit
                    && unit.state.started.invocation != before.invocation
            })
        });
        if is_restarted && self.target() == step.to && step.to_digest != "-" {
            return None;
        }
        if step.from_digest == "-" {
            return Some(Runs::Nothing);
        }
        Some(Runs::Revision {
            revision: RevisionRef {
                name: RevisionName::parse(&step.from_name).ok()?,
                digest: Digest::new(step.from_digest.clone()),
            },
        })
    }

    /// The name of the folder that holds a revision.
    pub(crate) fn name_of(&self, digest: &Digest) -> Option<&RevisionName> {
        self.kept
            .iter()
            .find(|(_, kept)| &kept.digest == digest)
            .map(|(name, _)| name)
    }

    /// Reads the answer of `facts`.
    pub(crate) fn parse(output: &[u8], names: &[UnitName]) -> Result<Self, HostError> {
        Fields::read(&String::from_utf8_lossy(output))
            .facts(names)
            .ok_or_else(|| refused("the host's answer about the service makes no sense", None))
    }
}

/// Lines of `name value`.
struct Fields<'a> {
    one: BTreeMap<&'a str, &'a str>,
    /// Fields of several lines: `name |line`.
    texts: BTreeMap<&'a str, String>,
    tools: BTreeSet<String>,
    kept: BTreeMap<RevisionName, Kept>,
    instances: Vec<&'a str>,
    strangers: Vec<UnitName>,
    has_leftovers: bool,
}

impl<'a> Fields<'a> {
    fn read(output: &'a str) -> Self {
        let mut fields = Self {
            one: BTreeMap::new(),
            texts: BTreeMap::new(),
            tools: BTreeSet::new(),
            kept: BTreeMap::new(),
            instances: Vec::new(),
            strangers: Vec::new(),
            has_leftovers: false,
        };
        for line in output.lines() {
            let Some((name, value)) = line.split_once(' ') else {
                continue;
            };
            match name {
                "tool" => {
                    fields.tools.insert(value.to_owned());
                }
                "revision" => fields.kept.extend(kept(value)),
                "side" => fields.instances.push(value),
                "stranger" => fields.strangers.push(UnitName::new(value)),
                "left" => fields.has_leftovers = true,
                _ => match value.strip_prefix('|') {
                    Some(line) => {
                        let text = fields.texts.entry(name).or_default();
                        text.push_str(line);
                        text.push('\n');
                    }
                    None => {
                        fields.one.insert(name, value);
                    }
                },
            }
        }
        fields
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.texts.get(name) {
            Some(text) => Some(text.clone()),
            None => decode(self.one.get(name)?),
        }
    }

    fn unproven(&self) -> Option<Unproven> {
        let digest = *self.one.get("unproven_digest")?;
        let name = self.one.get("unproven_name").copied().unwrap_or("-");
        let before = match (digest, RevisionName::parse(name)) {
            ("-", _) | (_, Err(_)) => Runs::Nothing,
            (digest, Ok(name)) => Runs::Revision {
                revision: RevisionRef {
                    name,
                    digest: Digest::new(digest),
                },
            },
        };
        Some(Unproven { before })
    }

    fn facts(self, names: &[UnitName]) -> Option<Facts> {
        let plain = |name: &str| self.one.get(name).copied();
        let current = match plain("current_kind")? {
            "link" => Current::Link(self.text("current")?),
            "other" => Current::Other,
            _ => Current::None,
        };
        let template = names.first().filter(|unit| unit.is_template());
        let owner = self.text("owner").filter(|ledger| !ledger.is_empty());
        Some(Facts {
            systemd: plain("systemd")?.parse().ok()?,
            boot: BootId::new(plain("boot")?),
            uid: plain("uid")?.parse().ok()?,
            architecture: Architecture(plain("machine")?.to_owned()),
            dir: self.text("dir")?,
            home: self.text("home")?,
            login: self.text("login")?,
            owner: owner.map(|ledger| Owner {
                ledger: LedgerId::new(ledger),
                machine: self.text("owner_machine").unwrap_or_default(),
            }),
            epoch: plain("epoch").and_then(|text| text.parse().ok()).map(Epoch),
            current,
            lingers: plain("linger").map(|state| state == "yes"),
            unproven: self.unproven(),
            fired: plain("fired").map(str::to_owned),
            step: self.text("step").and_then(|text| Step::parse(&text)),
            units: match template {
                Some(_) => Vec::new(),
                None => parse_show(&self.text("show")?, names)?,
            },
            instances: self
                .instances
                .iter()
                .filter_map(|value| InstanceFacts::parse(value, template?))
                .collect(),
            strangers: self.strangers.clone(),
            has_leftovers: self.has_leftovers,
            tools: self.tools,
            kept: self.kept,
        })
    }
}

fn kept(value: &str) -> Option<(RevisionName, Kept)> {
    let mut words = value.split(' ');
    let name = RevisionName::parse(words.next()?).ok()?;
    let digest = words.next().filter(|digest| !digest.is_empty())?;
    let target = match words.next()? {
        "-" => None,
        text => Some(decode(text)?),
    };
    Some((
        name,
        Kept {
            digest: Digest::new(digest),
            target,
        },
    ))
}

/// The text of a field, which is base64 or stands after a `=`; bytes that are no text are replaced.
pub(crate) fn decode(field: &str) -> Option<String> {
    if let Some(plain) = field.strip_prefix('=') {
        return Some(plain.to_owned());
    }
    let bytes = STANDARD.decode(field).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

impl Step {
    fn parse(text: &str) -> Option<Self> {
        let fields: BTreeMap<&str, &str> = text
            .lines()
            .filter(|line| !line.starts_with("unit "))
            .filter_map(|line| line.split_once(' '))
            .collect();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
        Some(Self {
            state: field("state"),
            rollout: field("rollout"),
            hash: field("hash"),
            way: field("way"),
            to: field("to"),
            from_name: field("from_name"),
            from_digest: field("from_digest"),
            to_digest: field("to_digest"),
            started: parse_started(text)?,
        })
    }
}

/// Lines `boot ID` and `unit NAME RESTARTS INVOCATION`; others are left out.
pub(crate) fn parse_started(text: &str) -> Option<Started> {
    let mut boot = None;
    let mut units = Vec::new();
    for line in text.lines() {
        if let Some(id) = line.strip_prefix("boot ") {
            boot = Some(BootId::new(id));
        } else if let Some(unit) = line.strip_prefix("unit ") {
            let mut words = unit.split(' ');
            units.push(StartedUnit {
                unit: UnitName::new(words.next()?),
                restarts: words.next()?.parse().unwrap_or(0),
                invocation: InvocationId::new(words.next().unwrap_or_default()),
            });
        }
    }
    Some(Started { boot: boot?, units })
}
