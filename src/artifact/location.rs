//! Where the controller keeps artifacts: `[artifacts] url`, or beside the ledger.

use std::path::{Path, PathBuf};

use crate::core::source::SecretUrl;
use crate::ports::ArtifactError;

/// Where artifacts are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePlace {
    /// On this machine.
    pub folder: PathBuf,
    /// In a cloud, where the inventory names a bucket: hosts fetch them there.
    pub bucket: Option<SecretUrl>,
}

/// The store's folder from `url` when the inventory gives one (relative to `base`, the inventory's folder), else
/// beside the ledger's file: `production.db` gives `production.artifacts`. A store in a cloud has that folder too.
///
/// # Errors
/// When the URL is of an unknown kind.
pub fn store_place(
    url: Option<&str>,
    base: &Path,
    ledger: &Path,
) -> Result<StorePlace, ArtifactError> {
    let beside = |bucket| StorePlace {
        folder: ledger.with_extension("artifacts"),
        bucket,
    };
    let Some(url) = url else {
        return Ok(beside(None));
    };
    let refuse = |problem: &str, hint: &str| {
        Err(ArtifactError {
            location: SecretUrl::new(url).to_string(),
            problem: problem.to_owned(),
            hint: Some(hint.to_owned()),
        })
    };
    match url.split_once(':') {
        Some(("file", path)) => {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return refuse("the path is empty", "write it as `file:artifacts`");
            }
            Ok(StorePlace {
                folder: base.join(path),
                bucket: None,
            })
        }
        Some(("s3" | "gs" | "az", _)) => Ok(beside(Some(SecretUrl::new(url)))),
        _ => refuse(
            "the URL is of an unknown kind",
            "write a folder as `file:PATH`, a bucket as `s3://BUCKET/FOLDER`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_folders() {
        for (url, expected, sentence) in [
            (None, Ok("/state/production.artifacts"), "beside the ledger"),
            (
                Some("file:artifacts"),
                Ok("/inventory/artifacts"),
                "relative to the inventory",
            ),
            (Some("file:/srv/a"), Ok("/srv/a"), "absolute"),
            (
                Some("file:///srv/a"),
                Ok("/srv/a"),
                "absolute, as browsers write it",
            ),
            (Some("file:"), Err("empty"), "nothing"),
            (
                Some("s3://bucket/x"),
                Ok("/state/production.artifacts"),
                "a bucket: what is kept here lies beside the ledger",
            ),
            (Some("artifacts"), Err("unknown kind"), "a bare path"),
            (
                Some("http://k:geheim@x"),
                Err("unknown kind"),
                "something else",
            ),
        ] {
            let found = store_place(
                url,
                Path::new("/inventory"),
                Path::new("/state/production.db"),
            );
            match (found, expected) {
                (Ok(place), Ok(expected)) => {
                    assert_eq!(place.folder, Path::new(expected), "{sentence}");
                    let bucket = url.filter(|url| url.starts_with("s3:")).map(SecretUrl::new);
                    assert_eq!(place.bucket, bucket, "{sentence}");
                }
                (Err(error), Err(expected)) => {
                    let text = error.to_string();
                    assert!(text.contains(expected), "{sentence}: {text}");
                    assert!(
                        !text.contains("geheim") && error.hint.is_some(),
                        "{sentence}"
                    );
                }
                (found, _) => panic!("{sentence}: {found:?}"),
            }
        }
    }
}
