//! The port to the controller's store of artifacts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;

use crate::core::ids::Digest;
use crate::core::revision::{Adopted, Architecture};
use crate::core::source::SecretUrl;

/// What travels to hosts of one architecture: a tar archive in the controller's store.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    /// The archive (zstd-compressed tar) on the controller.
    pub path: std::path::PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The size of the files in it, in bytes.
    pub unpacked_size: u64,
    /// SHA-256 of the archive.
    pub sha256: String,
    /// What is in it, without the ledger's fields.
    pub contents: PackageContents,
}

/// What a package holds.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct PackageContents {
    /// Every file of the revision (not rollctl's own), sorted by path.
    pub files: Vec<crate::core::revision::ManifestFile>,
    /// The unit files, as they are to be installed.
    pub units: BTreeMap<crate::core::ids::UnitName, String>,
    /// The environment file's text (systemd's quoting), if the revision has one. Holds secrets: never shown.
    pub environment: Option<String>,
    /// The ELF machine of the binary, when it is an ELF file: `x86_64`, `aarch64` ...
    pub elf: Option<Architecture>,
    /// How it was found, when it was adopted.
    pub adopted: Option<Adopted>,
}

/// What a host can fetch by itself in place of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Asked with GET, by whoever has it.
    pub url: SecretUrl,
    /// Bytes that it answers with.
    pub size: u64,
    /// SHA-256 of them, 64 lower-case hex digits: nothing else is unpacked.
    pub sha256: String,
    /// What they are.
    pub form: PullForm,
    /// Paths of the revision's files that are not in it: they travel through SSH.
    pub beside: BTreeSet<String>,
}

/// What is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullForm {
    /// The service's binary itself.
    File,
    /// A tar archive.
    Tar,
    /// The same, compressed by gzip.
    Gzip,
    /// The same, compressed by zstd.
    Zstd,
}

impl PullForm {
    /// What the host needs to unpack it, besides tar.
    pub fn tool(self) -> Option<&'static str> {
        match self {
            Self::File | Self::Tar => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
#[error("artifact store {location}: {problem}")]
pub struct ArtifactError {
    /// The store's folder or the file in question.
    pub location: String,
    /// What is wrong.
    pub problem: String,
    /// What a person can do.
    pub hint: Option<String>,
}

/// The controller's store of artifacts by digest.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// The package of a revision for an architecture; nothing when the store does not have it.
    async fn package(
        &self,
        digest: &Digest,
        architecture: &Architecture,
    ) -> Result<Option<Arc<Package>>, ArtifactError>;

    /// Where a host of that architecture can fetch a revision that is in the store; nothing: it is sent through SSH.
    async fn pull(
        &self,
        _digest: &Digest,
        _architecture: &Architecture,
    ) -> Result<Option<Pull>, ArtifactError> {
        Ok(None)
    }

    /// Whether hosts are to fetch all revisions by themselves.
    fn is_pulled_from(&self) -> bool {
        false
    }

    /// Keeps a file that was fetched from a host as an adopted revision's package.
    async fn keep_adopted(
        &self,
        digest: &Digest,
        contents: &PackageContents,
        file: &std::path::Path,
    ) -> Result<(), ArtifactError>;
}
