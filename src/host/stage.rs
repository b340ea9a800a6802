//! Staging: a revision is put on a host and verified, and what the host ran before rollctl is kept. Nothing goes down.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::Mutex;

use super::adopt::{self, Found, Seen, parse_look, parse_texts};
use super::facts::{Facts, Kept};
use super::layout::{Meta, folder_of, sha256};
use super::machine::{Machine, PATIENCE, Queue};
use super::payload::Payloads;
use super::preflight::{check_architecture, check_host, check_place, check_units};
use super::script::{Request, refused};
use super::upload::{kept_aside, step};
use crate::artifact::environment_text;
use crate::core::fleet::{Scope, Service};
use crate::core::ids::{Digest, RevisionName};
use crate::core::revision::{Adopted, Architecture, FileContent, Manifest, Revision};
use crate::core::time::Timestamp;
use crate::ports::{
    ArtifactError, Artifacts, Controller, HostError, Package, PackageContents, Staged,
    UploadProgress,
};

/// What staging works with, besides the host.
pub(crate) struct Depot {
    pub(crate) artifacts: Arc<dyn Artifacts>,
    pub(crate) payloads: Payloads,
    /// One at a time fetches an adopted file; the others find it in the store.
    pub(crate) fetching: Mutex<HashMap<Digest, Arc<Mutex<()>>>>,
    pub(crate) uploads: tokio::sync::Semaphore,
}

/// One host being staged.
pub(crate) struct Stage<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) service: &'a Service,
    pub(crate) controller: &'a Controller,
    pub(crate) depot: &'a Depot,
    pub(crate) now: Timestamp,
}

