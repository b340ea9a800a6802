//! What the verbs of `attest.sh` answer.

use super::facts::decode;
use crate::core::ids::UnitName;
use crate::ports::Attestation;

/// The answer of `differences`, in words.
pub(crate) fn differences(output: &[u8], revision: &str) -> Vec<String> {
    String::from_utf8_lossy(output)
        .lines()
        .filter_map(|line| {
            let (kind, path) = line.split_once(' ')?;
            let path = decode(path)?;
            Some(match kind {
                "changed" => format!("`{path}` of `{revision}` was changed on disk"),
                "missing" => format!("`{path}` of `{revision}` is gone or cannot be read"),
                "mode" => format!("the mode of `{path}` of `{revision}` was changed"),
                "added" => format!("`{path}` was added to `{revision}`"),
                _ => return None,
            })
        })
        .collect()
}

/// The answer of `attest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// install_dir without links.
    pub(crate) real: String,
    /// When `current` was made, in seconds.
    pub(crate) switched: Option<i64>,
    /// Where `link` points.
    pub(crate) link: String,
    /// SHA-256 of the file at `origin`.
    pub(crate) origin: String,
    pub(crate) units: Vec<UnitSeen>,
}

/// A unit and its main process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnitSeen {
    pub(crate) name: UnitName,
    pub(crate) active: String,
    pub(crate) invocation: String,
    /// When it became active, in seconds.
    pub(crate) entered: Option<i64>,
    /// Empty: there is no process, or its path is not shown.
    pub(crate) exe: String,
    /// Of the process's file; empty or `-`: not known.
    pub(crate) sha256: String,
    /// SHA-256 of its unit file; `-`: there is none.
    pub(crate) unit_file: String,
    pub(crate) drop_in: Option<String>,
}

impl UnitSeen {
    /// The path of its executable, deleted by now or not.
    pub(crate) fn path(&self) -> &str {
        self.exe.strip_suffix(" (deleted)").unwrap_or(&self.exe)
    }

    pub(crate) fn sum(&self) -> Option<&str> {
        Some(self.sha256.as_str()).filter(|sum| !matches!(*sum, "" | "-"))
    }
}

impl Seen {
    pub(crate) fn parse(output: &[u8]) -> Self {
        let mut seen = Self::default();
        for line in String::from_utf8_lossy(output).lines() {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            match (name, seen.units.last_mut()) {
                ("unit", _) => seen.units.push(UnitSeen {
                    name: UnitName::new(value),
                    active: String::new(),
                    invocation: String::new(),
                    entered: None,
                    exe: String::new(),
                    sha256: String::new(),
                    unit_file: "-".to_owned(),
                    drop_in: None,
                }),
                ("real", _) => seen.real = decode(value).unwrap_or_default(),
                ("switched", _) => seen.switched = value.parse().ok(),
                ("link", _) => seen.link = decode(value).unwrap_or_default(),
                ("origin", _) => seen.origin = value.to_owned(),
                ("active", Some(unit)) => unit.active = value.to_owned(),
                ("invocation", Some(unit)) => unit.invocation = value.to_owned(),
                ("entered", Some(unit)) => unit.entered = value.parse().ok(),
                ("exe", Some(unit)) => unit.exe = decode(value).unwrap_or_default(),
                ("sha256", Some(unit)) => unit.sha256 = value.to_owned(),
                ("unit_file", Some(unit)) => unit.unit_file = value.to_owned(),
                // An X keeps the shell from cutting the last line break off.
                ("drop_in", Some(unit)) => {
                    unit.drop_in = decode(value)
                        .map(|text| text.strip_suffix('X').unwrap_or(&text).to_owned());
                }
                _ => {}
            }
        }
        seen
    }

    /// How it is shown, where everything that should run does.
    pub(crate) fn attestation(&self, runs_its_file: bool) -> Option<Attestation> {
        let all_run = self.units.iter().all(|unit| unit.active == "active");
        (all_run && !self.units.is_empty()).then_some(match runs_its_file {
            true => Attestation::RunningFile,
            false => Attestation::FilesAndRestart,
        })
    }
}
