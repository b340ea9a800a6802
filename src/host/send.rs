//! Sending: what a host does not have yet is shipped to it, or fetched by it; what only it has is fetched from it.

use std::sync::Arc;

use super::adopt::Found;
use super::facts::Facts;
use super::layout::{Meta, folder_of};
use super::payload::Payload;
use super::pull::missing;
use super::stage::{Stage, elf_machine, of_store};
use super::upload::{Shipment, Source, fetch, ship};
use crate::core::ids::{Digest, RevisionName};
use crate::core::revision::{Adopted, Manifest, Revision};
use crate::ports::{HostError, Package, PackageContents, UploadProgress};

/// A revision that was shipped.
pub(super) struct Sent {
    /// What travelled through SSH.
    pub(super) bytes: u64,
    /// Why it did, although the host was to fetch it.
    pub(super) warning: Option<String>,
}

/// What became of a host's fetching.
enum Pulled {
    Done { bytes: u64 },
    NotWanted,
    Failed { why: String },
}

impl Stage<'_> {
    /// Ships the revision: the host fetches it by itself where it can, else it is sent.
    pub(super) async fn send(
        &self,
        revision: &Revision,
        facts: &Facts,
        package: &Package,
        progress: UploadProgress<'_>,
    ) -> Result<Sent, HostError> {
        let meta = self.meta(revision, facts, &package.contents)?;
        let warning = match self.pull(revision, facts, package, &meta).await? {
            Pulled::Done { bytes } => {
                return Ok(Sent {
                    bytes,
                    warning: None,
                });
            }
            Pulled::NotWanted => None,
            Pulled::Failed { why } => {
                let name = revision.reference().name;
                Some(format!(
                    "could not fetch `{name}` by itself, it came through SSH: {why}"
                ))
            }
        };
        let _turn = self.depot.uploads.acquire().await;
        let bytes = self.upload(revision, facts, package, &meta, progress);
        Ok(Sent {
            bytes: bytes.await?,
            warning,
        })
    }

    /// Lets the host fetch it, where there is something that it can fetch.
    async fn pull(
        &self,
        revision: &Revision,
        facts: &Facts,
        package: &Package,
        meta: &Meta,
    ) -> Result<Pulled, HostError> {
        let depot = self.depot;
        let pull = depot.artifacts.pull(&revision.digest, &facts.architecture);
        let pull = match pull.await {
            Ok(Some(pull)) => pull,
            Ok(None) => return Ok(Pulled::NotWanted),
            Err(error) => {
                let why = of_store(error).in_words();
                return Ok(Pulled::Failed { why });
            }
        };
        if let Some(tool) = missing(&facts.tools, pull.form) {
            let why = format!("the host has no `{tool}`");
            return Ok(Pulled::Failed { why });
        }
        let rest = depot.payloads.rest(package, &pull.beside, &facts.tools);
        let rest = rest.await?;
        let _turn = match &rest {
            Some(_) => Some(depot.uploads.acquire().await),
            None => None,
        };
        let (name, digest) = (revision.reference().name, &revision.digest);
        let source = Source::Pull(&pull, rest.as_ref());
        let shipped = self.ship(&name, digest, meta, source, &|_, _| {}).await;
        let hidden = |error: &HostError| pull.url.hidden_in(&error.message);
        match shipped {
            Ok(bytes) => Ok(Pulled::Done { bytes }),
            // Whatever the host has against it: what is sent tells whether that was the fault of fetching.
            Err(error) if error.kind.is_an_answer() => Ok(Pulled::Failed {
                why: hidden(&error),
            }),
            Err(error) => Err(HostError {
                message: hidden(&error),
                ..error
            }),
        }
    }

    async fn upload(
        &self,
        revision: &Revision,
        facts: &Facts,
        package: &Package,
        meta: &Meta,
        progress: UploadProgress<'_>,
    ) -> Result<u64, HostError> {
        let (name, digest) = (revision.reference().name, &revision.digest);
        let mut sent = 0;
        if let Some((delta, base)) = self.delta(facts, package).await {
            let source = Source::Delta(&delta, &base);
            match self.ship(&name, digest, meta, source, progress).await {
                // Whatever the host has against it: the whole package tells whether that was the delta's fault.
                Err(error) if error.kind.is_an_answer() => {
                    tracing::info!("{}: the delta was of no use: {error}", self.machine.name);
                    sent += delta.size;
                }
                done => return done,
            }
        }
        let whole = self.depot.payloads.whole(package, &facts.tools).await?;
        let source = Source::Payload(&whole);
        let whole = self.ship(&name, digest, meta, source, progress).await?;
        Ok(sent + whole)
    }

    /// The package as the difference from what the host runs, where that is smaller, and the name of that.
    async fn delta(&self, facts: &Facts, package: &Package) -> Option<(Payload, RevisionName)> {
        let base = facts.managed()?;
        let artifacts = &self.depot.artifacts;
        let stored = artifacts.package(&base.digest, &facts.architecture).await;
        let stored = stored.ok().flatten()?;
        let payloads = &self.depot.payloads;
        let delta = payloads.delta(package, &stored, &facts.tools).await?;
        Some((delta, base.name))
    }

    async fn ship(
        &self,
        name: &RevisionName,
        digest: &Digest,
        meta: &Meta,
        source: Source<'_>,
        progress: UploadProgress<'_>,
    ) -> Result<u64, HostError> {
        let shipment = Shipment {
            name,
            digest,
            meta,
            source,
        };
        ship(
            self.machine,
            self.service,
            self.controller,
            &shipment,
            progress,
        )
        .await
    }

    /// Keeps what the host ran before rollctl: there among its revisions, and in the controller's store.
    pub(super) async fn keep(
        &self,
        found: &Found,
        facts: &Facts,
        progress: UploadProgress<'_>,
    ) -> Result<Manifest, HostError> {
        let manifest = found.manifest(self.service, self.controller, self.now);
        let name = RevisionName::adopted(&found.digest);
        let meta = Meta::new(&manifest, &found.contents.units, None)?;
        if !self.has(facts, &name, &found.digest, &meta.sums).await? {
            let source = match &found.adopted {
                Adopted::File { origin } => Source::HostFile(origin),
                Adopted::Folder { .. } => Source::Nowhere,
            };
            self.ship(&name, &found.digest, &meta, source, progress)
                .await?;
        }
        if found.file().is_some() {
            self.fetch_once(found, facts, &name).await?;
        }
        Ok(manifest)
    }

    async fn fetch_once(
        &self,
        found: &Found,
        facts: &Facts,
        name: &RevisionName,
    ) -> Result<(), HostError> {
        let guard = Arc::clone(
            self.depot
                .fetching
                .lock()
                .await
                .entry(found.digest.clone())
                .or_default(),
        );
        let _only_one = guard.lock().await;
        let artifacts = &self.depot.artifacts;
        let stored = artifacts.package(&found.digest, &facts.architecture).await;
        let (None, Some((sha256, size))) = (stored.map_err(of_store)?, found.file()) else {
            return Ok(());
        };
        let path = format!("{}/{}", folder_of(&facts.dir, name), self.service.binary);
        let file = fetch(self.machine, &path, sha256, size).await?;
        let contents = PackageContents {
            elf: elf_machine(file.path()),
            ..found.contents.clone()
        };
        artifacts
            .keep_adopted(&found.digest, &contents, file.path())
            .await
            .map_err(of_store)
    }
}
