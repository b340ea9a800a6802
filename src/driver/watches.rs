//! Which instances are watched, and how: the loop's side of the watchers.

use super::run::{Driver, Watched};
use super::watch::{Rhythm, Subject, UNITS_EVERY, units_every, watch};
use crate::core::event::Runs;
use crate::core::health::HealthTracker;
use crate::core::ids::{HostName, RevisionName};
use crate::core::rollout::{Instance, Stage};

/// Which of a host's two instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Which {
    /// The one that the rollout is about.
    Main,
    /// The other one, side by side.
    Other,
}

impl Driver {
    /// How the instance is asked for its health now.
    pub(super) fn subject(&self, instance: &Instance) -> Subject {
        let known = match &instance.runs {
            Some(runs) => runs.revision().map(|revision| revision.name.clone()),
            None => self.job.last_seen.get(&instance.host).cloned(),
        };
        let is_confirmed = matches!(instance.stage, Stage::Updated { .. });
        Subject {
            host: instance.host.clone(),
            generation: self.generation,
            of: self.of(&instance.host, instance.runs.as_ref()),
            expect: known.filter(|name| !name.is_adopted()),
            started: instance.started().cloned(),
            units_every: match is_confirmed {
                true => units_every(self.state.instances.len()),
                false => UNITS_EVERY,
            },
            trusts_probe: is_confirmed,
        }
    }

    /// Side by side, by which unit and port it is asked.
    fn of(&self, host: &HostName, runs: Option<&Runs>) -> Option<(RevisionName, u16)> {
        let port = self.ports_of.of(host, runs)?;
        Some((runs?.revision()?.name.clone(), port))
    }

    /// Watches what was seen there, after a first look or a fresh one.
    pub(super) fn watch_seen(&mut self, host: &HostName) {
        let proves_itself = self.state.instance(host).is_some_and(|instance| {
            matches!(
                instance.stage,
                Stage::Settling { .. } | Stage::Recovering { .. }
            )
        });
        match proves_itself {
            true => self.watch_started(host),
            false => self.watch_old(host),
        }
        self.watch_other(host);
    }

    /// Watches what ran before, if anything does: its first passing look makes it available.
    pub(super) fn watch_old(&mut self, host: &HostName) {
        let fresh = self
            .state
            .instance(host)
            .is_some_and(|instance| instance.health.is_none());
        let (successes, interval) = (self.job.health.successes, self.job.health.interval);
        let (tracker, rhythm) = match fresh {
            true => (HealthTracker::of_running(successes), self.among_all()),
            false => (
                HealthTracker::of_started(successes),
                Rhythm::at_once(interval),
            ),
        };
        self.watch(host, tracker, rhythm);
    }

    /// The rhythm of the next watch where all instances are begun to be watched.
    fn among_all(&self) -> Rhythm {
        let instances = self.state.instances.len();
        Rhythm::spread(self.job.health.interval, self.generation, instances)
    }

    /// Watches what was started just now, under its new start.
    pub(super) fn watch_started(&mut self, host: &HostName) {
        let tracker = HealthTracker::of_started(self.job.health.successes);
        self.watch(host, tracker, Rhythm::at_once(self.job.health.interval));
    }

    /// After a confirmation only the way of asking changes; what was seen holds.
    pub(super) fn watch_confirmed(&mut self, host: &HostName) {
        let watched = self.watches.get(&(host.clone(), Which::Main));
        if let Some(tracker) = watched.map(|watched| watched.tracker.clone()) {
            self.watch(host, tracker, Rhythm::at_once(self.job.health.interval));
        }
    }

    /// What runs goes on being watched as the other one: a new one is started beside it.
    pub(super) fn watch_main_as_other(&mut self, host: &HostName) {
        if let Some(watched) = self.watches.remove(&(host.clone(), Which::Main)) {
            self.watches.insert((host.clone(), Which::Other), watched);
        }
    }

    /// The other way round: the other one is what the host runs.
    pub(super) fn watch_other_as_main(&mut self, host: &HostName) {
        self.stop_watching(host, Which::Main);
        if let Some(watched) = self.watches.remove(&(host.clone(), Which::Other)) {
            self.watches.insert((host.clone(), Which::Main), watched);
        }
    }

    /// Whether an other one is watched that is there no longer, or no longer as the other one.
    pub(super) fn takes_the_other(&self, host: &HostName) -> bool {
        let instance = self.state.instance(host);
        self.watches.contains_key(&(host.clone(), Which::Other))
            && instance.is_some_and(|instance| instance.sibling.is_none())
    }

    fn watch_other(&mut self, host: &HostName) {
        self.stop_watching(host, Which::Other);
        let sibling = self
            .state
            .instance(host)
            .and_then(|one| one.sibling.as_ref());
        let Some(runs) = sibling.map(|sibling| sibling.runs.clone()) else {
            return;
        };
        self.generation += 1;
        let name = runs
            .as_ref()
            .and_then(Runs::revision)
            .map(|one| one.name.clone());
        let subject = Subject {
            host: host.clone(),
            generation: self.generation,
            of: self.of(host, runs.as_ref()),
            expect: name.filter(|name| !name.is_adopted()),
            started: None,
            units_every: UNITS_EVERY,
            trusts_probe: true,
        };
        let tracker = HealthTracker::of_running(self.job.health.successes);
        let rhythm = self.among_all();
        self.spawn_watch((host.clone(), Which::Other), subject, tracker, rhythm);
    }

    fn watch(&mut self, host: &HostName, tracker: HealthTracker, rhythm: Rhythm) {
        self.stop_watching(host, Which::Main);
        self.generation += 1;
        let Some(instance) = self
            .state
            .instance(host)
            .filter(|instance| !instance.is_absent())
        else {
            return;
        };
        let subject = self.subject(instance);
        self.spawn_watch((host.clone(), Which::Main), subject, tracker, rhythm);
    }

    fn spawn_watch(
        &mut self,
        key: (HostName, Which),
        subject: Subject,
        tracker: HealthTracker,
        rhythm: Rhythm,
    ) {
        while self.watchers.try_join_next().is_some() {}
        let watching = watch(
            self.ports.clone(),
            self.job.health.clone(),
            subject,
            rhythm,
            self.sender.clone(),
        );
        let task = self.watchers.spawn(watching);
        let watched = Watched {
            generation: self.generation,
            tracker,
            task,
            last_answer: None,
        };
        self.watches.insert(key, watched);
    }

    pub(super) fn stop_watching(&mut self, host: &HostName, which: Which) {
        if let Some(watched) = self.watches.remove(&(host.clone(), which)) {
            watched.task.abort();
        }
    }
}
