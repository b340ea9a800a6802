//! Where the controller keeps artifacts: `[artifacts] url`, or beside the ledger.

use std::path::{Path, PathBuf};

use crate::ports::ArtifactError;

/// The folder of the store: from `url` when the inventory gives one (relative to `base`, the inventory's folder), else
/// beside the ledger's file: `production.db` gives `production.artifacts`.
///
/// # Errors
/// When the URL is of a kind that is not supported (yet).
pub fn store_folder(
    url: Option<&str>,
    base: &Path,
    ledger: &Path,
) -> Result<PathBuf, ArtifactError> {
    let Some(url) = url else {
        return Ok(ledger.with_extension("artifacts"));
    };
    let refuse = |problem: &str, hint: &str| {
        Err(ArtifactError {
            location: without_password(url),
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
            Ok(base.join(path))
        }
        Some(("s3" | "gs" | "az", _)) => refuse(
            "object stores are not supported yet",
            "use `file:PATH`, or leave `[artifacts]` out to keep them beside the ledger",
        ),
        _ => refuse(
            "the URL is of an unknown kind",
            "write a folder as `file:PATH`",
        ),
    }
}

/// `s3://key:secret@bucket` must not show its secret.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
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
                Some("s3://k:geheim@bucket/x"),
                Err("s3://bucket/x: object stores are not supported yet"),
                "later",
            ),
            (Some("gs://bucket"), Err("not supported yet"), "later"),
            (Some("az://bucket"), Err("not supported yet"), "later"),
            (Some("artifacts"), Err("unknown kind"), "a bare path"),
            (Some("http://x"), Err("unknown kind"), "something else"),
        ] {
            let found = store_folder(
                url,
                Path::new("/inventory"),
                Path::new("/state/production.db"),
            );
            match (found, expected) {
                (Ok(path), Ok(expected)) => assert_eq!(path, Path::new(expected), "{sentence}"),
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
