//! Everything of a revision that reaches hosts, read from the controller's disk and environment.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::core::fleet::{EnvironmentValue, Service};
use crate::core::ids::{Digest, UnitName};
use crate::core::revision::{Architecture, ManifestFile, Signer};
use crate::core::source::{ArtifactPlace, ArtifactSource};
use crate::ports::PackageContents;

use super::archive::{Failure, Format, add_archive};
use super::digest::digest;
use super::digest_file;
use super::elf::{Program, inspect};
use super::environment::{base_text, resolve};
use super::error::{ArtifactReadError, EntryProblem};
use super::fetch::Fetched;
use super::files::{metadata, read_units, unreadable};
use super::folder::add_folder;
use super::hashing::hash_file;
use super::launch::Launch;
use super::origin::Origin;
use super::signature::{Verified, verify};
use super::tree::{Flaw, Limits, Tree, clean_path};
use super::trust_error::TrustError;

/// Debug information above this many bytes is worth a warning: it travels to every host.
const DEBUG_BYTES_WARNED: u64 = 20_000_000;

/// Everything of a revision that reaches hosts. Unpacked archives live as long as this does.
pub struct RevisionContent {
    /// The files, per architecture; under `None` when they are the same for all.
    pub variants: BTreeMap<Option<Architecture>, Variant>,
    /// The unit files' texts; empty: the host's own are kept.
    pub units: BTreeMap<UnitName, String>,
    /// The variables with their values, secrets too: never shown.
    pub environment: BTreeMap<String, String>,
    /// Where each of those comes from, as the inventory says it.
    pub(super) variables: BTreeMap<String, EnvironmentValue>,
    /// What somebody should know though it stops nothing.
    pub warnings: Vec<String>,
    /// Who signed the artifacts, sorted; empty where no signature is asked for.
    pub signers: Vec<Signer>,
    /// Where archives were unpacked; removed when dropped.
    _scratch: Vec<TempDir>,
    /// What was read by URL; the same.
    _fetched: Fetched,
}

/// The files of a revision for one architecture, or for all.
#[derive(Debug)]
pub struct Variant {
    /// Every file, sorted by path.
    pub files: Vec<ManifestFile>,
    /// The machine of the binary when it is an ELF program.
    pub elf: Option<Architecture>,
    /// Where the content of each plain file lies on the controller.
    pub(super) sources: BTreeMap<String, PathBuf>,
    /// Where the artifact was read from, when hosts can read it there too.
    pub(super) origin: Option<Origin>,
}

impl RevisionContent {
    /// The digest over all of it: the same content gives the same digest on every machine.
    pub fn digest(&self) -> Digest {
        let variants = self
            .variants
            .iter()
            .map(|(key, variant)| (key.as_ref(), variant.files.as_slice()));
        digest(variants, &self.units, &self.environment)
    }

    /// What a package of one of its variants holds.
    pub fn contents(&self, variant: &Variant) -> PackageContents {
        PackageContents {
            files: variant.files.clone(),
            units: self.units.clone(),
            environment: Some(base_text(&self.environment)),
            elf: variant.elf.clone(),
            adopted: None,
        }
    }
}

impl fmt::Debug for RevisionContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevisionContent")
            .field("variants", &self.variants)
            .field("units", &self.units.keys())
            .field("environment", &self.environment.keys())
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

/// Reads what a release of `service` would ship: `artifact` as given on the command line, else the inventory's.
///
/// Blocks: it reads and hashes every file. What is named by URL is in `fetched`; `lookup` gives a variable of the
/// controller's environment.
///
/// # Errors
/// Every [`ArtifactReadError`] is a mistake that a person can mend before anything is touched (exit code 2).
pub fn read(
    service: &Service,
    artifact: Option<&ArtifactSource>,
    fetched: &Fetched,
    lookup: &dyn Fn(&str) -> Option<OsString>,
) -> Result<RevisionContent, ArtifactReadError> {
    let no_artifact = || ArtifactReadError::NoArtifact {
        service: service.name.clone(),
    };
    let source = artifact
        .or(service.artifact.as_ref())
        .ok_or_else(no_artifact)?;
    let environment = resolve(service, lookup)?;
    let units = read_units(service)?;
    let mut reader = Reader {
        service,
        fetched,
        launch: Launch::of(&service.binary, &units),
        limits: Limits::DEFAULT,
        scratch: Vec::new(),
        warnings: Vec::new(),
        signers: BTreeSet::new(),
        // What somebody types is theirs to know.
        digest: artifact.is_none() && service.channel.digest,
    };
    let variants = match source {
        ArtifactSource::Any(place) => BTreeMap::from([(None, reader.place(place, None)?)]),
        ArtifactSource::PerArchitecture(places) => places
            .iter()
            .map(|(key, place)| Ok((Some(key.clone()), reader.place(place, Some(key))?)))
            .collect::<Result<_, ArtifactReadError>>()?,
    };
    if variants.is_empty() {
        return Err(no_artifact());
    }
    Ok(RevisionContent {
        variants,
        units,
        environment,
        variables: service.environment.clone(),
        warnings: reader.warnings,
        signers: reader.signers.into_iter().collect(),
        _scratch: reader.scratch,
        _fetched: fetched.clone(),
    })
}

