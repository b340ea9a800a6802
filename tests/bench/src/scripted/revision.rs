//! A revision as it came: rollctl's own files, read from their archive.

use std::collections::BTreeMap;
use std::io::{self, Read as _};

use sha2::{Digest as _, Sha256};

/// What a host knows of a revision that it keeps.
#[derive(Debug, Default)]
pub(super) struct Shipped {
    pub(super) manifest: Vec<u8>,
    pub(super) digest: String,
    /// SHA-256 of each file by its path in the revision.
    pub(super) files: BTreeMap<String, String>,
    /// Unit files by name.
    pub(super) units: BTreeMap<String, UnitFile>,
    pub(super) has_environment: bool,
    /// What `have` is asked for: SHA-256 over both lists.
    pub(super) sums: String,
}

/// A unit file of a revision.
#[derive(Debug)]
pub(super) struct UnitFile {
    pub(super) text: String,
    pub(super) sha256: String,
}

impl UnitFile {
    /// What it starts, with its arguments.
    pub(super) fn exec_start(&self) -> &str {
        let mut lines = self.text.lines();
        lines
            .find_map(|line| line.trim().strip_prefix("ExecStart="))
            .unwrap_or_default()
    }
}

impl Shipped {
    pub(super) fn read(archive: &[u8]) -> io::Result<Self> {
        let mut shipped = Self::default();
        let (mut sums, mut modes) = (String::new(), String::new());
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            let text = || String::from_utf8_lossy(&bytes).into_owned();
            match path.trim_start_matches(".rollctl/") {
                "digest" => text().trim().clone_into(&mut shipped.digest),
                "SHA256SUMS" => sums = text(),
                "modes" => modes = text(),
                "environment" => shipped.has_environment = true,
                "manifest.json" => shipped.manifest = bytes,
                name => {
                    let unit = name.strip_prefix("units/").filter(|unit| !unit.is_empty());
                    if let Some(unit) = unit {
                        let unit = unit.to_owned();
                        let (text, sha256) = (text(), hex::encode(Sha256::digest(&bytes)));
                        shipped.units.insert(unit, UnitFile { text, sha256 });
                    }
                }
            }
        }
        let lines = sums.lines().filter_map(|line| line.split_once("  "));
        shipped.files = lines
            .map(|(sum, path)| (path.to_owned(), sum.to_owned()))
            .collect();
        shipped.sums = hex::encode(Sha256::digest(sums + &modes));
        Ok(shipped)
    }
}
