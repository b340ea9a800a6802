//! `version_from` and `digest`: artifacts that a timer finds by their version.

use std::time::Duration;

use crate::core::channel::{Channel, VERSION, VersionFrom};
use crate::core::source::{ArtifactPlace, ArtifactSource};

use super::content::place;
use super::mistake::Findings;
use super::paths::{NamedFile, on_controller};
use super::placeholder::words;
use super::program::{self, HERE};
use super::reader::{Entry, Table};
use super::suggest::nearest;

/// How long a program may take to say which version is the newest.
const TIMEOUT: Duration = Duration::from_secs(60);

const HELP: &str = "write `version_from = \"https://get.example.net/web/LATEST\"`, `{ run = [\"./newest\"] }` or `{ folder = \"builds\" }`";

/// Reads both keys of a service with that `artifact`.
pub(crate) fn read(
    table: &mut Table<'_>,
    artifact: Option<&Entry<'_>>,
    source: Option<&ArtifactSource>,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> Channel {
    let (from, digest) = (table.take("version_from"), table.take("digest"));
    let version = from
        .as_ref()
        .and_then(|from| version_from(from, source, f, files));
    if let Some(artifact) = artifact {
        check_placeholders(artifact, f);
    }
    let places = || source.into_iter().flat_map(ArtifactSource::places);
    match (&from, artifact) {
        (None, Some(artifact)) if places().any(has_version) => f.wrong_help(
            &artifact.at,
            "`{version}` stands for nothing: the service has no `version_from`",
            HELP,
        ),
        (Some(from), None) => f.wrong_help(
            &from.key,
            "`version_from` says of which version, and there is no `artifact`",
            "write `artifact = \"https://get.example.net/web-{version}\"` beside it",
        ),
        (Some(from), Some(_)) if source.is_some() && !places().all(has_version) => f.wrong_help(
            &from.key,
            "`version_from` has no effect: `artifact` has no `{version}` in it",
            "write `artifact = \"https://get.example.net/web-{version}\"`",
        ),
        _ => {}
    }
    if let (Some(digest), None) = (&digest, artifact) {
        f.wrong(&digest.key, "`digest` is of `artifact`, and there is none");
    }
    let asked = digest.and_then(|entry| entry.choice(f, &[("sha256", true), ("none", false)]));
    Channel {
        digest: asked.unwrap_or(from.is_some()),
        version,
    }
}

fn has_version(place: &ArtifactPlace) -> bool {
    match place {
        ArtifactPlace::Path(path) => path.to_string_lossy().contains(VERSION),
        ArtifactPlace::Url(url) => url.secret().contains(VERSION),
    }
}

fn version_from(
    entry: &Entry<'_>,
    source: Option<&ArtifactSource>,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<VersionFrom> {
    if !entry.is_table() {
        return place(entry, f).map(VersionFrom::Text);
    }
    let mut table = entry.table(f)?;
    if !table.names().any(|key| key.name == "folder") {
        let here = |on: &Entry<'_>, f: &mut Findings<'_>| on.choice(f, &[HERE]);
        return program::read(entry, TIMEOUT, here, f, files).map(VersionFrom::Program);
    }
    let folder = table.take("folder")?;
    table.finish(f, |key| {
        (key == "run").then(|| "either a folder or a program knows the version".to_owned())
    });
    let path = on_controller(&folder, f)?;
    if let Some(source) = source
        && source.pattern_in(&path).is_none()
    {
        f.wrong_help(
            &folder.at,
            "`artifact` does not lie in this folder under a name that has `{version}` in it",
            "write `artifact = \"builds/web-{version}\"` with `version_from = { folder = \"builds\" }`",
        );
        return None;
    }
    Some(VersionFrom::Folder(path))
}

/// A slip of the pen would be looked for as it is written.
fn check_placeholders(artifact: &Entry<'_>, f: &mut Findings<'_>) {
    if artifact.is_table() || !artifact.is_text() {
        return;
    }
    let Some(text) = artifact.text(f) else {
        return;
    };
    for (span, word) in words(text) {
        if word != "version" && nearest(word, ["version"]).is_some() {
            f.wrong_help(
                &artifact.within(f, span),
                format!("unknown placeholder `{{{word}}}`"),
                "did you mean `{version}`?",
            );
        }
    }
}
