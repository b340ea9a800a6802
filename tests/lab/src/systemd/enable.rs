//! `enable`, `disable`, `is-enabled`: links in the unit folders.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::find::Sources;
use super::manager::Manager;
use super::parse;
use super::settings::Install;

/// A line that `systemctl` says about what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Created {
        link: PathBuf,
        target: PathBuf,
    },
    Removed(PathBuf),
    /// The unit has no `[Install]`.
    NothingToInstall,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UnitFileError {
    Missing,
    Masked,
    Io(String),
}

impl From<io::Error> for UnitFileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

impl Manager {
    fn config_folder(&self) -> PathBuf {
        self.facts.home.join(".config/systemd/user")
    }

    /// `UnitFileState`; `None` where there is no unit file.
    pub(crate) fn unit_file_state(&self, name: &str) -> Option<&'static str> {
        let sources = Sources::find(&self.folders(), name);
        let fragment = sources.fragment.as_ref()?;
        if sources.is_masked() {
            return Some("masked");
        }
        if fragment.starts_with(self.transient_folder()) {
            return Some("transient");
        }
        if !self.wanted_by(name).is_empty() {
            return Some("enabled");
        }
        if fragment
            .symlink_metadata()
            .is_ok_and(|data| data.is_symlink())
        {
            return Some("linked");
        }
        let is_static = self
            .install_of(name, &sources)
            .is_none_or(|install| install.is_empty());
        Some(if is_static { "static" } else { "disabled" })
    }

    /// The targets whose `.wants` or `.requires` hold the unit.
    pub(crate) fn wanted_by(&self, name: &str) -> Vec<String> {
        let folders = fs::read_dir(self.config_folder())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        let holding = folders.filter(|folder| {
            let is_dependency = folder
                .extension()
                .is_some_and(|kind| kind == "wants" || kind == "requires");
            is_dependency && folder.join(name).symlink_metadata().is_ok()
        });
        let mut targets: Vec<String> = holding
            .filter_map(|folder| Some(folder.file_stem()?.to_str()?.to_owned()))
            .collect();
        targets.sort();
        targets
    }

    fn install_of(&self, name: &str, sources: &Sources) -> Option<Install> {
        let assignments = sources.read().ok()?;
        let only_install: Vec<_> = assignments
            .into_iter()
            .filter(|one| one.section == "Install")
            .collect();
        // As a target: a service without ExecStart= can be enabled all the same.
        let target = format!(
            "{}.target",
            name.rsplit_once('.').map_or(name, |(stem, _)| stem)
        );
        Some(
            parse::read(
                &target,
                &only_install,
                &self.specifiers(name),
                &mut Vec::new(),
            )
            .ok()?
            .install,
        )
    }

    /// Links the unit (a name, or the path of a file outside the unit folders) to what wants it.
    pub(crate) fn enable(&mut self, unit: &str) -> Result<Vec<Change>, UnitFileError> {
        let mut changes = Vec::new();
        let name = self.link_if_path(unit, &mut changes)?;
        let sources = Sources::find(&self.folders(), &name);
        let fragment = sources.fragment.clone().ok_or(UnitFileError::Missing)?;
        if sources.is_masked() {
            return Err(UnitFileError::Masked);
        }
        let install = self.install_of(&name, &sources).unwrap_or_default();
        if install.is_empty() {
            changes.push(Change::NothingToInstall);
        }
        let instance = install
            .default_instance
            .as_deref()
            .filter(|_| name.contains("@."));
        let linked_name = instance.map_or_else(
            || name.clone(),
            |instance| name.replacen("@.", &format!("@{instance}."), 1),
        );
        let kinds = [
            ("wants", &install.wanted_by),
            ("requires", &install.required_by),
        ];
        for (kind, target) in kinds
            .iter()
            .flat_map(|(kind, targets)| targets.iter().map(move |target| (kind, target)))
        {
            let link = self
                .config_folder()
                .join(format!("{target}.{kind}"))
                .join(&linked_name);
            create_link(link, &fragment, &mut changes)?;
        }
        for alias in &install.aliases {
            create_link(self.config_folder().join(alias), &fragment, &mut changes)?;
        }
        for also in &install.also {
            changes.extend(self.enable(also)?);
        }
        self.reload();
        Ok(changes)
    }

    /// `systemctl link PATH`, also the first half of `enable PATH`: the unit's name.
    pub(crate) fn link_if_path(
        &self,
        unit: &str,
        changes: &mut Vec<Change>,
    ) -> Result<String, UnitFileError> {
        let path = Path::new(unit);
        if !path.is_absolute() {
            return Ok(unit.to_owned());
        }
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or(UnitFileError::Missing)?;
        if !path.exists() {
            return Err(UnitFileError::Missing);
        }
        if path.parent() != Some(self.config_folder().as_path()) {
            create_link(self.config_folder().join(name), path, changes)?;
        }
        Ok(name.to_owned())
    }

    /// Removes every link to the unit, also those to a file outside.
    pub(crate) fn disable(&mut self, name: &str) -> Result<Vec<Change>, UnitFileError> {
        let exists = Sources::find(&self.folders(), name).fragment.is_some();
        let mut links = vec![self.config_folder().join(name)];
        links.extend(self.wanted_by(name).iter().flat_map(|target| {
            ["wants", "requires"].map(|kind| {
                self.config_folder()
                    .join(format!("{target}.{kind}"))
                    .join(name)
            })
        }));
        let mut changes = Vec::new();
        for link in links
            .into_iter()
            .filter(|link| link.symlink_metadata().is_ok_and(|data| data.is_symlink()))
        {
            fs::remove_file(&link)?;
            if let Some(folder) = link
                .parent()
                .filter(|folder| *folder != self.config_folder())
            {
                // Goes only if it is empty.
                let _ = fs::remove_dir(folder);
            }
            changes.push(Change::Removed(link));
        }
        if !exists && changes.is_empty() {
            return Err(UnitFileError::Missing);
        }
        self.reload();
        Ok(changes)
    }

    /// The unit's files, for `cat`.
    pub(crate) fn files(&self, name: &str) -> Vec<PathBuf> {
        let sources = Sources::find(&self.folders(), name);
        sources
            .fragment
            .into_iter()
            .chain(sources.drop_ins)
            .collect()
    }

    /// Names of all unit files, without templates' instances.
    pub(crate) fn unit_files(&self) -> Vec<String> {
        let entries = self
            .folders()
            .into_iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flatten()
            .flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names
            .filter(|name| name.ends_with(".service") || name.ends_with(".timer"))
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

fn create_link(link: PathBuf, target: &Path, changes: &mut Vec<Change>) -> io::Result<()> {
    if fs::read_link(&link).is_ok_and(|present| present == target) {
        return Ok(());
    }
    if let Some(folder) = link.parent() {
        fs::create_dir_all(folder)?;
    }
    if link.symlink_metadata().is_ok_and(|data| data.is_symlink()) {
        fs::remove_file(&link)?;
    }
    symlink(target, &link)?;
    changes.push(Change::Created {
        link,
        target: target.to_owned(),
    });
    Ok(())
}
