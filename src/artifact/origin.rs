//! Where an artifact was read from, when hosts can read it there too: `origins.json` in the revision's folder in the store.
//!
//! It is no part of what the revision is: the same content from somewhere else is the same revision.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::archive::Format;
use super::fetch::FetchedFile;
use super::tree::clean_path;
use crate::core::fleet::Service;
use crate::core::source::SecretUrl;
use crate::ports::{Pull, PullForm};

const ORIGINS: &str = "origins.json";

/// Where the artifact of one variant was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// As it was given: what lies in a cloud is signed anew for each host.
    pub(super) url: SecretUrl,
    pub(super) sha256: String,
    pub(super) size: u64,
    pub(super) form: PullForm,
    /// Files of the revision that the inventory adds to it.
    pub(super) beside: BTreeSet<String>,
}

impl Origin {
    /// Of an artifact that was read by URL.
    pub(super) fn of(service: &Service, url: &SecretUrl, file: &FetchedFile) -> Self {
        let beside = service.files.keys();
        Self {
            url: url.clone(),
            sha256: file.sha256.clone(),
            size: file.size,
            form: Format::of(&file.path).map_or(PullForm::File, Format::pulled),
            beside: beside.filter_map(|path| clean_path(path).ok()).collect(),
        }
    }

    /// What a host is told, with the URL that it can ask.
    pub(super) fn pull(self, url: SecretUrl) -> Pull {
        Pull {
            url,
            size: self.size,
            sha256: self.sha256,
            form: self.form,
            beside: self.beside,
        }
    }
}

/// Remembers them beside what is in `folder`, for its owner alone: such a URL may let whoever has it in.
pub(super) fn write(folder: &Path, origins: &BTreeMap<String, Origin>) -> io::Result<()> {
    // `tempfile` gives it mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, &serde_json::to_vec(origins)?)?;
    file.persist(folder.join(ORIGINS))?;
    Ok(())
}

/// What is remembered there, by architecture or `any`; what cannot be read is as good as nothing: it is sent through SSH.
pub(super) fn read(folder: &Path) -> BTreeMap<String, Origin> {
    fs::read(folder.join(ORIGINS))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}
