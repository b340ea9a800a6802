//! Reading units, on demand and at `daemon-reload`.

use super::find::{self, Sources};
use super::manager::Manager;
use super::parse;
use super::settings::{Kind, Settings};
use super::unit::{LoadState, Outcome, Unit};
use super::words::Specifiers;

impl Manager {
    /// The unit, read from its files unless the manager has it already.
    pub(crate) fn load(&mut self, name: &str) -> &mut Unit {
        if !self.units.contains_key(name) {
            let mut unit = Unit::new(name);
            self.read(&mut unit);
            self.units.insert(name.to_owned(), unit);
        }
        self.units
            .entry(name.to_owned())
            .or_insert_with(|| Unit::new(name))
    }

    /// `daemon-reload`: what runs keeps running, under what its file says now.
    pub(crate) fn reload(&mut self) {
        let names: Vec<String> = self
            .units
            .keys()
            .filter(|name| !name.ends_with(".target"))
            .cloned()
            .collect();
        for name in names {
            if let Some(mut unit) = self.units.remove(&name) {
                let was_timer = unit.timer().is_some();
                self.read(&mut unit);
                let lost = was_timer && unit.timer().is_none() && !unit.sub.is_down();
                self.units.insert(name.clone(), unit);
                if lost {
                    // As systemd: a timer whose file is gone has nothing to trigger any more.
                    self.enter_dead(&name, Outcome::Resources, false);
                }
            }
        }
        self.settle();
    }

    /// Whether the files differ from what was read; a unit that is not loaded will be read when it is.
    pub(crate) fn needs_reload(&self, unit: &Unit) -> bool {
        matches!(
            unit.load,
            LoadState::Loaded | LoadState::BadSetting | LoadState::Masked
        ) && !matches!(unit.settings.kind, Kind::Target)
            && Sources::find_in(&self.folders(), &unit.name, |folder| {
                self.drop_in_folders.contains(folder)
            }) != unit.sources
    }

    /// The same for a loaded unit's name.
    pub(crate) fn has_changed_files(&self, name: &str) -> bool {
        self.units
            .get(name)
            .is_some_and(|unit| self.needs_reload(unit))
    }

    pub(crate) fn specifiers(&self, unit: &str) -> Specifiers {
        Specifiers {
            unit: unit.to_owned(),
            home: self.facts.home.display().to_string(),
            user: self.facts.user.clone(),
            runtime_dir: self.facts.runtime_dir.display().to_string(),
            host: self.facts.name.clone(),
        }
    }

    fn read(&mut self, unit: &mut Unit) {
        self.drop_in_folders = find::drop_in_folders(&self.folders());
        unit.sources = Sources::find(&self.folders(), &unit.name);
        unit.settings = Settings::default();
        if unit.sources.fragment.is_none() {
            unit.sources = Sources::default();
            unit.load = LoadState::NotFound;
            return;
        }
        if unit.sources.is_masked() {
            unit.load = LoadState::Masked;
            return;
        }
        let mut messages = Vec::new();
        let specifiers = self.specifiers(&unit.name);
        let settings = match unit.sources.read() {
            Ok(assignments) => parse::read(&unit.name, &assignments, &specifiers, &mut messages),
            Err(error) => Err(format!("{}: Failed to open: {error}", unit.name)),
        };
        match settings {
            Ok(settings) => {
                unit.load = LoadState::Loaded;
                unit.settings = settings;
            }
            Err(reason) => {
                unit.load = LoadState::BadSetting;
                messages.push(reason);
            }
        }
        for message in messages {
            self.log(&unit.name, &message);
        }
    }
}
