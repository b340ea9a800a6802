//! Reading artifacts that are named by URL into a temporary folder of the controller.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::Client;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::core::source::{ArtifactPlace, ArtifactSource, SecretUrl};

use super::archive::Format;
use super::cloud::Bucket;
use super::digest_file;
use super::error::ArtifactReadError;
use super::hashing::Hasher;
use super::signature::beside;
use super::tree::Limits;
use super::trust_error::failed as untold;

/// A server that sends nothing for so long has stalled.
const IDLE: Duration = Duration::from_secs(30);
/// For reaching it.
const CONNECT: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("rollctl/", env!("CARGO_PKG_VERSION"));

/// Artifacts that were read. The files live as long as this does.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    pub(super) folder: Option<Arc<TempDir>>,
    pub(super) files: BTreeMap<SecretUrl, FetchedFile>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct FetchedFile {
    pub(super) path: PathBuf,
    pub(super) sha256: String,
    pub(super) size: u64,
}

/// What a file says that is small: which version is the newest.
const SMALL: usize = 64 << 10;

/// What lies beside an artifact and is read with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside {
    /// A signature: builds have to be signed.
    pub signature: bool,
    /// A digest file.
    pub digest: bool,
}

/// Reads what `source` names by URL, each once, with what has to lie `beside` it. `begins` is told of each.
///
/// # Errors
/// When one cannot be read: [`ArtifactReadError::Fetch`]; when a signature cannot, [`ArtifactReadError::Untrusted`]; when a
/// digest file cannot, [`ArtifactReadError::Digest`].
pub async fn fetch(
    source: &ArtifactSource,
    with: Beside,
    begins: &mut (dyn FnMut(&SecretUrl) + Send),
) -> Result<Fetched, ArtifactReadError> {
    let mut fetched = Fetched::default();
    for place in source.places() {
        let ArtifactPlace::Url(url) = place else {
            continue;
        };
        if fetched.files.contains_key(url) {
            continue;
        }
        begins(url);
        let failed = |problem: String| ArtifactReadError::Fetch {
            url: url.clone(),
            problem: url.hidden_in(&problem),
        };
        let folder = match &fetched.folder {
            Some(folder) => Arc::clone(folder),
            None => {
                let folder = tempfile::Builder::new().prefix("rollctl-").tempdir();
                Arc::new(folder.map_err(|error| failed(error.to_string()))?)
            }
        };
        let number = fetched.files.len();
        let ending = Format::of(Path::new(path_of(url))).map_or("", Format::ending);
        let path = folder.path().join(format!("{number}{ending}"));
        let (sha256, size) = read(url, &path).await.map_err(failed)?;
        if with.digest {
            let digest = url.beside(digest_file::ENDING);
            let read = read(&digest, &digest_file::beside(&path)).await;
            read.map_err(|problem| ArtifactReadError::Digest {
                artifact: url.to_string().into(),
                problem: format!("`{digest}`: {}", digest.hidden_in(&problem)),
            })?;
        }
        if with.signature {
            let signature = url.beside(".sig");
            read(&signature, &beside(&path)).await.map_err(|problem| {
                let problem = io::Error::other(signature.hidden_in(&problem));
                untold(
                    &format!("`{url}`"),
                    format!("reading `{signature}`"),
                    problem,
                )
            })?;
        }
        fetched.folder = Some(folder);
        fetched
            .files
            .insert(url.clone(), FetchedFile { path, sha256, size });
    }
    Ok(fetched)
}

/// A small text.
///
/// # Errors
/// In words, without what is secret in the URL.
pub async fn read_text(url: &SecretUrl) -> Result<String, String> {
    let read = async {
        match url.scheme() {
            "http" | "https" => text_of(get(url).await?).await,
            _ => {
                let (bucket, key) = Bucket::of_object(url)?;
                text_of(bucket.read(&key).await?).await
            }
        }
    };
    read.await.map_err(|problem| url.hidden_in(&problem))
}

async fn text_of(
    mut pieces: impl Stream<Item = Result<Bytes, String>> + Unpin,
) -> Result<String, String> {
    let mut text = Vec::new();
    while let Some(piece) = pieces.next().await {
        text.extend_from_slice(&piece?);
        if text.len() > SMALL {
            return Err("it is larger than 64 KiB".to_owned());
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The path of a URL without its query: its ending says what it is.
fn path_of(url: &SecretUrl) -> &str {
    url.secret().split('?').next().unwrap_or_default()
}

async fn read(url: &SecretUrl, path: &Path) -> Result<(String, u64), String> {
    match url.scheme() {
        "http" | "https" => save(get(url).await?, path).await,
        _ => {
            let (bucket, key) = Bucket::of_object(url)?;
            save(bucket.read(&key).await?, path).await
        }
    }
}

async fn get(
    url: &SecretUrl,
) -> Result<impl Stream<Item = Result<Bytes, String>> + Unpin + use<>, String> {
    // The second and later calls say that there is one already.
    let installed = rustls::crypto::ring::default_provider().install_default();
    tracing::trace!(first = installed.is_ok(), "TLS provider");
    let client = Client::builder()
        .https_only(url.scheme() == "https")
        .connect_timeout(CONNECT)
        .read_timeout(IDLE)
        .user_agent(USER_AGENT)
        .build()
        .map_err(innermost)?;
    let answer = client.get(url.secret()).send().await.map_err(innermost)?;
    if !answer.status().is_success() {
        return Err(format!("the server answered {}", answer.status()));
    }
    Ok(answer
        .bytes_stream()
        .map(|piece| piece.map_err(innermost))
        .boxed())
}

/// What lies at the ground of it, without the URL.
fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let is_timeout = error.is_timeout();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match is_timeout {
        true => format!("nothing came for {} s", IDLE.as_secs()),
        false => cause.to_string(),
    }
}

/// Writes it to `path`; its SHA-256 and size.
pub(super) async fn save(
    mut pieces: impl Stream<Item = Result<Bytes, String>> + Unpin,
    path: &Path,
) -> Result<(String, u64), String> {
    let local = |error: std::io::Error| format!("`{}`: {error}", path.display());
    let mut file = tokio::fs::File::create_new(path).await.map_err(local)?;
    let mut hasher = Hasher::default();
    loop {
        let next = tokio::time::timeout(IDLE, pieces.next()).await;
        let Some(piece) = next.map_err(|_| format!("nothing came for {} s", IDLE.as_secs()))?
        else {
            break;
        };
        let piece = piece?;
        hasher.saw(&piece);
        if hasher.bytes() > Limits::DEFAULT.bytes {
            return Err("it is larger than 8 GiB".to_owned());
        }
        file.write_all(&piece).await.map_err(local)?;
    }
    file.flush().await.map_err(local)?;
    Ok(hasher.finish())
}
