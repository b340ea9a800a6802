//! Adoption: what a host runs before rollctl comes is found, digested and kept (contract, section 4).

use std::collections::BTreeMap;

use super::facts::{Current, Facts, decode};
use super::layout::sha256;
use super::machine::{Machine, Queue};
use super::script::Request;
use super::systemd::Exec;
use crate::core::event::Runs;
use crate::core::fleet::Service;
use crate::core::ids::{Digest, RevisionName, RevisionNumber, RevisionRef, UnitName};
use crate::core::revision::{Adopted, FileContent, Manifest, ManifestFile};
use crate::core::time::Timestamp;
use crate::ports::{Controller, HostError, PackageContents};

/// What was there before rollctl.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) adopted: Adopted,
    pub(crate) digest: Digest,
    pub(crate) contents: PackageContents,
}

impl Found {
    pub(crate) fn revision(&self) -> RevisionRef {
        RevisionRef {
            name: RevisionName::adopted(&self.digest),
            digest: self.digest.clone(),
        }
    }

    /// The only file's SHA-256 and size, when it is a file.
    pub(crate) fn file(&self) -> Option<(&str, u64)> {
        match &self.contents.files.first()?.content {
            FileContent::File { sha256, size } => Some((sha256, *size)),
            FileContent::Link { .. } => None,
        }
    }

    /// Its manifest. The ledger gives the number.
    pub(crate) fn manifest(
        &self,
        service: &Service,
        controller: &Controller,
        at: Timestamp,
    ) -> Manifest {
        Manifest {
            service: service.name.clone(),
            number: RevisionNumber(0),
            names: vec![RevisionName::adopted(&self.digest)],
            digest: self.digest.clone(),
            architecture: None,
            files: self.contents.files.clone(),
            units: self
                .contents
                .units
                .iter()
                .map(|(unit, text)| (unit.clone(), sha256(text.as_bytes())))
                .collect(),
            environment: false,
            created_at: at,
            created_by: controller.by.clone(),
            cause: None,
            adopted: Some(self.adopted.clone()),
            signers: Vec::new(),
        }
    }
}

/// What a host runs, and how it was found when rollctl did not install it.
pub(crate) async fn runs(
    machine: &Machine,
    service: &Service,
    facts: &Facts,
) -> Result<(Runs, Option<Found>), HostError> {
    if let Some(runs) = facts.cut_off() {
        return Ok((runs, None));
    }
    if let Some(revision) = facts.managed() {
        return Ok((Runs::Revision { revision }, None));
    }
    if facts.is_ours() {
        // A damaged revision of ours: a release puts a whole one in its place.
        return Ok((Runs::Nothing, None));
    }
    Ok(match find(machine, service, facts).await? {
        Some(found) => (
            Runs::Revision {
                revision: found.revision(),
            },
            Some(found),
        ),
        None => (Runs::Nothing, None),
    })
}

async fn find(
    machine: &Machine,
    service: &Service,
    facts: &Facts,
) -> Result<Option<Found>, HostError> {
    let units = unit_texts(machine, facts).await?;
    if let Current::Link(target) = &facts.current {
        return folder(machine, facts, target, units).await;
    }
    let candidates = candidates(service, facts);
    if candidates.is_empty() {
        return Ok(None);
    }
    let request = candidates
        .iter()
        .fold(Request::new("look"), |request, path| request.arg(path));
    let seen = parse_look(&machine.read(Queue::Work, request).await?);
    let seen: BTreeMap<&str, &Seen> = candidates.iter().map(String::as_str).zip(&seen).collect();
    let Some(origin) = origin(service, facts, &seen) else {
        return Ok(None);
    };
    let Some(file) = seen.get(origin.as_str()) else {
        return Ok(None);
    };
    Ok(Some(single(service, origin, file, units)))
}

