//! The packages of the controller's folder as files, for whoever puts them into a bucket or takes them from one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::core::ids::Digest;
use crate::ports::ArtifactError;

use super::index::{IndexedPackage, key_text, package_name};
use super::origin;
use super::revision::RevisionContent;
use super::store::FileStore;

impl FileStore {
    /// From where the artifact was read this time; what was read from a path leaves an earlier one in force.
    pub(super) fn remember_origins(
        &self,
        digest: &Digest,
        content: &RevisionContent,
    ) -> Result<(), ArtifactError> {
        let origins: BTreeMap<_, _> = content
            .variants
            .iter()
            .filter_map(|(key, variant)| Some((key_text(key).to_owned(), variant.origin.clone()?)))
            .collect();
        if origins.is_empty() {
            return Ok(());
        }
        origin::write(&self.revision_folder(digest)?, &origins)
            .map_err(|error| self.failed("cannot keep the revision", &error))
    }

    /// Keeps a revision of these packages, whose files lie in `folder`.
    pub(super) fn take(
        &self,
        digest: &Digest,
        packages: BTreeMap<String, IndexedPackage>,
        folder: &Path,
    ) -> Result<(), ArtifactError> {
        self.keep(digest, |incoming| {
            for name in packages.keys().map(|key| package_name(key)) {
                let kept = incoming.join(&name);
                fs::copy(folder.join(&name), &kept)?;
                File::open(kept)?.sync_all()?;
            }
            Ok(packages)
        })
    }

    /// Where a package lies, by architecture or `any`.
    pub(super) fn package_path(
        &self,
        digest: &Digest,
        key: &str,
    ) -> Result<PathBuf, ArtifactError> {
        Ok(self.revision_folder(digest)?.join(package_name(key)))
    }

    /// The error of a task that did not end.
    pub(super) fn broken(&self, error: tokio::task::JoinError) -> ArtifactError {
        self.failed("cannot keep the revision", &io::Error::other(error))
    }
}
