//! `contents.json`: what a revision's folder in the store holds.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::ids::Digest;
use crate::core::revision::Architecture;
use crate::ports::{ArtifactError, PackageContents};

use super::digest::ANY;
use super::hashing::hash_file;
use super::package::Packed;

const INDEX: &str = "contents.json";
const INDEX_VERSION: u32 = 1;

/// `contents.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Index {
    version: u32,
    digest: Digest,
    /// By architecture, or `any`.
    pub(super) packages: BTreeMap<String, IndexedPackage>,
}

/// One archive in it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IndexedPackage {
    pub(super) size: u64,
    pub(super) unpacked_size: u64,
    pub(super) sha256: String,
    pub(super) contents: PackageContents,
}

impl Index {
    pub(super) fn new(digest: &Digest, packages: BTreeMap<String, IndexedPackage>) -> Self {
        Self {
            version: INDEX_VERSION,
            digest: digest.clone(),
            packages,
        }
    }

    /// The index in `folder`, which must be of `digest`; nothing when there is none.
    pub(super) fn read(folder: &Path, digest: &Digest) -> Result<Option<Self>, ArtifactError> {
        let path = folder.join(INDEX);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| damaged(&path, &format!("cannot be read: {error}")))?,
        };
        let index: Self = serde_json::from_slice(&bytes)
            .map_err(|_| damaged(&path, "is not what rollctl wrote"))?;
        if index.version != INDEX_VERSION || index.digest != *digest {
            return Err(damaged(
                &path,
                "belongs to another revision or version of rollctl",
            ));
        }
        Ok(Some(index))
    }

    /// Writes it, for its owner alone, and flushes it to the disk.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.join(INDEX))?;
        io::Write::write_all(&mut file, &serde_json::to_vec(self)?)?;
        file.sync_all()
    }
}

impl IndexedPackage {
    pub(super) fn new(packed: Packed, contents: PackageContents) -> Self {
        Self {
            size: packed.size,
            unpacked_size: packed.unpacked_size,
            sha256: packed.sha256,
            contents,
        }
    }

    /// Reads the archive through and compares size and SHA-256; its path.
    pub(super) fn check(&self, folder: &Path, key: &str) -> Result<PathBuf, ArtifactError> {
        let path = folder.join(package_name(key));
        match hash_file(&path) {
            Ok((sha256, size)) if sha256 == self.sha256 && size == self.size => Ok(path),
            Ok(_) => Err(damaged(
                &path,
                "is damaged: its SHA-256 is not the recorded one",
            )),
            Err(error) => Err(damaged(&path, &format!("cannot be read: {error}"))),
        }
    }
}

/// The key of a package, for an architecture or all.
pub(super) fn key_text(key: &Option<Architecture>) -> &str {
    key.as_ref().map_or(ANY, |key| key.0.as_str())
}

/// The archive's name, for an architecture or `any`.
pub(super) fn package_name(key: &str) -> String {
    format!("{key}.tar.zst")
}

fn damaged(path: &Path, problem: &str) -> ArtifactError {
    ArtifactError {
        location: path.display().to_string(),
        problem: problem.to_owned(),
        hint: Some(
            "release the same artifact again, which replaces it; hosts that have the revision are not affected"
                .to_owned(),
        ),
    }
}
