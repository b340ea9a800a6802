//! What a revision is made of, and what a host keeps of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{Digest, RevisionName, RevisionNumber, RevisionRef, ServiceName, UnitName};
use super::time::Timestamp;

/// A processor architecture as `uname -m` says it: `x86_64`, `aarch64`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Architecture(pub String);

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// One file of a revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its path inside the revision's folder, with `/`; never absolute, never with `..`.
    pub path: String,
    /// Its permission bits, such as `0o755`.
    pub mode: u32,
    /// Its content: SHA-256 for a file, the target for a symbolic link.
    #[serde(flatten)]
    pub content: FileContent,
}

/// What a [`ManifestFile`] holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FileContent {
    /// A plain file.
    File {
        /// 64 lower-case hex digits.
        sha256: String,
        /// Bytes.
        size: u64,
    },
    /// A symbolic link that stays inside the revision.
    Link {
        /// Where it points.
        target: String,
    },
}

/// How a revision that a host ran before rollctl came is found there again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "snake_case")]
pub enum Adopted {
    /// A single file was copied into the revision; its units expect it at `origin`.
    File {
        /// The absolute path at which the unit starts it.
        origin: String,
    },
    /// A folder that stays where it is; `current` pointed to it.
    Folder {
        /// What `current` pointed to, as it was written in the link.
        target: String,
    },
}

/// What is known of a revision on a host: written beside its files, and read back by `ledger rebuild`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The service it belongs to.
    pub service: ServiceName,
    /// Its number in the ledger.
    pub number: RevisionNumber,
    /// All its names; the first is its folder's.
    pub names: Vec<RevisionName>,
    /// The digest over everything that reaches any host, all architectures.
    pub digest: Digest,
    /// The architecture that `files` are for; nothing when they are the same for all.
    pub architecture: Option<Architecture>,
    /// Every file of the revision, sorted by path, rollctl's own (`.rollctl/...`) left out.
    pub files: Vec<ManifestFile>,
    /// The unit files that belong to the revision, with the SHA-256 of each.
    pub units: BTreeMap<UnitName, String>,
    /// Whether an environment file belongs to it.
    pub environment: bool,
    /// When it was first released.
    pub created_at: Timestamp,
    /// Who released it: `user@machine`.
    pub created_by: String,
    /// Why, in the words of who released it.
    pub cause: Option<String>,
    /// Set when it is what the host ran before rollctl came.
    pub adopted: Option<Adopted>,
    /// Who had signed its artifacts when it was shipped; empty where no signature was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<Signer>,
}

impl Manifest {
    /// The revision that this describes, or nothing when it has no name (a damaged manifest).
    pub fn revision(&self) -> Option<RevisionRef> {
        self.names.first().map(|name| RevisionRef {
            name: name.clone(),
            digest: self.digest.clone(),
        })
    }
}

/// Who vouched for a build: whose signature was on it when it was last released.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signer {
    /// As `allowed_signers` names the owner of the key: `ann@example.net`.
    pub principal: String,
    /// The key's fingerprint, as `ssh-keygen -l` prints it: `SHA256:...`.
    pub fingerprint: String,
    /// The public key, or the certificate, as it stands in a `.pub` file.
    pub key: String,
}

impl std::fmt::Display for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` ({})", self.principal, self.fingerprint)
    }
}

/// A revision as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number within the service.
    pub number: RevisionNumber,
    /// Its names in the order in which they were given; never empty.
    pub names: Vec<RevisionName>,
    /// What it is made of.
    pub digest: Digest,
    /// When it was first released or adopted.
    pub created_at: Timestamp,
    /// Who released it: `user@machine`.
    pub created_by: String,
    /// Why, in their words.
    pub cause: Option<String>,
    /// How it was found, when it was adopted.
    pub adopted: Option<Adopted>,
    /// Who signed its artifacts; empty where no signature was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<Signer>,
    /// Whether somebody wants to keep it, however many come after it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
}

impl Revision {
    /// Its first name and digest.
    pub fn reference(&self) -> RevisionRef {
        let name = self
            .names
            .first()
            .cloned()
            .unwrap_or_else(|| RevisionName::numbered(self.number));
        RevisionRef {
            name,
            digest: self.digest.clone(),
        }
    }
}
