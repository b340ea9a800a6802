//! The controller's store as the inventory sets it up: a folder on this machine and, where it names one, a bucket in a cloud.
//!
//! ```text
//! <bucket>/<digest>/any.tar.zst      as in the folder, or one per architecture: what hosts fetch
//! <bucket>/<digest>/contents.json    what is in them, for another machine's controller; of the environment it has what the
//!                                    inventory says, never a secret's value
//! ```
//!
//! What is in the bucket is never trusted: hosts compare what they fetch with its SHA-256, and a controller what it takes back
//! with the revision's digest.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use crate::core::ids::Digest;
use crate::core::revision::Architecture;
use crate::core::source::SecretUrl;
use crate::ports::{ArtifactError, Artifacts, Package, PackageContents, Pull, PullForm};

use super::cloud::{Bucket, hint};
use super::digest::ANY;
use super::location::StorePlace;
use super::origin;
use super::remote::{Remote, key_of};
use super::revision::RevisionContent;
use super::store::FileStore;

/// What came of something that is done once, however many hosts wait for it.
type Once<T> = Arc<OnceCell<Result<T, String>>>;

/// What the controller keeps.
#[derive(Debug)]
pub struct ArtifactStore {
    local: FileStore,
    bucket: Option<Bucket>,
    /// Packages that the bucket was to have, so that it is asked once for each, however many hosts fetch it.
    offered: Mutex<HashMap<String, Once<()>>>,
    /// Revisions that were looked for in the bucket, and whether they were there.
    taken: Mutex<HashMap<Digest, Once<bool>>>,
}

impl ArtifactStore {
    /// The store at that place. Nothing is made or asked before something is kept or looked for.
    ///
    /// # Errors
    /// When the bucket cannot be used as the environment sets it up.
    pub fn new(place: &StorePlace) -> Result<Self, ArtifactError> {
        let open = |url| Bucket::open(url).map_err(|problem| in_bucket(url, problem));
        Ok(Self {
            local: FileStore::new(&place.folder),
            bucket: place.bucket.as_ref().map(open).transpose()?,
            offered: Mutex::default(),
            taken: Mutex::default(),
        })
    }

    /// Keeps a revision here and in the bucket, and gives its digest.
    ///
    /// # Errors
    /// When the folder or the bucket cannot be written, or a file changed since it was read.
    pub async fn put(self: Arc<Self>, content: RevisionContent) -> Result<Digest, ArtifactError> {
        let keeping = Arc::clone(&self);
        let (digest, remote) = tokio::task::spawn_blocking(move || {
            let digest = keeping.local.put(&content)?;
            Ok::<_, ArtifactError>((digest, Remote::of(&content)))
        })
        .await
        .map_err(|error| self.local.broken(error))??;
        if let Some(bucket) = &self.bucket {
            let index = self.local.index(&digest)?;
            for key in index.iter().flat_map(|index| index.packages.keys()) {
                let path = self.local.package_path(&digest, key)?;
                self.offer(bucket, &digest, &path).await?;
            }
            if let Some(index) = index {
                let told = remote.write(bucket, &digest, index).await;
                told.map_err(|problem| in_bucket(bucket.url(), problem))?;
            }
        }
        Ok(digest)
    }

    /// The variables of a revision that it has here; see [`FileStore::environment`].
    pub fn environment(&self, digest: &Digest) -> BTreeMap<String, String> {
        self.local.environment(digest)
    }

