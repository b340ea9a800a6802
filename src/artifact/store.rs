//! The controller's store: a folder with one folder per digest, written aside and renamed, never changed.
//!
//! ```text
//! <store>/<digest>/contents.json     sizes, SHA-256 and contents of the packages (0600: it holds the environment)
//! <store>/<digest>/any.tar.zst       or one per architecture: x86_64.tar.zst, aarch64.tar.zst
//! <store>/.incoming-<uuid>/          being written, or left by a controller that was killed
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use crate::core::ids::Digest;
use crate::core::revision::{Architecture, FileContent};
use crate::ports::{ArtifactError, Artifacts, Package, PackageContents};

use super::digest::ANY;
use super::environment::read_assignments;
use super::index::{Index, IndexedPackage, key_text, package_name};
use super::package::pack;
use super::revision::RevisionContent;

const INCOMING: &str = ".incoming-";
/// What a killed controller left is removed after this time; nobody packs for that long.
const INCOMING_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Artifacts in a folder on the controller.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
    /// Packages that were checked, so that each is read through once only, however many hosts ask.
    checked: Mutex<HashMap<(Digest, Architecture), Checked>>,
}

/// A package that is being read through, or was.
type Checked = Arc<OnceCell<Arc<Package>>>;

impl FileStore {
    /// The store in that folder, which is made when something is first kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            checked: Mutex::default(),
        }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps a revision and gives its digest. What is there already is kept; what is there damaged is replaced.
    /// Blocks while it compresses.
    ///
    /// # Errors
    /// When the folder cannot be written, or a file changed since it was read.
    pub fn put(&self, content: &RevisionContent) -> Result<Digest, ArtifactError> {
        let digest = content.digest();
        self.keep(&digest, |incoming| {
            let pack_one = |(key, variant): (&Option<Architecture>, _)| {
                let variant: &super::revision::Variant = variant;
                let key = key_text(key);
                if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                    let problem = format!("architecture `{}`", key.escape_debug());
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
                }
                let path = incoming.join(package_name(key));
                let packed = pack(&variant.files, &variant.sources, &path)?;
                Ok((
                    key.to_owned(),
                    IndexedPackage::new(packed, content.contents(variant)),
                ))
            };
            content.variants.iter().map(pack_one).collect()
        })?;
        self.remember_origins(&digest, content)?;
        Ok(digest)
    }

    /// Whether it has the revision (its packages are not read through).
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn contains(&self, digest: &Digest) -> Result<bool, ArtifactError> {
        Ok(self.index(digest)?.is_some())
    }

    /// The variables of a revision that it has; empty when it has not, or when what it has is damaged.
    pub fn environment(&self, digest: &Digest) -> BTreeMap<String, String> {
        let Ok(Some(index)) = self.index(digest) else {
            return BTreeMap::new();
        };
        index
            .packages
            .into_values()
            .filter_map(|package| package.contents.environment)
            .flat_map(|text| read_assignments(&text))
            .collect()
    }

    /// All digests that it has, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Digest>, ArtifactError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|error| self.failed("cannot be read", &error))?,
        };
        let mut digests: Vec<Digest> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .map(Digest::new)
            .filter(is_digest)
            .collect();
        digests.sort();
        Ok(digests)
    }

    /// Removes a revision, if it is there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn remove(&self, digest: &Digest) -> Result<(), ArtifactError> {
        let folder = self.revision_folder(digest)?;
        self.forget(digest);
        // Renamed first: half a revision is never seen under its digest.
        let aside = self.incoming();
        match fs::rename(&folder, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other
                .and_then(|()| fs::remove_dir_all(&aside))
                .map_err(|error| self.failed("cannot be pruned", &error)),
        }
    }

    /// Writes a revision's folder aside by `fill`, and renames it when all of it is on the disk.
    pub(super) fn keep(
        &self,
        digest: &Digest,
        fill: impl FnOnce(&Path) -> io::Result<BTreeMap<String, IndexedPackage>>,
    ) -> Result<(), ArtifactError> {
        let folder = self.revision_folder(digest)?;
        if self.is_intact(digest) {
            return Ok(());
        }
        self.forget(digest);
        let incoming = self.incoming();
        let written = self.prepare(&incoming).and_then(|()| {
            let packages = fill(&incoming)?;
            Index::new(digest, packages).write(&incoming)?;
            File::open(&incoming)?.sync_all()?;
            self.install(&incoming, &folder)
        });
        let removed = fs::remove_dir_all(&incoming);
        match written {
            // Another controller may have kept the same revision at the same moment.
            Err(error) if !self.is_intact(digest) => {
                Err(self.failed("cannot keep the revision", &error))
            }
            _ => {
                // It is gone by the rename; where it is not, the next sweep takes it.
                drop(removed);
                Ok(())
            }
        }
    }

    fn prepare(&self, incoming: &Path) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        self.sweep();
        DirBuilder::new().mode(0o700).create(incoming)
    }

    /// Puts the finished folder in its place, and a damaged one that is there out of the way.
    fn install(&self, incoming: &Path, folder: &Path) -> io::Result<()> {
        let aside = self.incoming();
        match fs::rename(folder, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        fs::rename(incoming, folder)?;
        File::open(&self.folder)?.sync_all()?;
        match fs::remove_dir_all(aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes what killed controllers left. What cannot be removed now is tried again the next time.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let is_incoming = entry.file_name().to_string_lossy().starts_with(INCOMING);
            let age = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
                .and_then(|modified| modified.elapsed().ok());
            if is_incoming
                && age.is_some_and(|age| age > INCOMING_KEPT)
                && let Err(error) = fs::remove_dir_all(entry.path())
            {
                tracing::debug!(path = %entry.path().display(), %error, "leftover stays");
            }
        }
    }

    fn incoming(&self) -> PathBuf {
        self.folder
            .join(format!("{INCOMING}{}", uuid::Uuid::new_v4()))
    }

    fn is_intact(&self, digest: &Digest) -> bool {
        let Ok(Some(index)) = self.index(digest) else {
            return false;
        };
        index
            .packages
            .iter()
            .all(|(key, package)| self.check(digest, key, package).is_ok())
    }

    pub(super) fn index(&self, digest: &Digest) -> Result<Option<Index>, ArtifactError> {
        Index::read(&self.revision_folder(digest)?, digest)
    }

    fn check(
        &self,
        digest: &Digest,
        key: &str,
        package: &IndexedPackage,
    ) -> Result<PathBuf, ArtifactError> {
        package.check(&self.revision_folder(digest)?, key)
    }

    /// Finds, reads through and describes a package.
    fn load(
        &self,
        digest: &Digest,
        architecture: &Architecture,
    ) -> Result<Option<Package>, ArtifactError> {
        let Some(mut index) = self.index(digest)? else {
            return Ok(None);
        };
        let keys: Vec<String> = index
            .packages
            .keys()
            .map(|key| format!("`{key}`"))
            .collect();
        let found = index
            .packages
            .remove_entry(ANY)
            .or_else(|| index.packages.remove_entry(&architecture.0));
        let Some((key, package)) = found else {
            return Err(ArtifactError {
                location: self.folder.display().to_string(),
                problem: format!(
                    "the revision has no artifact for `{architecture}`, only for {}",
                    keys.join(", ")
                ),
                hint: Some(format!(
                    "release a revision with `artifact = {{ {architecture} = \"...\" }}` too, or exclude the host"
                )),
            });
        };
        let path = self.check(digest, &key, &package)?;
        Ok(Some(Package {
            path,
            size: package.size,
            unpacked_size: package.unpacked_size,
            sha256: package.sha256,
            contents: package.contents,
        }))
    }

    /// The digest comes from a ledger: it must not become any other path.
    pub(super) fn revision_folder(&self, digest: &Digest) -> Result<PathBuf, ArtifactError> {
        if is_digest(digest) {
            return Ok(self.folder.join(digest.as_str()));
        }
        Err(ArtifactError {
            location: self.folder.display().to_string(),
            problem: format!("`{}` is not a digest", digest.as_str().escape_debug()),
            hint: None,
        })
    }

    fn forget(&self, digest: &Digest) {
        self.checked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(known, _), _| known != digest);
    }

    pub(super) fn failed(&self, what: &str, error: &io::Error) -> ArtifactError {
        let hint = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free space there, or set `[artifacts] url` to another folder"
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "it must be writable for the user who runs rollctl, or set `[artifacts] url` to another folder"
            }
            io::ErrorKind::InvalidData => "release again when the build has ended",
            _ => "look at the folder; `[artifacts] url` sets another one",
        };
        ArtifactError {
            location: self.folder.display().to_string(),
            problem: format!("{what}: {error}"),
            hint: Some(hint.to_owned()),
        }
    }
}

