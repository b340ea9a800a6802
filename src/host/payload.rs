//! A package in the form that a host can unpack: as it is in the store, or recompressed for a host without zstd.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempPath;
use tokio::sync::Mutex;

use super::script::refused;
use crate::ports::{HostError, Package};

/// How a payload is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Codec {
    Zstd,
    Gzip,
    Plain,
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
        }
    }
}

/// A file to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) codec: Codec,
    /// Removes a recompressed file when the last one is gone.
    _temporary: Option<Arc<TempPath>>,
}

/// Payloads by package; each is recompressed once, whoever needs it first.
#[derive(Debug, Default)]
pub(crate) struct Payloads(Mutex<HashMap<(String, Codec), Payload>>);

impl Payloads {
    pub(crate) async fn get(
        &self,
        package: &Package,
        tools: &BTreeSet<String>,
    ) -> Result<Payload, HostError> {
        let codec = Codec::for_tools(tools);
        if codec == Codec::Zstd {
            return Ok(Payload {
                path: package.path.clone(),
                size: package.size,
                codec,
                _temporary: None,
            });
        }
        let mut made = self.0.lock().await;
        let key = (package.sha256.clone(), codec);
        if let Some(payload) = made.get(&key) {
            return Ok(payload.clone());
        }
        let source = package.path.clone();
        let recompressed = tokio::task::spawn_blocking(move || recompress(&source, codec))
            .await
            .map_err(|error| refused(format!("the package cannot be recompressed: {error}"), None))?
            .map_err(|error| {
                refused(format!("the package cannot be recompressed: {error}"), None)
            })?;
        made.insert(key, recompressed.clone());
        Ok(recompressed)
    }
}

fn recompress(source: &Path, codec: Codec) -> std::io::Result<Payload> {
    let mut file = tempfile::NamedTempFile::new()?;
    let mut archive = zstd::Decoder::new(std::fs::File::open(source)?)?;
    match codec {
        Codec::Gzip => {
            let mut encoder = GzEncoder::new(file.as_file_mut(), Compression::fast());
            std::io::copy(&mut archive, &mut encoder)?;
            encoder.finish()?.flush()?;
        }
        Codec::Plain | Codec::Zstd => {
            std::io::copy(&mut archive, file.as_file_mut())?;
        }
    }
    let size = file.as_file().metadata()?.len();
    let path = file.into_temp_path();
    Ok(Payload {
        path: path.to_path_buf(),
        size,
        codec,
        _temporary: Some(Arc::new(path)),
    })
}