fn single(
    service: &Service,
    origin: String,
    file: &Seen,
    units: BTreeMap<UnitName, String>,
) -> Found {
    let mut text = format!("adopted file\n{origin}\n{:o}\n{}\n", file.mode, file.sha256);
    describe(&units, &mut text);
    Found {
        digest: Digest::new(sha256(text.as_bytes())),
        contents: PackageContents {
            files: vec![ManifestFile {
                path: service.binary.clone(),
                mode: file.mode,
                content: FileContent::File {
                    sha256: file.sha256.clone(),
                    size: file.size,
                },
            }],
            units,
            environment: None,
            elf: None,
            adopted: Some(Adopted::File {
                origin: origin.clone(),
            }),
        },
        adopted: Adopted::File { origin },
    }
}

async fn folder(
    machine: &Machine,
    facts: &Facts,
    target: &str,
    units: BTreeMap<UnitName, String>,
) -> Result<Option<Found>, HostError> {
    if target.contains('\n') {
        return Ok(None);
    }
    let known = machine
        .folders
        .lock()
        .ok()
        .and_then(|known| known.get(target).cloned());
    let sum = match known {
        Some(sum) => sum,
        None => {
            let path = format!("{}/current", facts.dir);
            let seen = parse_look(
                &machine
                    .read(Queue::Work, Request::new("look").arg(&path))
                    .await?,
            );
            if seen.first().is_none_or(|seen| seen.kind != "folder") {
                return Ok(None);
            }
            let answer = machine
                .read(Queue::Work, Request::new("tree").arg(&path))
                .await?;
            let sum = String::from_utf8_lossy(&answer).trim().to_owned();
            if let Ok(mut known) = machine.folders.lock() {
                known.insert(target.to_owned(), sum.clone());
            }
            sum
        }
    };
    let mut text = format!("adopted folder\n{target}\n{sum}\n");
    describe(&units, &mut text);
    let adopted = Adopted::Folder {
        target: target.to_owned(),
    };
    Ok(Some(Found {
        digest: Digest::new(sha256(text.as_bytes())),
        contents: PackageContents {
            units,
            adopted: Some(adopted.clone()),
            ..PackageContents::default()
        },
        adopted,
    }))
}

/// The digest that an adopted folder has now; nothing where it is none.
pub(crate) async fn folder_of_now(
    machine: &Machine,
    facts: &Facts,
    target: &str,
) -> Result<Option<Digest>, HostError> {
    let units = unit_texts(machine, facts).await?;
    let found = folder(machine, facts, target, units).await?;
    Ok(found.map(|found| found.digest))
}

fn describe(units: &BTreeMap<UnitName, String>, text: &mut String) {
    for (unit, content) in units {
        text.push_str(&format!("{unit}\n{}\n", sha256(content.as_bytes())));
    }
}

/// The host's own unit files.
async fn unit_texts(
    machine: &Machine,
    facts: &Facts,
) -> Result<BTreeMap<UnitName, String>, HostError> {
    let files: Vec<(&UnitName, &String)> = facts
        .units
        .iter()
        .filter(|unit| !unit.fragment.is_empty())
        .map(|unit| (&unit.state.started.unit, &unit.fragment))
        .collect();
    if files.is_empty() {
        return Ok(BTreeMap::new());
    }
    let request = files
        .iter()
        .fold(Request::new("text"), |request, (_, path)| request.arg(path));
    let texts = parse_texts(&machine.read(Queue::Work, request).await?);
    Ok(files
        .iter()
        .zip(texts)
        .filter_map(|((unit, _), text)| Some(((*unit).clone(), text?)))
        .collect())
}

/// Paths that may be what the host runs.
fn candidates(service: &Service, facts: &Facts) -> Vec<String> {
    let mut paths: Vec<String> = service.link.iter().cloned().collect();
    for exec in facts.units.iter().flat_map(|unit| &unit.exec_start) {
        for word in std::iter::once(&exec.path).chain(exec.argv.iter().skip(1)) {
            if word.starts_with('/') && !paths.contains(word) {
                paths.push(word.clone());
            }
        }
    }
    paths
}

