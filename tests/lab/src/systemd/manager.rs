//! The manager of one host's units: owns them, hears events, and forgets what nobody needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::clock::Moment;
use super::journal::Journal;
use super::process::{Event, HOST_MARK};
use super::settings::Kind;
use super::unit::ActiveState::{Active, Failed, Inactive};
use super::unit::{LoadState, Sub, Unit};

/// What a manager knows about its host.
#[derive(Clone, Debug)]
pub(crate) struct HostFacts {
    pub(crate) name: String,
    /// The host's own loopback address.
    pub(crate) address: String,
    pub(crate) user: String,
    pub(crate) home: PathBuf,
    pub(crate) runtime_dir: PathBuf,
    pub(crate) journal: PathBuf,
    /// Of every process: shims first, as on the host's logins.
    pub(crate) path: String,
    /// The lab's own executable.
    pub(crate) program: PathBuf,
    /// Unique in the machine.
    pub(crate) mark: String,
}

impl HostFacts {
    /// What every process of the host finds in its environment.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let pairs = [
            ("HOME", self.home.display().to_string()),
            ("USER", self.user.clone()),
            ("LOGNAME", self.user.clone()),
            ("SHELL", "/bin/sh".to_owned()),
            ("PATH", self.path.clone()),
            ("XDG_RUNTIME_DIR", self.runtime_dir.display().to_string()),
            ("HOST", self.address.clone()),
            (HOST_MARK, self.mark.clone()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// A manager as its tasks share it; the lock is never held across an await.
pub(crate) type SharedManager = Arc<Mutex<Manager>>;

pub(crate) struct Manager {
    pub(crate) facts: HostFacts,
    pub(crate) units: BTreeMap<String, Unit>,
    pub(crate) journal: Journal,
    pub(crate) events: UnboundedSender<Event>,
    /// Units whose jobs may have to go on.
    pub(crate) unsettled: Vec<String>,
    pub(crate) last_job: u32,
    /// As of the last time that a unit was read: `NeedDaemonReload` does not see newer ones, as with systemd.
    pub(crate) drop_in_folders: BTreeSet<PathBuf>,
}

impl Manager {
    /// Starts a manager and what is enabled; its events are handled by a task of the current runtime.
    pub(crate) fn boot(facts: HostFacts) -> SharedManager {
        let (events, inbox) = unbounded_channel();
        let journal = Journal::open(&facts.journal);
        let mut manager = Self {
            facts,
            units: BTreeMap::new(),
            journal,
            events,
            unsettled: Vec::new(),
            last_job: 0,
            drop_in_folders: BTreeSet::new(),
        };
        for target in ["basic.target", "timers.target", "default.target"] {
            let mut unit = Unit::new(target);
            unit.load = LoadState::Loaded;
            unit.sub = Sub::Reached;
            manager.units.insert(target.to_owned(), unit);
        }
        for name in manager.wanted() {
            // A unit that cannot start says so in the journal.
            let _ = manager.submit(&name, super::job::JobKind::Start);
        }
        let shared = Arc::new(Mutex::new(manager));
        tokio::spawn(hear(Arc::clone(&shared), inbox));
        shared
    }

    pub(crate) fn lock(shared: &SharedManager) -> MutexGuard<'_, Self> {
        shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folders with unit files, the strongest first.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        let (home, runtime) = (&self.facts.home, &self.facts.runtime_dir);
        vec![
            self.transient_folder(),
            home.join(".config/systemd/user"),
            runtime.join("systemd/user"),
            home.join(".local/share/systemd/user"),
        ]
    }

    pub(crate) fn transient_folder(&self) -> PathBuf {
        self.facts.runtime_dir.join("systemd/transient")
    }

    /// Every unit that a `.wants` or `.requires` folder pulls in.
    pub(crate) fn wanted(&self) -> Vec<String> {
        let config = self.facts.home.join(".config/systemd/user");
        let mut names = Vec::new();
        for folder in fs::read_dir(config)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
        {
            let kind = folder.extension().and_then(|extension| extension.to_str());
            if matches!(kind, Some("wants" | "requires")) {
                let entries = fs::read_dir(folder).into_iter().flatten().flatten();
                names.extend(entries.filter_map(|entry| entry.file_name().into_string().ok()));
            }
        }
        names.sort();
        names.dedup();
        names
    }

    /// A line by the manager about a unit.
    pub(crate) fn log(&mut self, name: &str, message: &str) {
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        self.log_as(name, "systemd", pid, message);
    }

    /// The same, said by a process of its own.
    pub(crate) fn log_as(&mut self, name: &str, identifier: &str, pid: i32, message: &str) {
        let invocation = self
            .units
            .get(name)
            .map_or_else(String::new, |unit| unit.invocation.clone());
        self.journal
            .add(name, &invocation, true, identifier, pid, message);
    }

    /// Goes to another state, with all that hangs on it.
    pub(crate) fn set_state(&mut self, name: &str, sub: Sub) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        let (before, after) = (unit.sub.active(), sub.active());
        let now = Moment::now();
        unit.sub = sub;
        unit.token += 1;
        unit.stamps.state_change = Some(now);
        let was_down = matches!(before, Inactive | Failed);
        let is_down = matches!(after, Inactive | Failed);
        if was_down && !is_down {
            unit.stamps.inactive_exit = Some(now);
        }
        if !was_down && is_down {
            unit.stamps.inactive_enter = Some(now);
        }
        if before != Active && after == Active {
            unit.stamps.active_enter = Some(now);
        }
        if before == Active && after != Active {
            unit.stamps.active_exit = Some(now);
        }
        if is_down {
            let end = (
                unit.outcome,
                unit.main.ended.map_or(0, |(_, exit)| exit.status()),
            );
            for mourner in std::mem::take(&mut unit.mourners) {
                let _ = mourner.send(end);
            }
        }
        self.job_follows(name, after);
        if is_down {
            self.timers_follow(name);
        }
        self.unsettled.push(name.to_owned());
    }

