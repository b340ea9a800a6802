//! The digest file beside an artifact, as `sha256sum` writes it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::ArtifactReadError;

/// A list of many builds is smaller.
const LARGEST: u64 = 1 << 20;

/// Where the digest file of that file lies.
pub fn beside(artifact: &Path) -> PathBuf {
    let mut path = artifact.as_os_str().to_owned();
    path.push(ENDING);
    PathBuf::from(path)
}

/// Behind the artifact's name.
pub(super) const ENDING: &str = ".sha256";

/// The SHA-256 that an artifact is to have, which messages call `shown`.
pub(super) fn expected(artifact: &Path, shown: &Path) -> Result<String, ArtifactReadError> {
    let wrong = |problem: String| ArtifactReadError::Digest {
        artifact: shown.to_owned(),
        problem,
    };
    if artifact.is_dir() {
        return Err(wrong("a folder has no digest".to_owned()));
    }
    let path = beside(shown);
    let mut text = String::new();
    let read =
        File::open(beside(artifact)).and_then(|file| file.take(LARGEST).read_to_string(&mut text));
    read.map_err(|error| {
        wrong(match error.kind() {
            io::ErrorKind::NotFound => format!("there is no `{}`", path.display()),
            _ => format!("`{}` cannot be read: {error}", path.display()),
        })
    })?;
    let name = shown.file_name().unwrap_or_default().to_string_lossy();
    digest_in(&text, name.split('?').next().unwrap_or_default()).ok_or_else(|| {
        wrong(format!(
            "`{}` has no SHA-256 of it, as `sha256sum` writes it",
            path.display()
        ))
    })
}

/// What a digest file says of the file of that name: a line `DIGEST  NAME`, `DIGEST *NAME` or `SHA256 (NAME) = DIGEST`; or
/// nothing but a digest.
fn digest_in(text: &str, name: &str) -> Option<String> {
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_name = |path: &str| path.rsplit('/').next() == Some(name);
    let lines = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty());
    let mut alone = None;
    for line in lines {
        let (digest, path) = match line
            .strip_prefix("SHA256 (")
            .and_then(|rest| rest.split_once(") = "))
        {
            Some((path, digest)) => (digest, Some(path)),
            None => match line.split_once([' ', '\t']) {
                Some((digest, path)) => (digest, Some(path.trim_start_matches([' ', '\t', '*']))),
                None => (line, None),
            },
        };
        match path {
            _ if !is_digest(digest) => {}
            Some(path) if is_name(path) => return Some(digest.to_ascii_lowercase()),
            Some(_) => {}
            None => alone = alone.or_else(|| Some(digest.to_ascii_lowercase())),
        }
    }
    alone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_digest_files_say() {
        let (one, two) = ("a".repeat(64), "B".repeat(64));
        for (text, expected) in [
            (format!("{one}  web-1.0\n"), Some(&one)),
            (format!("{one} *web-1.0\n"), Some(&one)),
            (format!("{one}  dist/web-1.0"), Some(&one)),
            (format!("{one}\n"), Some(&one)),
            (format!("SHA256 (web-1.0) = {one}"), Some(&one)),
            (format!("{two}  web-0.9\n{one}  web-1.0\n"), Some(&one)),
            (format!("{two}  web-0.9\n"), None),
            (format!("{}  web-1.0", one.get(1..).unwrap()), None),
            ("<html>not found</html>".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(digest_in(&text, "web-1.0").as_ref(), expected, "{text}");
        }
        assert_eq!(digest_in(&two, "x"), Some("b".repeat(64)));
    }
}
