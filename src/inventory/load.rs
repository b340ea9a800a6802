//! One file, or all `*.toml` of a folder, to a [`Fleet`].

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use crate::core::fleet::Fleet;
use crate::core::ids::FleetName;

use super::cross;
use super::files::{Read, read};
use super::hosts::Hosts;
use super::mistake::{Findings, InventoryErrors, Mistake, Severity};
use super::notify;
use super::paths::NamedFile;
use super::reader::{Entry, Table};
use super::service::{self, Around};
use super::source::{At, Place};
use super::ssh::{MAX_UPLOADS, SshKeys};
use super::stores;
use super::trust;

/// How many syntax errors of one file are told: after a few they follow from each other.
const SYNTAX_ERRORS: usize = 20;
/// The most uploads at once that make sense for one controller.
const MOST_UPLOADS: u32 = 1024;

/// An inventory without a mistake.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub fleet: Fleet,
    /// What is hardly meant so.
    pub warnings: Vec<Mistake>,
    pub(crate) named_files: Vec<NamedFile>,
}

/// Reads an inventory: a file, or a folder whose `*.toml` are merged.
///
/// # Errors
/// Every mistake of every file at once.
pub fn load(path: &Path) -> Result<Loaded, InventoryErrors> {
    let Read { sources, mistakes } = read(path);
    let documents: Vec<_> = sources
        .iter()
        .map(|source| DeTable::parse_recoverable(&source.text))
        .collect();
    let mut f = Findings::new(&sources);
    let unread = !mistakes.is_empty();
    f.mistakes = mistakes;
    let mut inventory = Inventory::default();
    for (file, (document, errors)) in documents.iter().enumerate() {
        if errors.is_empty() {
            inventory.collect(document, file, &mut f);
        } else {
            syntax(errors, file, &mut f);
            inventory.unsound = true;
        }
    }
    inventory.unsound |= unread;
    let loaded = inventory.build(path, &mut f);
    finish(path, loaded, f)
}

fn finish(path: &Path, mut loaded: Loaded, f: Findings<'_>) -> Result<Loaded, InventoryErrors> {
    let failed = f.errors() > 0;
    let mut mistakes = f.mistakes;
    mistakes.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    if failed {
        return Err(InventoryErrors {
            path: path.to_owned(),
            mistakes,
        });
    }
    loaded.warnings = mistakes
        .into_iter()
        .filter(|mistake| mistake.severity == Severity::Warning)
        .collect();
    Ok(loaded)
}

/// One mistake a line: the others on it follow from the first.
fn syntax(errors: &[toml::de::Error], file: usize, f: &mut Findings<'_>) {
    let mut last = None;
    for error in errors.iter().take(SYNTAX_ERRORS) {
        let at = At {
            place: Place {
                file,
                span: error.span().unwrap_or(0..0),
            },
            key: String::new(),
        };
        let mistake = f.draft(&at, format!("not TOML: {}", error.message()));
        if last != mistake.line {
            last = mistake.line;
            f.mistakes.push(mistake);
        }
    }
}

/// The sections of all files, unread.
#[derive(Default)]
struct Inventory<'t> {
    fleet: Option<Entry<'t>>,
    ssh: Option<Entry<'t>>,
    ledger: Option<Entry<'t>>,
    artifacts: Option<Entry<'t>>,
    trust: Option<Entry<'t>>,
    notify: Option<Entry<'t>>,
    hosts: Vec<Entry<'t>>,
    services: Vec<Entry<'t>>,
    /// Whether something is missing because it could not be read.
    unsound: bool,
}

impl<'t> Inventory<'t> {
    fn collect(&mut self, document: &'t Spanned<DeTable<'t>>, file: usize, f: &mut Findings<'_>) {
        let mut table = Table::document(document.get_ref(), file);
        once(&mut self.fleet, table.take("fleet"), f);
        once(&mut self.ssh, table.take("ssh"), f);
        once(&mut self.ledger, table.take("ledger"), f);
        once(&mut self.artifacts, table.take("artifacts"), f);
        once(&mut self.trust, table.take("trust"), f);
        for (key, entries) in [("hosts", &mut self.hosts), ("services", &mut self.services)] {
            let Some(entry) = table.take(key) else {
                continue;
            };
            match entry.table(f) {
                Some(names) => entries.extend(names.names().cloned()),
                None => self.unsound = true,
            }
        }
        once(&mut self.notify, table.take("notify"), f);
        table.finish(f, hint);
    }

