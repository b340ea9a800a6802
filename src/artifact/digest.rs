//! What makes two revisions the same.
//!
//! The digest is the SHA-256 over these fields, each written as its length (8 bytes, big-endian) and its bytes, numbers
//! as decimal text:
//!
//! 1. `rollctl revision 1`;
//! 2. the number of variants; for each, sorted by key: the key (`any` or the architecture), the number of files, and
//!    for each file, sorted by path: path, mode in octal, then `file`, SHA-256 in hex, or `link`, target;
//! 3. the number of unit files; for each, sorted by name: name, text;
//! 4. the number of variables; for each, sorted by name: the SHA-256 in hex over the two fields name and value.
//!
//! Owners, times, the order in an archive, empty folders and the form of the artifact (folder or archive) do not take
//! part; neither do a revision's name and the service's port, which reach the host beside the revision.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::core::ids::{Digest, UnitName};
use crate::core::revision::{Architecture, FileContent, ManifestFile};

const VERSION: &str = "rollctl revision 1";

/// The key of what is the same for every architecture.
pub(super) const ANY: &str = "any";

/// The digest of a revision made of these parts; the module says how. The files must be sorted by path.
pub fn digest<'a>(
    variants: impl IntoIterator<Item = (Option<&'a Architecture>, &'a [ManifestFile])>,
    units: &BTreeMap<UnitName, String>,
    environment: &BTreeMap<String, String>,
) -> Digest {
    let variants: BTreeMap<&str, &[ManifestFile]> = variants
        .into_iter()
        .map(|(key, files)| {
            (
                key.map_or(ANY, |architecture| architecture.0.as_str()),
                files,
            )
        })
        .collect();
    let mut fields = Fields::new();
    fields.text(VERSION);
    fields.count(variants.len());
    for (key, files) in variants {
        fields.text(key);
        fields.count(files.len());
        for file in files {
            add_file(&mut fields, file);
        }
    }
    fields.count(units.len());
    for (name, text) in units {
        fields.text(name.as_str());
        fields.text(text);
    }
    fields.count(environment.len());
    for (name, value) in environment {
        let mut variable = Fields::new();
        variable.text(name);
        variable.text(value);
        fields.text(&variable.finish());
    }
    Digest::new(fields.finish())
}

fn add_file(fields: &mut Fields, file: &ManifestFile) {
    fields.text(&file.path);
    fields.text(&format!("{:o}", file.mode));
    match &file.content {
        FileContent::File { sha256, .. } => {
            fields.text("file");
            fields.text(sha256);
        }
        FileContent::Link { target } => {
            fields.text("link");
            fields.text(target);
        }
    }
}

/// Fields with their lengths before them, so that no two lists of fields look alike.
struct Fields(Sha256);

impl Fields {
    fn new() -> Self {
        Self(Sha256::new())
    }

    fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.text(&count.to_string());
    }

    fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, mode: u32, sha256: &str) -> ManifestFile {
        ManifestFile {
            path: path.into(),
            mode,
            content: FileContent::File {
                sha256: sha256.into(),
                size: 1,
            },
        }
    }

    fn of(
        key: Option<&str>,
        files: &[ManifestFile],
        unit: Option<(&str, &str)>,
        variable: Option<(&str, &str)>,
    ) -> String {
        let key = key.map(|key| Architecture(key.into()));
        let units = unit.map(|(name, text)| (UnitName::new(name), text.to_owned()));
        let environment = variable.map(|(name, value)| (name.to_owned(), value.to_owned()));
        digest(
            [(key.as_ref(), files)],
            &units.into_iter().collect(),
            &environment.into_iter().collect(),
        )
        .as_str()
        .to_owned()
    }

    #[test]
    fn the_recipe_is_kept() {
        // Changing this makes every revision in every ledger a new one: raise the version and say so in the notes.
        let files = [file("web", 0o755, "aa")];
        assert_eq!(
            of(
                None,
                &files,
                Some(("web.service", "[Service]\n")),
                Some(("A", "1"))
            ),
            "dbecd78c453572984fb896be1f532aaa35e9763c7770c5227dea7125703c8e1d"
        );
    }

    #[test]
    fn whatever_reaches_a_host_changes_the_digest() {
        let base = [file("web", 0o755, "aa")];
        let link = [ManifestFile {
            content: FileContent::Link {
                target: "aa".into(),
            },
            ..base[0].clone()
        }];
        let all = [
            of(None, &base, None, None),
            of(Some("x86_64"), &base, None, None),
            of(None, &[file("web2", 0o755, "aa")], None, None),
            of(None, &[file("web", 0o644, "aa")], None, None),
            of(None, &[file("web", 0o755, "ab")], None, None),
            of(None, &link, None, None),
            of(None, &base, Some(("a", "b")), None),
            of(None, &base, Some(("ab", "")), None),
            of(None, &base, None, Some(("a", "b"))),
            of(None, &base, None, Some(("ab", ""))),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
