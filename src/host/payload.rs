//! A package in the form that a host can unpack: as it is in the store, recompressed for a host without zstd, or as the
//! difference from a revision that the host has.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::{NamedTempFile, TempPath};
use tokio::sync::{Mutex, OnceCell};

use super::script::refused;
use crate::artifact::delta;
use crate::ports::{HostError, Package};

/// Below this size a delta saves nothing that anybody notices.
const WORTH_A_DELTA: u64 = 64 << 10;

/// How a payload is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Codec {
    Zstd,
    Gzip,
    Plain,
    /// Against the files of a revision that the host has.
    Delta,
}

impl Codec {
    /// The best that a host has a tool for.
    pub(crate) fn for_tools(tools: &BTreeSet<String>) -> Self {
        if tools.contains("zstd") {
            Self::Zstd
        } else if tools.contains("gzip") {
            Self::Gzip
        } else {
            Self::Plain
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Plain => "plain",
            Self::Delta => "delta",
        }
    }
}

/// A file to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) codec: Codec,
    /// Removes a file that was made for this when the last one is gone.
    _temporary: Option<Arc<TempPath>>,
}

/// A package in another form, made once, whoever needs it first; nothing: that form is of no use.
type Made = Arc<OnceCell<Option<Payload>>>;

/// A package in one form; packages by their SHA-256.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Form {
    package: String,
    /// What it is compressed against.
    base: Option<String>,
    codec: Codec,
    /// Only what a host does not fetch by itself.
    is_rest: bool,
}

/// Every form that was made.
#[derive(Debug, Default)]
pub(crate) struct Payloads(Mutex<HashMap<Form, Made>>);

impl Payloads {
    /// The whole package.
    pub(crate) async fn whole(
        &self,
        package: &Package,
        tools: &BTreeSet<String>,
    ) -> Result<Payload, HostError> {
        let codec = Codec::for_tools(tools);
        let stored = Payload {
            path: package.path.clone(),
            size: package.size,
            codec,
            _temporary: None,
        };
        if codec == Codec::Zstd {
            return Ok(stored);
        }
        let made = self.cell(package, None, codec, false).await;
        let source = package.path.clone();
        let payload = made
            .get_or_try_init(|| make(move || recompress(&source, codec).map(Some)))
            .await
            .map_err(not_recompressed)?;
        Ok(payload.clone().unwrap_or(stored))
    }

    /// The files of the package that a host does not fetch by itself; nothing when there are none.
    pub(crate) async fn rest(
        &self,
        package: &Package,
        paths: &BTreeSet<String>,
        tools: &BTreeSet<String>,
    ) -> Result<Option<Payload>, HostError> {
        if paths.is_empty() {
            return Ok(None);
        }
        let codec = Codec::for_tools(tools);
        let made = self.cell(package, None, codec, true).await;
        let (source, paths) = (package.path.clone(), paths.clone());
        let payload = made
            .get_or_try_init(|| make(move || some_of(&source, &paths, codec).map(Some)))
            .await
            .map_err(not_recompressed)?;
        Ok(payload.clone())
    }

    /// The package as the difference from `base`, which the host has; nothing where that is no smaller, or cannot be made: the
    /// whole package is as good.
    pub(crate) async fn delta(
        &self,
        package: &Package,
        base: &Package,
        tools: &BTreeSet<String>,
    ) -> Option<Payload> {
        if Codec::for_tools(tools) != Codec::Zstd || package.size < WORTH_A_DELTA {
            return None;
        }
        let made = self.cell(package, Some(base), Codec::Delta, false).await;
        let (package, base) = (package.clone(), base.path.clone());
        let payload = made
            .get_or_init(|| async move {
                let size = package.size;
                let delta = make(move || {
                    let file = delta(&base, &package.path, package.unpacked_size)?;
                    file.map(|file| Payload::of(file, Codec::Delta)).transpose()
                });
                match delta.await {
                    Ok(payload) => payload.filter(|payload| payload.size < size),
                    Err(error) => {
                        tracing::warn!("no delta is sent: {error}");
                        None
                    }
                }
            })
            .await;
        payload.clone()
    }

    async fn cell(
        &self,
        package: &Package,
        base: Option<&Package>,
        codec: Codec,
        is_rest: bool,
    ) -> Made {
        let form = Form {
            package: package.sha256.clone(),
            base: base.map(|base| base.sha256.clone()),
            codec,
            is_rest,
        };
        Arc::clone(self.0.lock().await.entry(form).or_default())
    }
}

async fn make(
    work: impl FnOnce() -> std::io::Result<Option<Payload>> + Send + 'static,
) -> std::io::Result<Option<Payload>> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
}

impl Payload {
    fn of(file: NamedTempFile, codec: Codec) -> std::io::Result<Self> {
        let size = file.as_file().metadata()?.len();
        let path = file.into_temp_path();
        Ok(Self {
            path: path.to_path_buf(),
            size,
            codec,
            _temporary: Some(Arc::new(path)),
        })
    }
}

fn not_recompressed(error: std::io::Error) -> HostError {
    refused(format!("the package cannot be recompressed: {error}"), None)
}

fn recompress(source: &Path, codec: Codec) -> std::io::Result<Payload> {
    compress(zstd::Decoder::new(File::open(source)?)?, codec)
}

fn compress(mut archive: impl Read, codec: Codec) -> std::io::Result<Payload> {
    let mut file = NamedTempFile::new()?;
    match codec {
        Codec::Gzip => {
            let mut encoder = GzEncoder::new(file.as_file_mut(), Compression::fast());
            std::io::copy(&mut archive, &mut encoder)?;
            encoder.finish()?.flush()?;
        }
        Codec::Zstd => zstd::stream::copy_encode(archive, file.as_file_mut(), 0)?,
        Codec::Plain | Codec::Delta => {
            std::io::copy(&mut archive, file.as_file_mut())?;
        }
    }
    Payload::of(file, codec)
}

/// The files of a package at these paths.
fn some_of(source: &Path, paths: &BTreeSet<String>, codec: Codec) -> std::io::Result<Payload> {
    let mut package = tar::Archive::new(zstd::Decoder::new(File::open(source)?)?);
    let mut some = tar::Builder::new(tempfile::tempfile()?);
    for entry in package.entries()? {
        let entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if paths.contains(&path) {
            let mut header = entry.header().clone();
            some.append_data(&mut header, &path, entry)?;
        }
    }
    let mut file = some.into_inner()?;
    file.rewind()?;
    compress(file, codec)
}
