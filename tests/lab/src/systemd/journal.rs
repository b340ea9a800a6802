//! What units said and what was said about them.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::clock::Moment;

/// More entries than this push the oldest out.
const CAPACITY: usize = 20_000;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    realtime: u64,
    monotonic: u64,
    pub(crate) unit: String,
    pub(crate) invocation: String,
    /// Said by the manager about the unit, not by the unit itself.
    pub(crate) by_manager: bool,
    pub(crate) identifier: String,
    pub(crate) pid: i32,
    pub(crate) message: String,
}

impl Entry {
    pub(crate) fn moment(&self) -> Moment {
        Moment {
            realtime: self.realtime,
            monotonic: self.monotonic,
        }
    }

    /// The fields by which `journalctl FIELD=VALUE` selects.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        match name {
            "_SYSTEMD_INVOCATION_ID" if !self.by_manager => Some(&self.invocation),
            "USER_INVOCATION_ID" if self.by_manager => Some(&self.invocation),
            "_SYSTEMD_USER_UNIT" if !self.by_manager => Some(&self.unit),
            "USER_UNIT" if self.by_manager => Some(&self.unit),
            "SYSLOG_IDENTIFIER" => Some(&self.identifier),
            "MESSAGE" => Some(&self.message),
            _ => None,
        }
    }
}

/// What `journalctl` is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Unit(String),
    Field(String, String),
}

impl Match {
    /// Matches of one key are alternatives.
    fn key(&self) -> &str {
        match self {
            Self::Unit(_) => "",
            Self::Field(name, _) => name,
        }
    }

    fn fits(&self, entry: &Entry) -> bool {
        match self {
            Self::Unit(unit) => entry.unit == *unit,
            Self::Field(name, value) if name == "_PID" => entry.pid.to_string() == *value,
            Self::Field(name, value) => entry.field(name) == Some(value),
        }
    }
}

/// Lives in memory and, so that it survives a host's power cut, in a file.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: Vec<Entry>,
    file: Option<File>,
}

impl Journal {
    /// Reads what an earlier boot left; without a file it is in memory only.
    pub(crate) fn open(path: &Path) -> Self {
        let read = File::open(path).map(BufReader::new);
        let lines = read
            .into_iter()
            .flat_map(|file| file.lines().map_while(Result::ok));
        let entries = lines
            .filter_map(|line| serde_json::from_str(&line).ok())
            .collect();
        Self {
            entries,
            file: OpenOptions::new().create(true).append(true).open(path).ok(),
        }
    }

    pub(crate) fn add(
        &mut self,
        unit: &str,
        invocation: &str,
        by_manager: bool,
        identifier: &str,
        pid: i32,
        message: &str,
    ) {
        let Moment {
            realtime,
            monotonic,
        } = Moment::now();
        let entry = Entry {
            realtime,
            monotonic,
            unit: unit.to_owned(),
            invocation: invocation.to_owned(),
            by_manager,
            identifier: identifier.to_owned(),
            pid,
            message: message.to_owned(),
        };
        if let (Some(file), Ok(line)) = (&mut self.file, serde_json::to_string(&entry)) {
            // A full disk loses lines on a real host too.
            let _ = writeln!(file, "{line}");
        }
        self.entries.push(entry);
        if self.entries.len() > CAPACITY {
            self.entries.drain(..CAPACITY / 10);
        }
    }

    /// Oldest first; a line fits if it fits one of the groups (for each key one of its matches), and with no groups at all.
    pub(crate) fn select(&self, any_of: &[Vec<Match>], last: Option<usize>) -> Vec<&Entry> {
        let fits_group = |group: &[Match], entry: &Entry| {
            group.iter().all(|one| {
                group
                    .iter()
                    .any(|other| other.key() == one.key() && other.fits(entry))
            })
        };
        let fits = |entry: &&Entry| {
            any_of.is_empty() || any_of.iter().any(|group| fits_group(group, entry))
        };
        let mut chosen: Vec<&Entry> = self.entries.iter().filter(fits).collect();
        if let Some(last) = last {
            chosen.drain(..chosen.len().saturating_sub(last));
        }
        chosen
    }
}