impl Stage<'_> {
    pub(crate) async fn run(
        &self,
        revision: &Revision,
        progress: UploadProgress<'_>,
    ) -> Result<Staged, HostError> {
        let facts = self.machine.facts(self.service).await?;
        check_host(self.service, &facts)?;
        if facts.has_leftovers {
            let clean = step("clean", self.service, self.controller);
            self.machine.step(clean, PATIENCE).await?;
        }
        let (_, found) = adopt::runs(self.machine, self.service, &facts).await?;
        let wanted = self.wanted(revision, &facts, found.as_ref()).await?;
        check_architecture(wanted.contents.elf.as_ref(), &facts)?;
        check_units(
            self.service,
            &facts,
            &wanted.contents.units,
            revision.adopted.is_some(),
        )?;
        let need = wanted.package.as_ref();
        let need = need.map(|package| package.unpacked_size + kept_aside(package.size));
        let (contents, controller) = (&wanted.contents, Some(self.controller));
        check_place(
            self.machine,
            self.service,
            &facts,
            contents,
            need,
            controller,
        )
        .await?;
        let adopted = match &found {
            Some(found) => Some(self.keep(found, &facts, progress).await?),
            None => None,
        };
        let (bytes_sent, warning) = match &wanted.package {
            Some(package) => {
                let sent = self.send(revision, &facts, package, progress).await?;
                (sent.bytes, sent.warning)
            }
            None => (0, None),
        };
        Ok(Staged {
            bytes_sent,
            adopted,
            warning,
        })
    }

    /// What the revision is made of, and the package when it has to travel.
    async fn wanted(
        &self,
        revision: &Revision,
        facts: &Facts,
        found: Option<&Found>,
    ) -> Result<Wanted, HostError> {
        if let Some(found) = found.filter(|found| found.digest == revision.digest) {
            return Ok(Wanted {
                contents: found.contents.clone(),
                package: None,
            });
        }
        if let Some(Adopted::Folder { target }) = &revision.adopted {
            return self.folder(revision, facts, target).await;
        }
        let package = self
            .depot
            .artifacts
            .package(&revision.digest, &facts.architecture)
            .await;
        let name = &revision.reference().name;
        let package = match package {
            Ok(package) => package,
            // A damaged store stops nobody who needs nothing from it.
            Err(error) if !self.has(facts, name, &revision.digest, "").await? => {
                return Err(of_store(error));
            }
            Err(_) => None,
        };
        if let Some(package) = package {
            if let Some(Adopted::File { origin }) = &revision.adopted {
                self.check_origin(origin, facts, &package.contents).await?;
            }
            let sums = self.meta(revision, facts, &package.contents)?.sums;
            let is_here = self.has(facts, name, &revision.digest, &sums).await?;
            return Ok(Wanted {
                contents: package.contents.clone(),
                package: (!is_here).then_some(package),
            });
        }
        if self.has(facts, name, &revision.digest, "").await? {
            let contents = self.contents_on_host(facts, name).await?;
            return Ok(Wanted {
                contents,
                package: None,
            });
        }
        Err(refused(
            format!(
                "revision `{name}` is neither on the host nor, for {}, in the artifact store",
                facts.architecture
            ),
            Some(
                "run the same on the machine that released it, or release it again from its artifact; with a bucket in `[artifacts] url` \
                 every machine has what one has released"
                    .into(),
            ),
        ))
    }

    /// An adopted folder is there or it is not; it cannot be shipped.
    async fn folder(
        &self,
        revision: &Revision,
        facts: &Facts,
        target: &str,
    ) -> Result<Wanted, HostError> {
        let name = revision.reference().name;
        let is_kept = facts
            .kept
            .get(&name)
            .is_some_and(|Kept { digest, .. }| digest == &revision.digest);
        let path = match target.starts_with('/') {
            true => target.to_owned(),
            false => format!("{}/{target}", facts.dir),
        };
        let seen = self.look(&path).await?;
        if !is_kept || seen.kind != "folder" {
            return Err(refused(
                format!("the adopted folder `{target}` is not on this host"),
                Some("only the hosts that ran it before rollctl came can go back to it".into()),
            ));
        }
        let contents = self.contents_on_host(facts, &name).await?;
        Ok(Wanted {
            contents,
            package: None,
        })
    }

    /// An adopted unit starts its file at `origin`: nothing else may lie there.
    async fn check_origin(
        &self,
        origin: &str,
        facts: &Facts,
        contents: &PackageContents,
    ) -> Result<(), HostError> {
        if self.service.link.as_deref() == Some(origin) {
            return Ok(());
        }
        let seen = self.look(origin).await?;
        let is_ours = seen.link.starts_with(&format!("{}/", facts.dir));
        let is_same = contents.files.iter().any(|file| {
            matches!(&file.content, FileContent::File { sha256, .. } if *sha256 == seen.sha256)
        });
        if is_ours || is_same || seen.kind == "none" {
            return Ok(());
        }
        Err(refused(
            format!(
                "`{origin}`, where the adopted revision is started, holds something else on this host"
            ),
            Some("move it away".into()),
        ))
    }

    async fn look(&self, path: &str) -> Result<Seen, HostError> {
        let answer = self
            .machine
            .read(Queue::Work, Request::new("look").arg(path))
            .await?;
        Ok(parse_look(&answer).into_iter().next().unwrap_or_default())
    }

    /// Whether the host has a revision, whole.
    pub(super) async fn has(
        &self,
        facts: &Facts,
        name: &RevisionName,
        digest: &Digest,
        sums: &str,
    ) -> Result<bool, HostError> {
        if !facts.kept.contains_key(name) {
            return Ok(false);
        }
        let request = Request::new("have")
            .option("dir", super::machine::dir(self.service))
            .option("name", name)
            .option("digest", digest)
            .option("sums", sums);
        Ok(self.machine.read(Queue::Work, request).await? == b"whole\n")
    }

    /// The unit files of a revision that is on the host.
    async fn contents_on_host(
        &self,
        facts: &Facts,
        name: &RevisionName,
    ) -> Result<PackageContents, HostError> {
        let folder = folder_of(&facts.dir, name);
        let request = self
            .service
            .units
            .iter()
            .fold(Request::new("text"), |request, unit| {
                request.arg(format!("{folder}/.rollctl/units/{unit}"))
            });
        let texts = parse_texts(&self.machine.read(Queue::Work, request).await?);
        let units: BTreeMap<_, _> = self
            .service
            .units
            .iter()
            .cloned()
            .zip(texts)
            .filter_map(|(unit, text)| Some((unit, text?)))
            .collect();
        Ok(PackageContents {
            units,
            ..PackageContents::default()
        })
    }

    pub(super) fn meta(
        &self,
        revision: &Revision,
        facts: &Facts,
        contents: &PackageContents,
    ) -> Result<Meta, HostError> {
        let environment = self.environment(revision, facts, contents);
        let manifest = Manifest {
            service: self.service.name.clone(),
            number: revision.number,
            names: revision.names.clone(),
            digest: revision.digest.clone(),
            architecture: contents.elf.as_ref().map(|_| facts.architecture.clone()),
            files: contents.files.clone(),
            units: contents
                .units
                .iter()
                .map(|(unit, text)| (unit.clone(), sha256(text.as_bytes())))
                .collect(),
            environment: environment.is_some(),
            created_at: revision.created_at,
            created_by: revision.created_by.clone(),
            cause: revision.cause.clone(),
            adopted: contents.adopted.clone(),
        };
        Meta::new(&manifest, &contents.units, environment.as_deref())
    }

    /// The environment file: the revision's own variables, its name and its port. What was there before rollctl has
    /// none, and restricted rights install no drop-in that would lead to it.
    fn environment(
        &self,
        revision: &Revision,
        facts: &Facts,
        contents: &PackageContents,
    ) -> Option<String> {
        let is_restricted = facts.uid != 0 && self.service.scope == Scope::System;
        if revision.adopted.is_some() || is_restricted {
            return None;
        }
        let own = contents.environment.as_deref().unwrap_or_default();
        Some(environment_text(
            own,
            &revision.reference().name,
            // Side by side, the port is the instance's, not the revision's.
            self.service
                .port
                .filter(|_| self.service.template().is_none()),
        ))
    }
}

/// What a revision is made of, and its package when the host does not have it.
struct Wanted {
    contents: PackageContents,
    package: Option<Arc<Package>>,
}

pub(super) fn of_store(error: ArtifactError) -> HostError {
    refused(error.to_string(), error.hint)
}

/// The machine in the header of an ELF file.
pub(super) fn elf_machine(path: &std::path::Path) -> Option<Architecture> {
    use std::io::Read;
    let mut header = [0; 20];
    std::fs::File::open(path)
        .ok()?
        .read_exact(&mut header)
        .ok()?;
    let [0x7f, b'E', b'L', b'F', _, order, .., low, high] = header else {
        return None;
    };
    let machine = match order {
        2 => u16::from_be_bytes([low, high]),
        _ => u16::from_le_bytes([low, high]),
    };
    let name = match machine {
        3 => "i686",
        21 => "ppc64le",
        22 => "s390x",
        40 => "armv7l",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        _ => return None,
    };
    Some(Architecture(name.to_owned()))
}