    /// Removes revisions from the folder on this machine; a bucket has others who use it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub async fn prune(self: Arc<Self>, digests: Vec<Digest>) -> Result<(), ArtifactError> {
        let this = Arc::clone(&self);
        tokio::task::spawn_blocking(move || {
            digests
                .iter()
                .try_for_each(|digest| this.local.remove(digest))
        })
        .await
        .map_err(|error| self.local.broken(error))?
    }

    /// Sees to it that the bucket has that package.
    async fn offer(
        &self,
        bucket: &Bucket,
        digest: &Digest,
        package: &Path,
    ) -> Result<String, ArtifactError> {
        let key = key_of(digest, package);
        let cell = {
            let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(offered.entry(key.clone()).or_default())
        };
        let put = || async {
            let size = std::fs::metadata(package).map(|metadata| metadata.len());
            let size = size.map_err(|error| error.to_string())?;
            // The same files are the same bytes: what has the name and the size is what was put there before.
            match bucket.size(&key).await? {
                Some(there) if there == size => Ok(()),
                _ => bucket.put(&key, package).await,
            }
        };
        match cell.get_or_init(put).await {
            Ok(()) => Ok(key),
            Err(problem) => Err(in_bucket(bucket.url(), problem.clone())),
        }
    }

    async fn pull_from(
        &self,
        bucket: &Bucket,
        digest: &Digest,
        architecture: &Architecture,
    ) -> Result<Option<Pull>, ArtifactError> {
        let Some(package) = self.local.package(digest, architecture).await? else {
            return Ok(None);
        };
        let key = self.offer(bucket, digest, &package.path).await?;
        let url = bucket.link(&key).await;
        Ok(Some(Pull {
            url: url.map_err(|problem| in_bucket(bucket.url(), problem))?,
            size: package.size,
            sha256: package.sha256.clone(),
            form: PullForm::Zstd,
            beside: Default::default(),
        }))
    }

    /// From where its artifact was read.
    async fn pull_from_origin(
        &self,
        digest: &Digest,
        architecture: &Architecture,
    ) -> Result<Option<Pull>, ArtifactError> {
        let mut origins = origin::read(&self.local.revision_folder(digest)?);
        let found = origins
            .remove(ANY)
            .or_else(|| origins.remove(&architecture.0));
        let Some(origin) = found else {
            return Ok(None);
        };
        let url = match origin.url.scheme() {
            "https" => Ok(origin.url.clone()),
            _ => match Bucket::of_object(&origin.url) {
                Ok((bucket, key)) => bucket.link(&key).await,
                Err(problem) => Err(problem),
            },
        };
        let url = url.map_err(|problem| in_bucket(&origin.url, problem))?;
        Ok(Some(origin.pull(url)))
    }
}

/// An error of the bucket, with where credentials come from.
fn in_bucket(url: &SecretUrl, problem: String) -> ArtifactError {
    ArtifactError {
        location: url.to_string(),
        problem,
        hint: Some(hint(url.scheme())),
    }
}

#[async_trait]
impl Artifacts for ArtifactStore {
    async fn package(
        &self,
        digest: &Digest,
        architecture: &Architecture,
    ) -> Result<Option<Arc<Package>>, ArtifactError> {
        let found = self.local.package(digest, architecture).await?;
        let (None, Some(bucket)) = (&found, &self.bucket) else {
            return Ok(found);
        };
        // Kept by the controller of another machine.
        let cell = {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(taken.entry(digest.clone()).or_default())
        };
        let take = || Remote::take_back(bucket, digest, &self.local);
        let taken = cell.get_or_init(take).await.clone();
        match taken.map_err(|problem| in_bucket(bucket.url(), problem))? {
            true => self.local.package(digest, architecture).await,
            false => Ok(None),
        }
    }

    async fn pull(
        &self,
        digest: &Digest,
        architecture: &Architecture,
    ) -> Result<Option<Pull>, ArtifactError> {
        match &self.bucket {
            Some(bucket) => self.pull_from(bucket, digest, architecture).await,
            None => self.pull_from_origin(digest, architecture).await,
        }
    }

    fn is_pulled_from(&self) -> bool {
        self.bucket.is_some()
    }

    async fn keep_adopted(
        &self,
        digest: &Digest,
        contents: &PackageContents,
        file: &Path,
    ) -> Result<(), ArtifactError> {
        // The bucket gets it when a host is to fetch it.
        self.local.keep_adopted(digest, contents, file).await
    }
}
