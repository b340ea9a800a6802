//! Where unit files lie, and reading them into assignments.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The files that make up a unit, as they were when they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) fragment: Option<PathBuf>,
    pub(crate) drop_ins: Vec<PathBuf>,
    /// Of fragment and drop-ins, in their order; `None` for a file that is gone.
    stamps: Vec<Option<SystemTime>>,
}

/// One `key=value` of a unit file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) section: String,
    pub(crate) key: String,
    pub(crate) value: String,
}

/// The template of an instance: `web@.service` of `web@x.service`.
pub(crate) fn template_of(unit: &str) -> Option<String> {
    let (prefix, rest) = unit.split_once('@')?;
    let (instance, suffix) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{suffix}"))
}

impl Sources {
    /// Finds the unit's files in the folders, the first of which is the strongest.
    pub(crate) fn find(folders: &[PathBuf], unit: &str) -> Self {
        Self::find_in(folders, unit, |_| true)
    }

    /// The same, with drop-ins only from the folders that are known.
    pub(crate) fn find_in(
        folders: &[PathBuf],
        unit: &str,
        is_known: impl Fn(&Path) -> bool,
    ) -> Self {
        let template = template_of(unit);
        let names: Vec<&str> = std::iter::once(unit).chain(template.as_deref()).collect();
        let fragment = names.iter().find_map(|name| {
            let mut candidates = folders.iter().map(|folder| folder.join(name));
            candidates.find(|path| path.symlink_metadata().is_ok())
        });
        let drop_ins = drop_ins(folders, &names, unit, is_known);
        let stamps = fragment
            .iter()
            .chain(&drop_ins)
            .map(|path| stamp(path))
            .collect();
        Self {
            fragment,
            drop_ins,
            stamps,
        }
    }

    /// A link to `/dev/null` or an empty file.
    pub(crate) fn is_masked(&self) -> bool {
        let target = self
            .fragment
            .as_ref()
            .and_then(|path| fs::canonicalize(path).ok());
        target.is_some_and(|path| {
            path == Path::new("/dev/null") || fs::metadata(path).is_ok_and(|data| data.len() == 0)
        })
    }

    /// All assignments, drop-ins last.
    pub(crate) fn read(&self) -> io::Result<Vec<Assignment>> {
        let mut assignments = Vec::new();
        for path in self.fragment.iter().chain(&self.drop_ins) {
            parse(&fs::read_to_string(path)?, &mut assignments);
        }
        Ok(assignments)
    }
}

/// The drop-in folders that there are.
pub(crate) fn drop_in_folders(folders: &[PathBuf]) -> BTreeSet<PathBuf> {
    let entries = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "d"))
        .collect()
}

fn stamp(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|data| data.modified()).ok()
}

/// The `*.conf` of all `<unit>.d` folders, by file name; of two with one name the stronger folder's counts.
fn drop_ins(
    folders: &[PathBuf],
    names: &[&str],
    unit: &str,
    is_known: impl Fn(&Path) -> bool,
) -> Vec<PathBuf> {
    let kind = unit.rsplit_once('.').map_or("service", |(_, kind)| kind);
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in folders {
        for name in names.iter().chain(std::iter::once(&kind)) {
            let folder = folder.join(format!("{name}.d"));
            let Ok(entries) = fs::read_dir(&folder) else {
                continue;
            };
            if !is_known(&folder) {
                continue;
            }
            for path in entries.flatten().map(|entry| entry.path()) {
                let is_conf = path
                    .extension()
                    .is_some_and(|extension| extension == "conf");
                if is_conf
                    && !found
                        .iter()
                        .any(|other| other.file_name() == path.file_name())
                {
                    found.push(path);
                }
            }
        }
    }
    found.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    found
}

fn parse(text: &str, assignments: &mut Vec<Assignment>) {
    let mut section = String::new();
    let mut continued = String::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) || (continued.is_empty() && trimmed.is_empty()) {
            continue;
        }
        if let Some(start) = line.trim_end().strip_suffix('\\') {
            continued.push_str(start);
            continued.push(' ');
            continue;
        }
        let whole = std::mem::take(&mut continued) + line;
        let whole = whole.trim();
        if let Some(name) = whole
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = whole.split_once('=') {
            assignments.push(Assignment {
                section: section.clone(),
                key: key.trim_end().to_owned(),
                value: value.trim_start().to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments() {
        let mut found = Vec::new();
        parse(
            "# c\n[Service]\nExecStart=/bin/a \\\n  b\n;x\nEnvironment = A=1\nbroken\n[Install]\nAlias=\n",
            &mut found,
        );
        let flat: Vec<_> = found
            .iter()
            .map(|a| (a.section.as_str(), a.key.as_str(), a.value.as_str()))
            .collect();
        let expected = [
            ("Service", "ExecStart", "/bin/a    b"),
            ("Service", "Environment", "A=1"),
            ("Install", "Alias", ""),
        ];
        assert_eq!(flat, expected);
    }

    #[test]
    fn instances_have_a_template() {
        assert_eq!(
            template_of("web@v1.2.service").as_deref(),
            Some("web@.service")
        );
        assert_eq!(template_of("web@.service"), None);
        assert_eq!(template_of("web.service"), None);
    }

    #[test]
    fn stronger_folders_win_and_names_sort() {
        let root = tempfile::tempdir().unwrap();
        let folders = [root.path().join("strong"), root.path().join("weak")];
        for (folder, name) in [
            ("weak", "50-b.conf"),
            ("weak", "10-a.conf"),
            ("strong", "50-b.conf"),
        ] {
            let folder = root.path().join(folder).join("web@.service.d");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(name), "").unwrap();
        }
        fs::write(folders[1].join("web@.service"), "").unwrap();
        let sources = Sources::find(&folders, "web@x.service");
        assert_eq!(sources.fragment, Some(folders[1].join("web@.service")));
        let expected = [
            folders[1].join("web@.service.d/10-a.conf"),
            folders[0].join("web@.service.d/50-b.conf"),
        ];
        assert_eq!(sources.drop_ins, expected);
        assert!(sources.is_masked(), "an empty file masks");
    }
}
