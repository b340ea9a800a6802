//! What lies where on a host, and the files that rollctl writes into a revision (contract, section 4).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::script::refused;
use crate::core::ids::{RevisionName, UnitName};
use crate::core::revision::{Adopted, FileContent, Manifest, ManifestFile};
use crate::ports::HostError;

/// The target of `current` for a revision.
pub(crate) fn target_of(name: &RevisionName) -> String {
    format!("revisions/{name}")
}

/// The folder of a revision.
pub(crate) fn folder_of(dir: &str, name: &RevisionName) -> String {
    format!("{dir}/revisions/{name}")
}

/// rollctl's own files of a revision, ready to travel.
#[derive(Debug)]
pub(crate) struct Meta {
    /// A tar archive of `.rollctl/`.
    pub(crate) archive: Vec<u8>,
    /// SHA-256 over its lists of digests and modes: what a revision that is already there must have.
    pub(crate) sums: String,
}

impl Meta {
    /// Builds them. `environment` holds secrets.
    pub(crate) fn new(
        manifest: &Manifest,
        units: &BTreeMap<UnitName, String>,
        environment: Option<&str>,
    ) -> Result<Self, HostError> {
        let sums = sums(&manifest.files, units, environment)?;
        let modes = modes(&manifest.files);
        let json = serde_json::to_vec_pretty(manifest)
            .map_err(|error| refused(format!("the manifest cannot be written: {error}"), None))?;
        let mut digest = Sha256::new();
        digest.update(&sums);
        digest.update(&modes);
        let digest = hex::encode(digest.finalize());
        let mut files: Vec<(String, u32, Vec<u8>)> = vec![
            ("manifest.json".into(), 0o644, json),
            (
                "digest".into(),
                0o644,
                format!("{}\n", manifest.digest).into_bytes(),
            ),
            ("SHA256SUMS".into(), 0o644, sums.into_bytes()),
            ("modes".into(), 0o644, modes.into_bytes()),
        ];
        if let Some(Adopted::Folder { target }) = &manifest.adopted {
            files.push(("target".into(), 0o644, target.clone().into_bytes()));
        }
        if let Some(text) = environment {
            files.push(("environment".into(), 0o600, text.as_bytes().to_vec()));
        }
        for (unit, text) in units {
            files.push((format!("units/{unit}"), 0o644, text.clone().into_bytes()));
        }
        let archive = archive(&files, !units.is_empty())
            .map_err(|error| refused(format!("the manifest cannot be packed: {error}"), None))?;
        Ok(Self {
            archive,
            sums: digest,
        })
    }
}

fn archive(files: &[(String, u32, Vec<u8>)], has_units: bool) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let folders = [".rollctl/", ".rollctl/units/"];
    for folder in folders.iter().take(if has_units { 2 } else { 1 }) {
        let mut header = header(0, 0o755);
        header.set_entry_type(tar::EntryType::Directory);
        archive.append_data(&mut header, folder, std::io::empty())?;
    }
    for (name, mode, content) in files {
        let mut header = header(content.len() as u64, *mode);
        archive.append_data(&mut header, format!(".rollctl/{name}"), content.as_slice())?;
    }
    archive.into_inner()
}

fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// For `sha256sum -c`: the revision's files, then unit files and environment.
fn sums(
    files: &[ManifestFile],
    units: &BTreeMap<UnitName, String>,
    environment: Option<&str>,
) -> Result<String, HostError> {
    let mut lines = String::new();
    for file in files {
        check_path(&file.path)?;
        if let FileContent::File { sha256, .. } = &file.content {
            let _ = writeln!(lines, "{sha256}  {}", file.path);
        }
    }
    for (unit, text) in units {
        let _ = writeln!(lines, "{}  .rollctl/units/{unit}", sha256(text.as_bytes()));
    }
    if let Some(text) = environment {
        let _ = writeln!(lines, "{}  .rollctl/environment", sha256(text.as_bytes()));
    }
    Ok(lines)
}

/// `0755 path`, files of one mode together; `link path` and the target on the next line.
fn modes(files: &[ManifestFile]) -> String {
    let mut lines = String::new();
    let mut plain: Vec<&ManifestFile> = Vec::new();
    for file in files {
        match &file.content {
            FileContent::File { .. } => plain.push(file),
            FileContent::Link { target } => {
                let _ = writeln!(lines, "link {}\n{target}", file.path);
            }
        }
    }
    plain.sort_by(|a, b| (a.mode, &a.path).cmp(&(b.mode, &b.path)));
    for file in plain {
        let _ = writeln!(lines, "{:04o} {}", file.mode & 0o7777, file.path);
    }
    lines
}

/// The lists on the host are lines; `sha256sum` quotes a backslash.
fn check_path(path: &str) -> Result<(), HostError> {
    if path.contains(['\n', '\r', '\0', '\\']) {
        return Err(refused(
            format!("file {path:?} of the revision has a line break or a backslash in its name"),
            Some("rename it; such names cannot be verified on a host".into()),
        ));
    }
    Ok(())
}

/// 64 lower-case hex digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, mode: u32) -> ManifestFile {
        ManifestFile {
            path: path.into(),
            mode,
            content: FileContent::File {
                sha256: sha256(path.as_bytes()),
                size: path.len() as u64,
            },
        }
    }

    #[test]
    fn lists_name_every_file_and_modes_stand_together() {
        let files = [
            file("a", 0o755),
            file("b c", 0o644),
            file("d", 0o755),
            ManifestFile {
                path: "l".into(),
                mode: 0o777,
                content: FileContent::Link { target: "a".into() },
            },
        ];
        assert_eq!(modes(&files), "link l\na\n0644 b c\n0755 a\n0755 d\n");
        let sums = sums(&files, &BTreeMap::new(), Some("A=1\n")).unwrap();
        assert_eq!(sums.lines().count(), 4);
        assert!(sums.ends_with("  .rollctl/environment\n"), "{sums}");
    }

    #[test]
    fn names_that_lists_cannot_hold_are_refused() {
        for (path, is_allowed) in [
            ("a b", true),
            ("-x", true),
            ("$(id)", true),
            ("a\nb", false),
            ("a\\b", false),
        ] {
            assert_eq!(check_path(path).is_ok(), is_allowed, "{path:?}");
        }
    }
}