#[async_trait]
impl Artifacts for FileStore {
    async fn package(
        &self,
        digest: &Digest,
        architecture: &Architecture,
    ) -> Result<Option<Arc<Package>>, ArtifactError> {
        let cell = {
            let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (digest.clone(), architecture.clone());
            Arc::clone(checked.entry(key).or_default())
        };
        let load = || async {
            let this = Self::new(&self.folder);
            let (digest, architecture) = (digest.clone(), architecture.clone());
            let loading = tokio::task::spawn_blocking(move || this.load(&digest, &architecture));
            match loading.await {
                Ok(Ok(Some(package))) => Ok(Arc::new(package)),
                Ok(Ok(None)) => Err(None),
                Ok(Err(error)) => Err(Some(error)),
                Err(error) => Err(Some(
                    self.failed("cannot be read", &io::Error::other(error)),
                )),
            }
        };
        match cell.get_or_try_init(load).await {
            Ok(package) => Ok(Some(Arc::clone(package))),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    async fn keep_adopted(
        &self,
        digest: &Digest,
        contents: &PackageContents,
        file: &Path,
    ) -> Result<(), ArtifactError> {
        let this = Self::new(&self.folder);
        let (digest_kept, contents, file) = (digest.clone(), contents.clone(), file.to_owned());
        let keeping = tokio::task::spawn_blocking(move || {
            this.keep(&digest_kept, |incoming| {
                let is_file = |content: &FileContent| matches!(content, FileContent::File { .. });
                let sources = contents
                    .files
                    .iter()
                    .filter(|entry| is_file(&entry.content))
                    .map(|entry| (entry.path.clone(), file.clone()))
                    .collect();
                let path = incoming.join(package_name(ANY));
                let packed = pack(&contents.files, &sources, &path)?;
                Ok(BTreeMap::from([(
                    ANY.to_owned(),
                    IndexedPackage::new(packed, contents),
                )]))
            })
        });
        let kept = keeping
            .await
            .map_err(|error| self.failed("cannot keep the revision", &io::Error::other(error)))?;
        self.forget(digest);
        kept
    }
}

fn is_digest(digest: &Digest) -> bool {
    let text = digest.as_str();
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