/// The file at `link`, else what the first unit starts; of an interpreter the script it is given.
fn origin(service: &Service, facts: &Facts, seen: &BTreeMap<&str, &Seen>) -> Option<String> {
    let is_file = |path: &str| {
        seen.get(path)
            .is_some_and(|seen| seen.kind == "file" && seen.sha256 != "-")
    };
    if let Some(link) = service.link.as_deref().filter(|link| is_file(link)) {
        return Some(link.to_owned());
    }
    let exec: &Exec = facts
        .units
        .iter()
        .flat_map(|unit| &unit.exec_start)
        .next()?;
    if is_of_system(&exec.path) && is_interpreter(&exec.path) {
        // Without a script there is nothing that could be kept and put back: never the interpreter itself.
        let is_script =
            |word: &&String| !is_of_system(word) && !word.starts_with("/etc/") && is_file(word);
        return exec.argv.iter().skip(1).find(is_script).cloned();
    }
    is_file(&exec.path).then(|| exec.path.clone())
}

/// Programs that run what they are given as a file. Of any other program an argument may be its configuration.
const INTERPRETERS: [&str; 20] = [
    "bash", "bun", "dash", "deno", "dotnet", "env", "java", "ksh", "lua", "mono", "node", "nodejs",
    "perl", "php", "pypy", "python", "ruby", "sh", "tclsh", "zsh",
];

/// `/usr/bin/python3.11` is one.
fn is_interpreter(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    INTERPRETERS.contains(&name)
}

/// Where interpreters live. `/usr/local` is for what people install themselves.
fn is_of_system(path: &str) -> bool {
    let is_usr = path.starts_with("/usr/") && !path.starts_with("/usr/local/");
    is_usr || path.starts_with("/bin/") || path.starts_with("/sbin/")
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// `file`, `folder` or `none`.
    pub(crate) kind: String,
    /// Where a symbolic link points; empty: it is none.
    pub(crate) link: String,
    pub(crate) mode: u32,
    pub(crate) size: u64,
    /// `-` when it cannot be read.
    pub(crate) sha256: String,
}

/// Reads the answer of `look`.
pub(crate) fn parse_look(output: &[u8]) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::new();
    for line in String::from_utf8_lossy(output).lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        if name == "path" {
            all.push(Seen {
                kind: value.to_owned(),
                ..Seen::default()
            });
        }
        let Some(seen) = all.last_mut() else {
            continue;
        };
        match name {
            "link" => seen.link = decode(value).unwrap_or_default(),
            "sha256" => seen.sha256 = value.to_owned(),
            "stat" => {
                if let Some((mode, size)) = value.split_once(' ') {
                    seen.mode = u32::from_str_radix(mode, 8).unwrap_or(0o755);
                    seen.size = size.parse().unwrap_or(0);
                }
            }
            _ => {}
        }
    }
    all
}

/// Reads the answer of `text`; nothing for what cannot be read.
pub(crate) fn parse_texts(output: &[u8]) -> Vec<Option<String>> {
    String::from_utf8_lossy(output)
        .lines()
        .map(|line| {
            let field = line.strip_prefix("text ")?;
            decode(field).filter(|text| !text.is_empty())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::is_interpreter;

    #[test]
    fn an_argument_is_a_script_only_for_what_runs_scripts() {
        for (path, expected) in [
            ("/usr/bin/python3", true),
            ("/usr/bin/python3.11", true),
            ("/usr/bin/env", true),
            ("/bin/sh", true),
            ("/usr/lib/jvm/java-17/bin/java", true),
            ("/usr/bin/tail", false),
            ("/usr/sbin/nginx", false),
            ("/usr/bin/pythonista", false),
        ] {
            assert_eq!(is_interpreter(path), expected, "{path}");
        }
    }
}
