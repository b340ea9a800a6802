//! What a service's revisions are made of: artifact, unit files, environment, more files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::core::channel::VERSION;
use crate::core::fleet::EnvironmentValue;
use crate::core::ids::UnitName;
use crate::core::revision::Architecture;
use crate::core::source::{ArtifactPlace, ArtifactSource, SecretUrl};

use super::mistake::Findings;
use super::paths::{NamedFile, inside_revision, named_file, on_controller};
use super::reader::{Entry, Table};
use super::suggest::nearest;
use super::urls::{is_url, parse_artifact};

/// Variables that rollctl itself always sets.
const OWN_VARIABLES: [&str; 2] = ["ROLLCTL_REVISION", "PORT"];

/// Architectures as `uname -m` says them; another is allowed when it resembles none of these.
const ARCHITECTURES: [&str; 9] = [
    "x86_64",
    "aarch64",
    "armv7l",
    "armv6l",
    "i686",
    "riscv64",
    "ppc64le",
    "s390x",
    "loongarch64",
];

/// A path or a URL, or a table from architecture to these.
pub(crate) fn artifact(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<ArtifactSource> {
    if !entry.is_table() {
        return place(entry, f).map(ArtifactSource::Any);
    }
    let table = entry.table(f)?;
    let mut places = BTreeMap::new();
    for entry in table.names() {
        let known = match entry.name {
            "amd64" | "x64" | "x86-64" => Some("x86_64"),
            "arm64" => Some("aarch64"),
            name if ARCHITECTURES.contains(&name) => None,
            name => nearest(name, ARCHITECTURES),
        };
        if let Some(meant) = known {
            let message = format!("`{}` is not what `uname -m` calls it", entry.name);
            f.wrong_help(&entry.key, message, format!("did you mean `{meant}`?"));
        } else if let Some(place) = place(entry, f) {
            places.insert(Architecture(entry.name.to_owned()), place);
        }
    }
    if table.names().next().is_none() {
        f.wrong_help(
            &entry.at,
            "`artifact` names no architecture",
            "write `{ x86_64 = \"...\", aarch64 = \"...\" }` or one path",
        );
    }
    Some(ArtifactSource::PerArchitecture(places))
}

/// One path or URL, perhaps with a `{version}` in it.
pub(super) fn place(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<ArtifactPlace> {
    let text = entry.text(f)?;
    if !is_url(text) {
        return on_controller(entry, f).map(ArtifactPlace::Path);
    }
    match parse_artifact(&text.replace(VERSION, "0")) {
        // As it is written: in a URL that was taken apart, braces are none any more.
        Ok(_) if text.contains(VERSION) => {
            let text = text.split('#').next().unwrap_or_default();
            Some(ArtifactPlace::Url(SecretUrl::new(text)))
        }
        Ok(place) => Some(place),
        Err(error) => {
            f.wrong_help(&entry.at, error.message, error.help);
            None
        }
    }
}

/// A path for the only unit, or a table from unit to path.
pub(crate) fn unit_files(
    entry: &Entry<'_>,
    units: &[UnitName],
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> BTreeMap<UnitName, PathBuf> {
    let mut paths = BTreeMap::new();
    if entry.is_text() {
        let Some(path) = named_file(entry, f, files) else {
            return paths;
        };
        match units {
            [] => {}
            [unit] => {
                paths.insert(unit.clone(), path);
            }
            [first, ..] => f.wrong_help(
                &entry.at,
                format!("`unit_file` is one file, and there are {} units", units.len()),
                format!("write `unit_file = {{ \"{first}\" = \"...\" }}`, a file for each unit that is part of the revision"),
            ),
        }
        return paths;
    }
    let Some(table) = entry.table(f) else {
        return paths;
    };
    for entry in table.names() {
        let unit = UnitName::new(entry.name);
        if units.contains(&unit) {
            if let Some(path) = named_file(entry, f, files) {
                paths.insert(unit, path);
            }
        } else if !units.is_empty() {
            let message = format!("`{}` is not a unit of the service", entry.name);
            let known = units.iter().map(UnitName::as_str);
            match nearest(entry.name, known) {
                Some(meant) => {
                    f.wrong_help(&entry.key, message, format!("did you mean `{meant}`?"))
                }
                None if entry.is_table() => f.wrong_help(
                    &entry.key,
                    message,
                    "put quotes around a unit's name: `\"web.service\" = \"...\"`",
                ),
                None => f.wrong(&entry.key, message),
            }
        }
    }
    paths
}

pub(crate) fn environment(
    table: &Table<'_>,
    f: &mut Findings<'_>,
) -> BTreeMap<String, EnvironmentValue> {
    let mut environment = BTreeMap::new();
    for entry in table.names() {
        if !is_variable(entry.name) {
            f.wrong_help(
                &entry.key,
                format!(
                    "`{}` cannot be the name of an environment variable",
                    entry.name
                ),
                "letters, digits and `_` are allowed; no digit begins it",
            );
            continue;
        }
        if OWN_VARIABLES.contains(&entry.name) {
            let help = match entry.name {
                "PORT" => "leave it out: it is the service's `port`",
                _ => "leave it out: it is the name of the revision that runs",
            };
            f.wrong_help(
                &entry.key,
                format!("`{}` is set by rollctl", entry.name),
                help,
            );
            continue;
        }
        if let Some(value) = variable(entry, f) {
            environment.insert(entry.name.to_owned(), value);
        }
    }
    environment
}

fn variable(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<EnvironmentValue> {
    if !entry.is_table() {
        return entry
            .any_text(f)
            .map(|text| EnvironmentValue::Plain(text.to_owned()));
    }
    from_environment(entry, f).map(|env| EnvironmentValue::Secret { env })
}

/// `{ env = "NAME" }`: the name of a variable of the controller's environment.
pub(crate) fn from_environment(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<String> {
    let mut table = entry.table(f)?;
    let env = table.take("env");
    let is_empty = table.names().next().is_none();
    table.finish(f, |_| None);
    if env.is_none() && !is_empty {
        // Its other key has been told.
        return None;
    }
    let Some(env) = env else {
        f.wrong_help(
            &entry.at,
            format!("`{}` has no value", entry.name),
            format!(
                "write `{{ env = \"{}\" }}` to take it from your own environment, or a text",
                entry.name
            ),
        );
        return None;
    };
    let name = env.text(f)?;
    if !is_variable(name) {
        f.wrong(
            &env.at,
            format!("`{name}` cannot be the name of an environment variable"),
        );
        return None;
    }
    Some(name.to_owned())
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `files = { "config.toml" = "web-config.toml" }`
pub(crate) fn more_files(
    table: &Table<'_>,
    binary: &str,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> BTreeMap<String, PathBuf> {
    let mut paths = BTreeMap::new();
    for entry in table.names() {
        if let Err(problem) = inside_revision(entry.name) {
            f.wrong_help(
                &entry.key,
                format!("`{}` {problem}", entry.name),
                "the left side is a path inside the revision, such as `etc/config.toml`",
            );
        } else if entry.name == binary {
            f.wrong(&entry.key, format!("`{binary}` is where the artifact goes"));
        } else if let Some(path) = named_file(entry, f, files) {
            paths.insert(entry.name.to_owned(), path);
        }
    }
    paths
}
