//! Which inventory: `--inventory`, `$ROLLCTL_INVENTORY`, or the only one in `./inventory`.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::files::toml_files;
use super::suggest::list;

/// The environment variable that names the inventory.
pub const INVENTORY_VARIABLE: &str = "ROLLCTL_INVENTORY";
/// Where an inventory is looked for when none is named.
const DEFAULT_FOLDER: &str = "inventory";

/// Why no inventory was chosen.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// What was named is not there.
    #[error("inventory `{path}` (from {from}) does not exist")]
    Missing {
        /// The path as it was given.
        path: PathBuf,
        /// `--inventory` or the variable.
        from: &'static str,
    },
    /// Nothing was named, and there is no `./inventory`.
    #[error("no inventory: there is no folder `{folder}`")]
    NoFolder {
        /// Where it would be.
        folder: PathBuf,
    },
    /// Nothing was named, and `./inventory` has none.
    #[error("no inventory: folder `{folder}` holds no `*.toml` file")]
    Empty {
        /// Which.
        folder: PathBuf,
    },
    /// Nothing was named, and `./inventory` has several.
    #[error("folder `{folder}` holds {} fleets: {}", fleets.len(), list(fleets.iter().map(String::as_str)))]
    Several {
        /// Which.
        folder: PathBuf,
        /// The names of the files and folders in it.
        fleets: Vec<String>,
    },
    /// `./inventory` cannot be read.
    #[error("folder `{folder}` cannot be read")]
    Unreadable {
        /// Which.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl InventoryError {
    /// What can be done.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } | Self::Unreadable { .. } => None,
            Self::NoFolder { .. } | Self::Empty { .. } => Some(format!(
                "name one with `--inventory PATH` or ${INVENTORY_VARIABLE}, or write `{DEFAULT_FOLDER}/production.toml`"
            )),
            Self::Several { folder, fleets } => {
                let first = folder.join(fleets.first()?);
                Some(format!(
                    "choose one: `--inventory {}`; `--inventory {}` reads all its files as one fleet",
                    first.display(),
                    folder.display()
                ))
            }
        }
    }
}

/// Chooses the inventory: `explicit` (`--inventory`), else `env` (`$ROLLCTL_INVENTORY`, empty is unset), else
/// `inventory` in `cwd` if it holds exactly one fleet, a `*.toml` file or a folder with some.
///
/// # Errors
/// When what is named does not exist, or nothing is named and there is not exactly one.
pub fn locate(
    explicit: Option<&Path>,
    env: Option<&OsStr>,
    cwd: &Path,
) -> Result<PathBuf, InventoryError> {
    let from_env = env.filter(|value| !value.is_empty()).map(Path::new);
    let named = explicit
        .map(|path| (path, "`--inventory`"))
        .or(from_env.map(|path| (path, "$ROLLCTL_INVENTORY")));
    if let Some((path, from)) = named {
        // A relative path stays as it was given, for messages; the process works in `cwd`.
        return match cwd.join(path).exists() {
            true => Ok(path.to_owned()),
            false => Err(InventoryError::Missing {
                path: path.to_owned(),
                from,
            }),
        };
    }
    let folder = cwd.join(DEFAULT_FOLDER);
    if !folder.is_dir() {
        return Err(InventoryError::NoFolder { folder });
    }
    let mut fleets = match fleets(&folder) {
        Ok(fleets) => fleets,
        Err(source) => return Err(InventoryError::Unreadable { folder, source }),
    };
    match (fleets.pop(), fleets.is_empty()) {
        (None, _) => Err(InventoryError::Empty { folder }),
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            fleets.push(last);
            let name = |path: &PathBuf| {
                path.file_name()
                    .map(|name| name.to_string_lossy().into_owned())
            };
            Err(InventoryError::Several {
                fleets: fleets.iter().filter_map(name).collect(),
                folder,
            })
        }
    }
}

/// The `*.toml` files of the folder and the folders in it that hold some, sorted.
fn fleets(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut fleets = toml_files(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && toml_files(&path).is_ok_and(|files| !files.is_empty()) {
            fleets.push(path);
        }
    }
    fleets.sort();
    Ok(fleets)
}

#[cfg(test)]
#[path = "locate_tests.rs"]
mod tests;
