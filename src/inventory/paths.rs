//! Paths: on the controller (joined with the file's folder, `~` expanded) and on the hosts (kept as written).

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::load::Loaded;
use super::mistake::{Findings, Mistake};
use super::reader::Entry;
use super::source::presentable;

/// A file on the controller that the inventory names, remembered for [`check_files`].
#[derive(Debug, Clone)]
pub(crate) struct NamedFile {
    pub(crate) path: PathBuf,
    /// Whether it is to be run, not read; without a `/` it is looked for where the shell looks.
    pub(crate) is_program: bool,
    /// A mistake without a message, at the place that names the file.
    pub(crate) at: Mistake,
}

/// Looks whether the files on the controller that the inventory names are there and can be read: identities,
/// unit files and `files`; and whether the programs of hooks and of a balancer's commands can be run. Artifacts are not looked
/// at (only a release needs them), `known_hosts` neither (it may be yet to come).
pub fn check_files(loaded: &Loaded) -> Vec<Mistake> {
    let problem = |file: &NamedFile| {
        let message = match file.is_program {
            true => unrunnable(&file.path)?,
            false => unreadable(&file.path)?,
        };
        Some(Mistake {
            message,
            ..file.at.clone()
        })
    };
    loaded.named_files.iter().filter_map(problem).collect()
}

impl Loaded {
    /// A mistake of a file on the controller, at the place that names it; nothing when no place does.
    pub fn mistake_of(&self, path: &Path, message: impl AsRef<str>) -> Option<Mistake> {
        let named = self.named_files.iter().find(|file| file.path == path)?;
        Some(Mistake {
            message: presentable(message.as_ref()),
            ..named.at.clone()
        })
    }
}

fn unreadable(path: &Path) -> Option<String> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(error) => Some(format!("file `{shown}` cannot be read: {error}")),
        Ok(metadata) if metadata.is_dir() => Some(format!("`{shown}` is a folder, not a file")),
        Ok(metadata) if !metadata.is_file() => Some(format!("`{shown}` is not a plain file")),
        Ok(_) => File::open(path)
            .err()
            .map(|error| format!("file `{shown}` cannot be read: {error}")),
    }
}

fn unrunnable(path: &Path) -> Option<String> {
    let shown = path.display();
    let is_executable = |path: &Path| match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(format!("`{shown}` is not a program")),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
            Err(format!("program `{shown}` is not executable"))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("program `{shown}` cannot be run: {error}")),
    };
    if path.is_absolute() {
        return is_executable(path).err();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).any(|one| is_executable(&one.join(path)).is_ok());
    (!found).then(|| {
        format!(
            "program `{shown}` is not in the PATH; write `./{shown}` for one beside the inventory"
        )
    })
}

/// A program on the controller that [`check_files`] is to look at: a bare name stays as it is, a path is joined with the
/// inventory's folder.
pub(crate) fn named_program(
    entry: &Entry<'_>,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<String> {
    let text = entry.text(f)?;
    let path = match text.contains('/') || text.starts_with('~') {
        // It is run in that folder, so that only a whole path says the same there.
        true => std::path::absolute(resolve(text, entry, f)?).ok()?,
        false => PathBuf::from(text),
    };
    let Some(program) = path.to_str().map(str::to_owned) else {
        f.wrong(
            &entry.at,
            format!("`{text}` lies in a folder whose name is not UTF-8"),
        );
        return None;
    };
    files.push(NamedFile {
        path,
        is_program: true,
        at: f.draft(&entry.at, ""),
    });
    Some(program)
}

