//! The newest version of a service's channel, and where its build is.

use std::path::Path;

use super::error::CliError;
use crate::artifact::{digest_file_of, read_text};
use crate::core::channel::{VersionFrom, newest_first, version_in};
use crate::core::fleet::{Fleet, Service};
use crate::core::ids::{Digest, RevisionName};
use crate::core::revision::Revision;
use crate::core::source::{ArtifactPlace, ArtifactSource};
use crate::programs::answer;
use crate::report::printable;

/// A build that a channel has.
pub(crate) struct Newest {
    /// Its version.
    pub(crate) version: String,
    /// Where it is.
    pub(crate) artifact: ArtifactSource,
}

/// The newest build of a service that has a channel.
///
/// # Errors
/// Exit code 2 when nobody knows the version, or what says it is none.
pub(crate) async fn newest(fleet: &Fleet, service: &Service) -> Result<Option<Newest>, CliError> {
    let (Some(from), Some(artifact)) = (&service.channel.version, &service.artifact) else {
        return Ok(None);
    };
    let asked = match from {
        VersionFrom::Text(ArtifactPlace::Path(path)) => tokio::fs::read_to_string(path)
            .await
            .map_err(|error| format!("`{}`: {error}", path.display())),
        VersionFrom::Text(ArtifactPlace::Url(url)) => read_text(url)
            .await
            .map_err(|problem| format!("`{url}`: {problem}")),
        VersionFrom::Program(program) => answer(program, &fleet.folder).await,
        VersionFrom::Folder(folder) => newest_in(folder, artifact, service.channel.digest),
    };
    let wrong = |problem: String| {
        CliError::usage(format!(
            "the newest version of `{}` is not known: {}",
            service.name,
            printable(&problem)
        ))
        .state("nothing was touched")
    };
    let text = asked.map_err(|problem| {
        wrong(problem).hint("`version_from` in the inventory says who knows it")
    })?;
    let version = version_in(&text).map_err(|error| {
        wrong(format!("{}: {error}", said_by(from)))
            .hint("its first line is to be letters, digits and `._+~-`, such as 1.4.2")
    })?;
    Ok(Some(Newest {
        artifact: artifact.at_version(&version),
        version,
    }))
}

fn said_by(from: &VersionFrom) -> String {
    match from {
        VersionFrom::Text(ArtifactPlace::Path(path)) | VersionFrom::Folder(path) => {
            format!("`{}`", path.display())
        }
        VersionFrom::Text(ArtifactPlace::Url(url)) => format!("`{url}`"),
        VersionFrom::Program(program) => {
            format!("`{}`", program.run.first().map_or("", String::as_str))
        }
    }
}

/// The newest version in a folder whose builds are there, with their digest files where such have to be: a build that is still
/// being written has none yet.
fn newest_in(folder: &Path, artifact: &ArtifactSource, digest: bool) -> Result<String, String> {
    let shown = folder.display();
    let pattern = artifact
        .pattern_in(folder)
        .ok_or_else(|| format!("`artifact` does not lie in `{shown}`"))?;
    let read = |error: std::io::Error| format!("folder `{shown}`: {error}");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        names.extend(entry.map_err(read)?.file_name().into_string());
    }
    let versions = newest_first(&pattern, names.iter().map(String::as_str));
    let is_whole = |version: &&&str| {
        let filled = artifact.at_version(version);
        filled
            .paths()
            .all(|path| path.exists() && (!digest || digest_file_of(path).exists()))
    };
    match (versions.iter().find(is_whole), versions.first()) {
        (Some(version), _) => Ok((**version).to_owned()),
        (None, Some(_)) => Err(format!(
            "no build in `{shown}` has its digest file beside it"
        )),
        (None, None) => Err(format!("no build in `{shown}` is named `{pattern}`")),
    }
}

/// What a revision is called: as it was told, else by its version where that can be a name and is not other content's.
pub(crate) fn default_name(
    given: Option<&RevisionName>,
    version: Option<&str>,
    revisions: &[Revision],
    digest: &Digest,
) -> Option<RevisionName> {
    let by_version = || {
        let name = RevisionName::given(version?).ok()?;
        let mut others = revisions.iter().filter(|one| one.digest != *digest);
        (!others.any(|one| one.names.contains(&name))).then_some(name)
    };
    given.cloned().or_else(by_version)
}
