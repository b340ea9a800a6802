//! Channels: artifacts whose place has a `{version}` in it, so that a timer has something new to find.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::program::Program;
use super::source::{ArtifactPlace, ArtifactSource, SecretUrl};

/// What stands for the version in an artifact's place.
pub const VERSION: &str = "{version}";

/// The longest version.
const LONGEST: usize = 128;

/// Where the newest version is found, and how its build is verified.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Channel {
    /// Who knows the version; nothing: the artifact is always in one place.
    pub version: Option<VersionFrom>,
    /// Whether a digest file has to lie beside the artifact.
    pub digest: bool,
}

/// Who knows the newest version.
#[derive(Debug, Clone, PartialEq)]
pub enum VersionFrom {
    /// The first line of a file, or of what a URL answers.
    Text(ArtifactPlace),
    /// The first line that a program writes.
    Program(Program),
    /// The names in a folder: the newest of them, by [`newest_first`].
    Folder(PathBuf),
}

/// Why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a version", shown(.0))]
pub struct NoVersion(pub String);

fn shown(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    start.escape_debug().to_string()
}

/// The version that a text's first line names. It becomes part of a path or a URL, so nothing in it may lead elsewhere.
///
/// # Errors
/// When it has other characters than letters, digits and `._+~-`, or begins with another than a letter or a digit.
pub fn version_in(text: &str) -> Result<String, NoVersion> {
    let line = text.lines().next().unwrap_or_default().trim();
    let is_version = line.starts_with(|c: char| c.is_ascii_alphanumeric())
        && line.len() <= LONGEST
        && !line.contains("..")
        && line
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._+~-".contains(c));
    match is_version {
        true => Ok(line.to_owned()),
        false => Err(NoVersion(line.to_owned())),
    }
}

/// A part of a version. A number is compared by its value, which may have any length.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'t> {
    Text(&'t str),
    Number(usize, &'t str),
}

/// A text as its numbers and what is between them.
fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let is_digit = |c: &char| c.is_ascii_digit();
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = is_digit(&rest.chars().next()?);
        let end = rest.find(|c| is_digit(&c) != first).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        let digits = part.trim_start_matches('0');
        Some(match first {
            true => Part::Number(digits.len(), digits),
            false => Part::Text(part),
        })
    })
}

/// The version in a name, where that is made after the pattern.
fn version_of<'n>(pattern: &str, name: &'n str) -> Option<&'n str> {
    let (before, after) = pattern.split_once(VERSION)?;
    let rest = name.strip_prefix(before)?.strip_suffix(after)?;
    let is_beside = after.is_empty() && (rest.ends_with(".sha256") || rest.ends_with(".sig"));
    let version = version_in(rest).ok().filter(|_| !is_beside)?;
    (version == rest).then_some(rest)
}

impl ArtifactSource {
    /// The same with its version filled in.
    #[must_use]
    pub fn at_version(&self, version: &str) -> Self {
        let filled = |place: &ArtifactPlace| match place {
            ArtifactPlace::Path(path) => match path.to_str() {
                Some(text) => ArtifactPlace::Path(text.replace(VERSION, version).into()),
                None => place.clone(),
            },
            ArtifactPlace::Url(url) => {
                ArtifactPlace::Url(SecretUrl::new(url.secret().replace(VERSION, version)))
            }
        };
        match self {
            Self::Any(place) => Self::Any(filled(place)),
            Self::PerArchitecture(places) => Self::PerArchitecture(
                places
                    .iter()
                    .map(|(key, place)| (key.clone(), filled(place)))
                    .collect(),
            ),
        }
    }

    /// The paths that it names.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.places().filter_map(|place| match place {
            ArtifactPlace::Path(path) => Some(path.as_path()),
            ArtifactPlace::Url(_) => None,
        })
    }

    /// The name below that folder that has the version in it: `web-{version}.tar.zst`; nothing where an artifact lies elsewhere.
    pub fn pattern_in(&self, folder: &Path) -> Option<String> {
        let mut pattern = None;
        for place in self.places() {
            let ArtifactPlace::Path(path) = place else {
                return None;
            };
            let below = path.strip_prefix(folder).ok()?;
            let name = below.components().next()?.as_os_str().to_str()?;
            if !name.contains(VERSION) || pattern.as_deref().is_some_and(|one| one != name) {
                return None;
            }
            pattern = Some(name.to_owned());
        }
        pattern
    }
}