/// A path on the controller: absolute, `~/...` or relative to the inventory file.
pub(crate) fn on_controller(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<PathBuf> {
    let text = entry.text(f)?;
    resolve(text, entry, f)
}

/// The same for a file that [`check_files`] is to look at.
pub(crate) fn named_file(
    entry: &Entry<'_>,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<PathBuf> {
    let path = on_controller(entry, f)?;
    files.push(NamedFile {
        path: path.clone(),
        is_program: false,
        at: f.draft(&entry.at, ""),
    });
    Some(path)
}

pub(crate) fn resolve(text: &str, entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<PathBuf> {
    let path = if let Some(rest) = text.strip_prefix('~') {
        if !(rest.is_empty() || rest.starts_with('/')) {
            f.wrong_help(
                &entry.at,
                format!("`{text}`: the home of another user is not looked up"),
                "write the whole path, or `~/...` for your own home",
            );
            return None;
        }
        let Ok(home) = etcetera::home_dir() else {
            f.wrong(&entry.at, format!("`{text}`: your home is not known"));
            return None;
        };
        home.join(rest.trim_start_matches('/'))
    } else {
        f.source(&entry.at)?.folder.join(text)
    };
    // Drops `.` and doubled slashes; `..` stays, since it may go through a link.
    Some(path.components().collect())
}

/// Folders that belong to the system: revisions straight in one of them would be a slip of the pen.
const SYSTEM_FOLDERS: [&str; 20] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/local",
    "/usr/bin",
    "/var",
];

/// `install_dir`: absolute or below the login user's home on the host, which `~` stays to stand for.
pub(crate) fn install_dir(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<String> {
    let text = entry.text(f)?;
    let clean = absolute(text.strip_prefix('~').unwrap_or(text));
    let home = text.starts_with('~');
    let folder = match (clean, home) {
        (Some(path), true) => format!("~{path}"),
        (Some(path), false) => path,
        (None, _) => {
            f.wrong_help(
                &entry.at,
                format!("`install_dir` cannot be `{text}`"),
                "write a whole path such as `/opt/web`, or `~/web`; without `..`",
            );
            return None;
        }
    };
    if SYSTEM_FOLDERS.contains(&folder.as_str()) {
        f.wrong_help(
            &entry.at,
            format!("`install_dir` cannot be `{folder}`, a folder of the system"),
            format!("give the service its own: `{folder}/<service>`"),
        );
        return None;
    }
    Some(folder)
}

/// `link`: an absolute path outside `install_dir`.
pub(crate) fn link(entry: &Entry<'_>, install_dir: &str, f: &mut Findings<'_>) -> Option<String> {
    let text = entry.text(f)?;
    let Some(link) = absolute(text).filter(|_| !text.ends_with('/')) else {
        f.wrong_help(
            &entry.at,
            format!("`link` cannot be `{text}`"),
            "write a whole path such as `/usr/local/bin/web`; without `~` and `..`",
        );
        return None;
    };
    let is_inside = link == install_dir || link.starts_with(&format!("{install_dir}/"));
    if is_inside && !install_dir.is_empty() {
        f.wrong_help(
            &entry.at,
            format!("`link` `{link}` lies inside `install_dir`"),
            "a link is for a path outside of it; units inside can name `install_dir/current`",
        );
        return None;
    }
    Some(link)
}

/// The path without doubled and trailing slashes; nothing when it is not absolute, is `/`, or has `.` or `..` in it.
fn absolute(text: &str) -> Option<String> {
    let rest = text.strip_prefix('/')?;
    let parts: Vec<_> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let is_plain = !parts.is_empty() && !parts.iter().any(|part| *part == "." || *part == "..");
    is_plain.then(|| format!("/{}", parts.join("/")))
}

/// Why a text cannot be a path inside a revision.
pub(crate) fn inside_revision(text: &str) -> Result<(), &'static str> {
    if text.starts_with('/') || text.starts_with('~') {
        return Err("is not inside the revision: it must be relative");
    }
    let mut parts = text.split('/');
    if parts.clone().any(|part| part == "..") {
        return Err("leaves the revision with `..`");
    }
    if parts.clone().any(|part| part.is_empty() || part == ".")
        || text.chars().any(char::is_control)
    {
        return Err("is not a plain relative path");
    }
    if parts.next() == Some(".rollctl") {
        return Err("is in `.rollctl`, which is rollctl's own");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths_are_cleaned() {
        for (text, expected) in [
            ("/opt/web", Some("/opt/web")),
            ("//opt///web/", Some("/opt/web")),
            ("/", None),
            ("//", None),
            ("", None),
            ("opt/web", None),
            ("/opt/../etc", None),
            ("/opt/./web", None),
            ("/opt/..web", Some("/opt/..web")),
        ] {
            assert_eq!(absolute(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn paths_inside_a_revision() {
        for (text, allowed) in [
            ("web", true),
            ("bin/web", true),
            ("etc/.hidden", true),
            ("a b", true),
            ("..web", true),
            ("/web", false),
            ("~/web", false),
            ("../web", false),
            ("bin/../../web", false),
            ("bin//web", false),
            ("./web", false),
            ("bin/", false),
            (".rollctl/manifest", false),
            ("a\nb", false),
        ] {
            assert_eq!(inside_revision(text).is_ok(), allowed, "{text:?}");
        }
    }
}