    /// Lets waiting jobs go on, then forgets units that are down and that nothing refers to.
    pub(crate) fn settle(&mut self) {
        while let Some(name) = self.unsettled.pop() {
            self.go_on(&name);
        }
        let wanted = self.wanted();
        let triggered: Vec<String> = self
            .units
            .values()
            .filter_map(|unit| unit.timer())
            .map(|timer| timer.unit.clone())
            .collect();
        let transient = self.transient_folder();
        self.units.retain(|name, unit| {
            let is_target =
                matches!(unit.settings.kind, Kind::Target) && unit.load == LoadState::Loaded;
            let is_over =
                unit.sub == Sub::Dead || (unit.sub == Sub::Failed && unit.settings.collect_failed);
            let needed =
                !is_over || unit.job.is_some() || wanted.contains(name) || triggered.contains(name);
            if !needed && !is_target {
                // A transient unit's file goes with it.
                if let Some(file) = unit
                    .sources
                    .fragment
                    .as_ref()
                    .filter(|file| file.starts_with(&transient))
                {
                    let _ = fs::remove_file(file);
                }
            }
            needed || is_target
        });
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Output {
                unit,
                invocation,
                pid,
                identifier,
                line,
            } => {
                self.journal
                    .add(&unit, &invocation, false, &identifier, pid, &line);
                return;
            }
            Event::Executed { unit, pid, failure } => self.executed(&unit, pid, failure),
            Event::Exited { unit, pid, exit } => self.exited(&unit, pid, exit),
            Event::Due { unit, token } if self.is_current(&unit, token) => self.due(&unit),
            Event::Look { unit, token } if self.is_current(&unit, token) => self.look(&unit),
            Event::Due { .. } | Event::Look { .. } => return,
        }
        self.settle();
    }

    fn is_current(&self, name: &str, token: u64) -> bool {
        self.units.get(name).is_some_and(|unit| unit.token == token)
    }
}

async fn hear(manager: SharedManager, mut inbox: UnboundedReceiver<Event>) {
    while let Some(event) = inbox.recv().await {
        Manager::lock(&manager).handle(event);
    }
}