/// The versions among these names, the newest first: by semantic versioning where all are such, else part by part, numbers
/// as numbers.
pub fn newest_first<'n>(pattern: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let names = names.into_iter();
    let mut versions: Vec<&str> = names.filter_map(|name| version_of(pattern, name)).collect();
    let semantic: Option<BTreeMap<&str, semver::Version>> = versions
        .iter()
        .map(|text| Some((*text, semver::Version::parse(text).ok()?)))
        .collect();
    // One order for all of them: two would contradict each other.
    versions.sort_by(|one, other| match &semantic {
        Some(semantic) => semantic.get(other).cmp(&semantic.get(one)),
        None => parts(other).cmp(parts(one)).then_with(|| other.cmp(one)),
    });
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_a_text() {
        for (text, expected) in [
            ("1.4.2\n", Some("1.4.2")),
            ("  v1.4.2-rc.1+abc  \nmore\n", Some("v1.4.2-rc.1+abc")),
            ("2026-11-26~3", Some("2026-11-26~3")),
            ("1234", Some("1234")),
            ("", None),
            ("\n1.4.2", None),
            ("../../etc/passwd", None),
            ("1..2", None),
            ("-1", None),
            (".1", None),
            ("1.4.2 final", None),
            ("<html>", None),
            ("1?x", None),
            ("1/2", None),
            ("1%2f", None),
        ] {
            assert_eq!(version_in(text).ok().as_deref(), expected, "{text:?}");
        }
        assert!(version_in(&"1".repeat(129)).is_err());
    }

    #[test]
    fn the_newest_is_the_first() {
        for (pattern, names, expected) in [
            (
                "web-{version}",
                "web-1.9.0 web-1.10.0 web-1.10.0-rc.1 api-2.0.0 web",
                "1.10.0 1.10.0-rc.1 1.9.0",
            ),
            (
                "web-{version}",
                "web-1.0.0 web-1.0.0.sha256 web-1.0.0.sig",
                "1.0.0",
            ),
            (
                "web-{version}.tar.zst",
                "web-1.0.0.tar.zst web-2.0.0.tar.gz web-1.0.0.tar.zst.sha256",
                "1.0.0",
            ),
            (
                "{version}",
                "2026-11-9 2026-11-26 2026-11-26-2 .tmp",
                "2026-11-26-2 2026-11-26 2026-11-9",
            ),
            ("build-{version}", "build-99 build-100 build-9", "100 99 9"),
            ("v{version}", "v1.9 v1.10 latest", "1.10 1.9"),
            (
                "{version}",
                "007 10 1.0 1.0.0-rc1 1.0.0",
                "10 007 1.0.0-rc1 1.0.0 1.0",
            ),
        ] {
            let found = newest_first(pattern, names.split(' '));
            assert_eq!(found.join(" "), expected, "{pattern}: {names}");
        }
    }

    #[test]
    fn the_pattern_below_a_folder() {
        let any = |path: &str| ArtifactSource::Any(ArtifactPlace::Path(path.into()));
        for (path, expected) in [
            ("/srv/builds/web-{version}", Some("web-{version}")),
            ("/srv/builds/{version}/bin/web", Some("{version}")),
            ("/srv/builds/web", None),
            ("/srv/builds/web/{version}", None),
            ("/srv/other/web-{version}", None),
        ] {
            let found = any(path).pattern_in(Path::new("/srv/builds"));
            assert_eq!(found.as_deref(), expected, "{path}");
        }
        let filled = any("/srv/builds/{version}/web-{version}").at_version("1.0");
        assert_eq!(filled, any("/srv/builds/1.0/web-1.0"));
    }
}
