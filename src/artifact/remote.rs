//! What a revision's folder in a bucket says of it, and how the controller of another machine takes it back.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::core::fleet::EnvironmentValue;
use crate::core::ids::Digest;
use crate::core::revision::Architecture;

use super::cloud::Bucket;
use super::digest::{ANY, digest};
use super::environment::base_text;
use super::fetch::save;
use super::index::{Index, IndexedPackage, package_name};
use super::revision::RevisionContent;
use super::store::FileStore;

const CONTENTS: &str = "contents.json";
const VERSION: u32 = 1;

/// The key of a file of a revision.
pub(super) fn key_of(digest: &Digest, file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!("{digest}/{name}")
}

/// `contents.json` in the bucket.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Remote {
    version: u32,
    variables: BTreeMap<String, Variable>,
    /// By architecture, or `any`; without the environment.
    packages: BTreeMap<String, IndexedPackage>,
}

/// A variable as the inventory has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Variable {
    Plain(String),
    /// A secret, in that variable of the controller's environment.
    Env(String),
}

impl Remote {
    /// The variables of a revision; its packages come when it is written.
    pub(super) fn of(content: &RevisionContent) -> Self {
        let variable = |(name, value): (&String, &EnvironmentValue)| {
            let value = match value {
                EnvironmentValue::Plain(text) => Variable::Plain(text.clone()),
                EnvironmentValue::Secret { env } => Variable::Env(env.clone()),
            };
            (name.clone(), value)
        };
        Self {
            version: VERSION,
            variables: content.variables.iter().map(variable).collect(),
            packages: BTreeMap::new(),
        }
    }

    /// With the packages of a revision, without their environment.
    fn with(mut self, index: Index) -> Self {
        self.packages = index.packages;
        for package in self.packages.values_mut() {
            package.contents.environment = None;
        }
        self
    }

    /// Writes it into the bucket, unless one is there.
    pub(super) async fn write(
        self,
        bucket: &Bucket,
        digest: &Digest,
        index: Index,
    ) -> Result<(), String> {
        let key = format!("{digest}/{CONTENTS}");
        if bucket.size(&key).await?.is_some() {
            return Ok(());
        }
        let remote = self.with(index);
        let mut file = NamedTempFile::new().map_err(|error| error.to_string())?;
        serde_json::to_writer(&mut file, &remote).map_err(|error| error.to_string())?;
        bucket.put(&key, file.path()).await
    }

    /// Takes a revision that `local` lacks from the bucket; whether it is there.
    pub(super) async fn take_back(
        bucket: &Bucket,
        wanted: &Digest,
        local: &FileStore,
    ) -> Result<bool, String> {
        let key = format!("{wanted}/{CONTENTS}");
        if bucket.size(&key).await?.is_none() {
            return Ok(false);
        }
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = folder.path().join(CONTENTS);
        save(bucket.read(&key).await?, &path).await?;
        let bytes = std::fs::read(&path).map_err(|error| error.to_string())?;
        let remote: Self = serde_json::from_slice(&bytes)
            .map_err(|_| format!("`{key}` is not what rollctl wrote"))?;
        let packages = remote.verified(wanted, &|name| std::env::var(name).ok())?;
        for (key, package) in &packages {
            let path = folder.path().join(package_name(key));
            let name = key_of(wanted, &path);
            let found = save(bucket.read(&name).await?, &path).await?;
            if found != (package.sha256.clone(), package.size) {
                return Err(format!(
                    "`{name}` is damaged: its SHA-256 is not the recorded one"
                ));
            }
        }
        let (local, wanted) = (FileStore::new(local.folder()), wanted.clone());
        let keeping =
            tokio::task::spawn_blocking(move || local.take(&wanted, packages, folder.path()));
        let kept = keeping.await.map_err(|error| error.to_string())?;
        kept.map_err(|error| error.problem)?;
        Ok(true)
    }