struct Reader<'a> {
    service: &'a Service,
    fetched: &'a Fetched,
    launch: Launch,
    limits: Limits,
    scratch: Vec<TempDir>,
    warnings: Vec<String>,
    signers: BTreeSet<Signer>,
    /// Whether a digest file has to lie beside the artifact.
    digest: bool,
}

impl Reader<'_> {
    fn place(
        &mut self,
        place: &ArtifactPlace,
        key: Option<&Architecture>,
    ) -> Result<Variant, ArtifactReadError> {
        let url = match place {
            ArtifactPlace::Path(path) => return self.variant(path, path, key),
            ArtifactPlace::Url(url) => url,
        };
        let Some(file) = self.fetched.files.get(url) else {
            return Err(ArtifactReadError::Fetch {
                url: url.clone(),
                problem: "it was not read".to_owned(),
            });
        };
        let shown = PathBuf::from(url.to_string());
        let mut variant = self.variant(&file.path, &shown, key)?;
        // What is read by `http://` comes from this machine: no host can read it there.
        variant.origin = (url.scheme() != "http").then(|| Origin::of(self.service, url, file));
        Ok(variant)
    }

    /// What lies at `artifact`, which messages call `shown`.
    fn variant(
        &mut self,
        artifact: &Path,
        shown: &Path,
        key: Option<&Architecture>,
    ) -> Result<Variant, ArtifactReadError> {
        let mut tree = Tree::new(self.limits);
        let metadata = metadata("artifact", artifact)?;
        // Before anything in it is looked at.
        let verified = self.verify(artifact, shown)?;
        let expected = match self.digest {
            true => Some(digest_file::expected(artifact, shown)?),
            false => None,
        };
        let at = |(entry, problem): Flaw| ArtifactReadError::Entry {
            path: shown.to_owned(),
            entry,
            problem,
        };
        let binary = clean_path(&self.service.binary)
            .map_err(|problem| at((self.service.binary.clone(), problem)))?;
        let is_single = metadata.is_file() && Format::of(artifact).is_none();
        let empty = || ArtifactReadError::Empty {
            what: "artifact",
            path: shown.to_owned(),
        };
        let sha256 = if is_single {
            let content = hash_file(artifact);
            let content = content.map_err(|error| unreadable("artifact", artifact, error))?;
            if content.1 == 0 {
                return Err(empty());
            }
            let sha256 = Some(content.0.clone());
            tree.add_file(&binary, true, artifact.to_owned(), content)
                .map_err(at)?;
            sha256
        } else {
            let sha256 = self.fill(&mut tree, artifact, shown, &metadata)?;
            if tree.is_empty() {
                return Err(empty());
            }
            sha256
        };
        if verified.is_some_and(|verified| Some(verified) != sha256) {
            return Err(TrustError::Changed {
                artifact: shown.to_owned(),
            }
            .into());
        }
        if let (Some(expected), Some(sha256)) = (expected, &sha256)
            && expected != *sha256
        {
            let problem = format!("its SHA-256 is {sha256}, and its digest file says {expected}");
            return Err(ArtifactReadError::Digest {
                artifact: shown.to_owned(),
                problem,
            });
        }
        self.add_files(&mut tree, shown)?;
        let elf = self.check_binary(&mut tree, shown, &binary, is_single, key)?;
        let (files, sources) = tree.finish().map_err(at)?;
        Ok(Variant {
            files,
            elf,
            sources,
            origin: None,
        })
    }

    /// The SHA-256 of the signed file, where builds have to be signed.
    fn verify(
        &mut self,
        artifact: &Path,
        shown: &Path,
    ) -> Result<Option<String>, ArtifactReadError> {
        let Some(trust) = &self.service.trust else {
            return Ok(None);
        };
        let Verified { signer, sha256 } = verify(trust, artifact, shown)?;
        self.signers.insert(signer);
        Ok(Some(sha256))
    }

    /// Adds a folder or an archive; the SHA-256 of the archive.
    fn fill(
        &mut self,
        tree: &mut Tree,
        artifact: &Path,
        shown: &Path,
        metadata: &fs::Metadata,
    ) -> Result<Option<String>, ArtifactReadError> {
        let path = || shown.to_owned();
        let entry = |(entry, problem)| ArtifactReadError::Entry {
            path: path(),
            entry,
            problem,
        };
        if metadata.is_dir() {
            return match add_folder(tree, artifact, "") {
                Err((top, EntryProblem::Unreadable)) if top.is_empty() => {
                    Err(ArtifactReadError::Unreadable {
                        what: "artifact",
                        path: path(),
                        source: io::ErrorKind::PermissionDenied.into(),
                    })
                }
                other => other.map(|()| None).map_err(entry),
            };
        }
        let Some(format) = Format::of(artifact) else {
            return Ok(None);
        };
        let failed = |source| ArtifactReadError::Scratch {
            path: path(),
            source,
        };
        let scratch = tempfile::Builder::new()
            .prefix("rollctl-")
            .tempdir()
            .map_err(failed)?;
        let added = add_archive(tree, artifact, format, scratch.path());
        self.scratch.push(scratch);
        added.map(Some).map_err(|failure| match failure {
            Failure::Flaw(flaw) => entry(flaw),
            Failure::Scratch(source) => failed(source),
            Failure::Damaged(source) => ArtifactReadError::DamagedArchive {
                path: path(),
                format: format.name(),
                source,
            },
        })
    }

    /// The inventory's `files`.
    fn add_files(&self, tree: &mut Tree, artifact: &Path) -> Result<(), ArtifactReadError> {
        for (path, source) in &self.service.files {
            let at = |(entry, problem): Flaw| ArtifactReadError::Entry {
                path: artifact.to_owned(),
                entry,
                problem,
            };
            let metadata = metadata("file", source)?;
            if !metadata.is_file() {
                return Err(ArtifactReadError::WrongKind {
                    what: "file",
                    path: source.clone(),
                    found: "not a plain file",
                });
            }
            let is_executable =
                std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0;
            let content = hash_file(source).map_err(|error| unreadable("file", source, error))?;
            let path = clean_path(path).map_err(|problem| at((path.clone(), problem)))?;
            tree.add_file(&path, is_executable, source.clone(), content)
                .map_err(at)?;
        }
        Ok(())
    }

    /// Refuses a binary that cannot run, and gives the machine of one that can.
    fn check_binary(
        &mut self,
        tree: &mut Tree,
        artifact: &Path,
        binary: &str,
        is_single: bool,
        key: Option<&Architecture>,
    ) -> Result<Option<Architecture>, ArtifactReadError> {
        let Some((place, source)) = tree
            .resolve(binary)
            .ok()
            .and_then(|place| Some((place.clone(), tree.source(&place)?.to_owned())))
        else {
            if !self.launch.needs_binary(self.service) {
                return Ok(None);
            }
            return Err(ArtifactReadError::NoBinary {
                path: artifact.to_owned(),
                binary: binary.to_owned(),
                elsewhere: tree.find_name(binary).map(str::to_owned),
            });
        };
        let path = || {
            if is_single {
                artifact.to_owned()
            } else {
                artifact.join(&place)
            }
        };
        let program = inspect(&source).map_err(|error| unreadable("artifact", &source, error))?;
        let (machine, debug_bytes) = match program {
            Program::Elf {
                machine,
                debug_bytes,
            } => (machine, debug_bytes),
            Program::Not(found) if self.launch != Launch::ByAnother => {
                return Err(ArtifactReadError::NotExecutable {
                    path: path(),
                    found: format!("it is {found}"),
                });
            }
            Program::Not(_) => return Ok(None),
            Program::Script => {
                tree.make_executable(&place);
                return Ok(None);
            }
        };
        tree.make_executable(&place);
        if let Some(key) = key.filter(|key| **key != machine) {
            return Err(ArtifactReadError::WrongMachine {
                path: path(),
                machine,
                key: key.clone(),
            });
        }
        if debug_bytes > DEBUG_BYTES_WARNED {
            self.warnings.push(format!(
                "strip the artifact: `{}` holds {} MB of debug information that every host would get",
                path().display(),
                debug_bytes / 1_000_000
            ));
        }
        Ok(Some(machine))
    }
}
