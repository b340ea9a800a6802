//! Sending: what a host does not have yet is shipped to it, and what only it has is fetched.

use std::sync::Arc;

use super::adopt::Found;
use super::facts::Facts;
use super::layout::{Meta, folder_of};
use super::payload::Payload;
use super::stage::{Stage, elf_machine, of_store};
use super::upload::{Shipment, Source, fetch, ship};
use crate::core::ids::{Digest, RevisionName};
use crate::core::revision::{Adopted, Manifest, Revision};
use crate::ports::{HostError, Package, PackageContents, UploadProgress};

impl Stage<'_> {
    pub(super) async fn send(
        &self,
        revision: &Revision,
        facts: &Facts,
        package: &Package,
        progress: UploadProgress<'_>,
    ) -> Result<u64, HostError> {
        let _turn = self.depot.uploads.acquire().await;
        let meta = self.meta(revision, facts, &package.contents)?;
        let (name, digest) = (revision.reference().name, &revision.digest);
        let mut sent = 0;
        if let Some((delta, base)) = self.delta(facts, package).await {
            let source = Source::Delta(&delta, &base);
            match self.ship(&name, digest, &meta, source, progress).await {
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
        let whole = self.ship(&name, digest, &meta, source, progress).await?;
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