    /// Its packages with the environment, when all of it has the digest that the ledger knows.
    fn verified(
        self,
        wanted: &Digest,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<String, IndexedPackage>, String> {
        if self.version != VERSION {
            return Err("it was written by another version of rollctl".to_owned());
        }
        let mut environment = BTreeMap::new();
        let mut secrets = Vec::new();
        for (name, value) in self.variables {
            let value = match value {
                Variable::Plain(text) => text,
                Variable::Env(env) => {
                    let found = lookup(&env).ok_or_else(|| {
                        format!("the revision was kept by another machine and needs the secret `{env}`, which is not set here")
                    })?;
                    secrets.push(format!("`{env}`"));
                    found
                }
            };
            environment.insert(name, value);
        }
        let units = self.packages.values().next().map(|one| &one.contents.units);
        let keys: BTreeMap<&String, Option<Architecture>> = self
            .packages
            .keys()
            .map(|key| (key, (key != ANY).then(|| Architecture(key.clone()))))
            .collect();
        let variants = self.packages.iter().map(|(key, package)| {
            let architecture = keys.get(key).and_then(Option::as_ref);
            (architecture, package.contents.files.as_slice())
        });
        let found = digest(variants, &units.cloned().unwrap_or_default(), &environment);
        if found != *wanted {
            return Err(match secrets.is_empty() {
                true => "what the bucket has of the revision has another digest".to_owned(),
                false => format!(
                    "what the bucket has of the revision has another digest with the values that {} have here",
                    secrets.join(", ")
                ),
            });
        }
        let text = base_text(&environment);
        let with = |(key, mut package): (String, IndexedPackage)| {
            package.contents.environment = Some(text.clone());
            (key, package)
        };
        Ok(self.packages.into_iter().map(with).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::source::ArtifactSource;

    /// A revision with a plain variable and a secret, as another machine wrote it.
    fn written() -> (Digest, String) {
        let at = tempfile::tempdir().unwrap();
        let path = at.path().join("web");
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        let mut service = super::super::tests::service();
        let secret = EnvironmentValue::Secret { env: "DB".into() };
        service.environment = BTreeMap::from([
            ("LOG".to_owned(), EnvironmentValue::Plain("info".into())),
            ("PASSWORD".to_owned(), secret),
        ]);
        let source = ArtifactSource::Any(path.into());
        let content = super::super::read(&service, Some(&source), &Default::default(), &|name| {
            (name == "DB").then(|| "geheim".into())
        });
        let content = content.unwrap();
        let store = FileStore::new(at.path().join("store"));
        let digest = store.put(&content).unwrap();
        let index = store.index(&digest).unwrap().unwrap();
        let remote = Remote::of(&content).with(index);
        (digest, serde_json::to_string(&remote).unwrap())
    }

    #[test]
    fn a_revision_is_taken_back_by_whoever_has_its_secrets() {
        let (digest, text) = written();
        assert!(!text.contains("geheim") && text.contains("info"), "{text}");
        for (secret, expected) in [
            (Some("geheim"), None),
            (
                Some("another"),
                Some("another digest with the values that `DB` have here"),
            ),
            (None, Some("needs the secret `DB`, which is not set here")),
        ] {
            let remote: Remote = serde_json::from_str(&text).unwrap();
            let found = remote.verified(&digest, &|_| secret.map(str::to_owned));
            match (found, expected) {
                (Ok(packages), None) => {
                    let environment = packages[ANY].contents.environment.clone().unwrap();
                    assert_eq!(environment, "LOG=\"info\"\nPASSWORD=\"geheim\"\n");
                }
                (Err(error), Some(expected)) => assert!(error.contains(expected), "{error}"),
                (found, _) => panic!("{secret:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_somebody_changed_in_the_bucket_is_not_taken() {
        let (digest, text) = written();
        let changed = text.replace("\"mode\":493", "\"mode\":511");
        assert_ne!(changed, text);
        let remote: Remote = serde_json::from_str(&changed).unwrap();
        assert!(
            remote
                .verified(&digest, &|_| Some("geheim".into()))
                .is_err()
        );
    }
}