    fn build(self, path: &Path, f: &mut Findings<'_>) -> Loaded {
        let mut named_files = Vec::new();
        let (ssh, max_uploads) = self.read_ssh(f, &mut named_files);
        let before = f.errors();
        let mut hosts = Hosts::default();
        for entry in &self.hosts {
            hosts.read(entry, &ssh, f, &mut named_files);
        }
        let sound = !self.unsound && f.errors() == before;
        if self.hosts.is_empty() && sound {
            let help = "write a table for each: `[hosts.web-01]`, with `address = \"192.0.2.11\"`";
            f.mistakes
                .push(Mistake::whole(path, "the inventory has no hosts").with_help(help));
        }
        let hosts = hosts.hosts;
        let trust = trust::read(self.trust.clone(), None, f, &mut named_files);
        let around = Around {
            hosts: &hosts,
            trust: trust.as_ref(),
            sound: sound && !hosts.is_empty(),
        };
        let services = self.read_services(around, f, &mut named_files);
        let fleet = Fleet {
            name: self.name(path, f),
            folder: folder(path),
            ledger_url: self.ledger.and_then(|entry| stores::ledger(&entry, f)),
            artifacts_url: self
                .artifacts
                .and_then(|entry| stores::artifacts(&entry, f)),
            notify: self
                .notify
                .and_then(|entry| notify::read(&entry, f, &mut named_files)),
            max_uploads: usize::try_from(max_uploads).unwrap_or(usize::MAX),
            hosts,
            services,
        };
        Loaded {
            fleet,
            warnings: Vec::new(),
            named_files,
        }
    }

    fn read_ssh(&self, f: &mut Findings<'_>, files: &mut Vec<NamedFile>) -> (SshKeys, u32) {
        let Some(mut table) = self.ssh.as_ref().and_then(|entry| entry.table(f)) else {
            return (SshKeys::default(), MAX_UPLOADS);
        };
        let keys = SshKeys::read(&mut table, f, files);
        let max_uploads = table
            .take("max_uploads")
            .and_then(|entry| entry.number(f, 1..=MOST_UPLOADS));
        table.finish(f, |_| None);
        (keys, max_uploads.unwrap_or(MAX_UPLOADS))
    }

    fn read_services(
        &self,
        around: Around<'_>,
        f: &mut Findings<'_>,
        files: &mut Vec<NamedFile>,
    ) -> Vec<crate::core::fleet::Service> {
        let mut seen: Vec<&Entry<'_>> = Vec::new();
        let mut services = Vec::new();
        for entry in &self.services {
            if let Some(first) = seen.iter().find(|first| first.name == entry.name) {
                let message = format!(
                    "service `{}` is defined twice: here and at {}",
                    entry.name,
                    f.location(&first.key)
                );
                f.wrong(&entry.key, message);
                continue;
            }
            seen.push(entry);
            services.extend(service::read(entry, around, f, files));
        }
        cross::check(&services, f);
        services.into_iter().map(|read| read.service).collect()
    }

    /// The key `fleet`, else the stem of the file or folder.
    fn name(&self, path: &Path, f: &mut Findings<'_>) -> FleetName {
        if let Some(entry) = &self.fleet {
            let name = entry.text(f).unwrap_or_default();
            if !name.is_empty() && !service::is_name(name) {
                f.wrong_help(
                    &entry.at,
                    format!("`{name}` cannot be the name of a fleet"),
                    "letters, digits, `.`, `_` and `-` are allowed; a letter or a digit begins it",
                );
            }
            return FleetName::new(name);
        }
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        // `production.d` is a folder's whole name; only a file has an extension to drop.
        let stem = if path.is_dir() {
            whole.file_name()
        } else {
            path.file_stem()
        };
        let stem = stem
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        if !service::is_name(&stem) && !self.unsound {
            f.mistakes.push(
                Mistake::whole(path, format!("`{stem}` cannot be the name of a fleet"))
                    .with_help("name it in the inventory: `fleet = \"production\"`"),
            );
        }
        FleetName::new(stem)
    }
}

/// Keeps the first; a second is a mistake that names both places.
fn once<'t>(kept: &mut Option<Entry<'t>>, found: Option<Entry<'t>>, f: &mut Findings<'_>) {
    let Some(found) = found else {
        return;
    };
    match kept {
        None => *kept = Some(found),
        Some(first) => {
            let message = format!(
                "`{}` is defined twice: here and at {}",
                found.name,
                f.location(&first.key)
            );
            f.wrong(&found.key, message);
        }
    }
}

/// The absolute folder that relative paths are relative to.
pub(crate) fn folder(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if path.is_dir() {
        whole
    } else {
        whole.parent().map_or_else(PathBuf::new, Path::to_owned)
    }
}

fn hint(key: &str) -> Option<String> {
    let hint = match key {
        "host" => "write `[hosts.<name>]`",
        "service" => "write `[services.<name>]`",
        "strategy" | "health" | "traffic" | "hooks" => "write `[services.<name>.<section>]`",
        "name" => "the name of the fleet is `fleet = \"...\"`",
        _ => return None,
    };
    Some(hint.to_owned())
}
