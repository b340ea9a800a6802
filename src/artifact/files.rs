//! Files of the controller that become part of a revision.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::core::fleet::Service;
use crate::core::ids::UnitName;

use super::error::ArtifactReadError;

/// The unit files that belong to the revision.
pub(super) fn read_units(
    service: &Service,
) -> Result<BTreeMap<UnitName, String>, ArtifactReadError> {
    let mut units = BTreeMap::new();
    for (name, path) in &service.unit_files {
        if metadata("unit file", path)?.is_dir() {
            return Err(ArtifactReadError::WrongKind {
                what: "unit file",
                path: path.clone(),
                found: "a folder",
            });
        }
        let bytes = fs::read(path).map_err(|error| unreadable("unit file", path, error))?;
        let text = String::from_utf8(bytes).map_err(|_| ArtifactReadError::WrongKind {
            what: "unit file",
            path: path.clone(),
            found: "not text in UTF-8",
        })?;
        if text.trim().is_empty() {
            return Err(ArtifactReadError::Empty {
                what: "unit file",
                path: path.clone(),
            });
        }
        units.insert(name.clone(), text);
    }
    Ok(units)
}

/// Follows links: what is released is what is there now.
pub(super) fn metadata(what: &'static str, path: &Path) -> Result<fs::Metadata, ArtifactReadError> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(what, path, error))?;
    if metadata.is_file() || metadata.is_dir() {
        return Ok(metadata);
    }
    Err(ArtifactReadError::WrongKind {
        what,
        path: path.to_owned(),
        found: "a device, socket or pipe",
    })
}

/// What a file that is not there, or cannot be read, is told as.
pub(super) fn unreadable(what: &'static str, path: &Path, source: io::Error) -> ArtifactReadError {
    let path = path.to_owned();
    if source.kind() == io::ErrorKind::NotFound {
        ArtifactReadError::Missing { what, path }
    } else {
        ArtifactReadError::Unreadable { what, path, source }
    }
}
