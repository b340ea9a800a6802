//! Which instances are watched, and how: the loop's side of the watchers.

use super::run::{Driver, Watched};
use super::watch::{Subject, watch};
use crate::core::health::HealthTracker;
use crate::core::ids::HostName;
use crate::core::rollout::{Instance, Stage};

impl Driver {
    /// How the instance is asked for its health now.
    pub(super) fn subject(&self, instance: &Instance) -> Subject {
        let known = match &instance.runs {
            Some(runs) => runs.revision().map(|revision| revision.name.clone()),
            None => self.job.last_seen.get(&instance.host).cloned(),
        };
        Subject {
            host: instance.host.clone(),
            generation: self.generation,
            expect: known.filter(|name| !name.is_adopted()),
            started: instance.started().cloned(),
            trusts_probe: matches!(instance.stage, Stage::Updated { .. }),
        }
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
    }

    /// Watches what ran before, if anything does: its first passing look makes it available.
    pub(super) fn watch_old(&mut self, host: &HostName) {
        let fresh = self
            .state
            .instance(host)
            .is_some_and(|instance| instance.health.is_none());
        let successes = self.job.health.successes;
        let tracker = if fresh {
            HealthTracker::of_running(successes)
        } else {
            HealthTracker::of_started(successes)
        };
        self.watch(host, tracker);
    }

    /// Watches what was started just now, under its new start.
    pub(super) fn watch_started(&mut self, host: &HostName) {
        self.watch(host, HealthTracker::of_started(self.job.health.successes));
    }

    /// After a confirmation only the way of asking changes; what was seen holds.
    pub(super) fn watch_confirmed(&mut self, host: &HostName) {
        if let Some(tracker) = self
            .watches
            .get(host)
            .map(|watched| watched.tracker.clone())
        {
            self.watch(host, tracker);
        }
    }

    fn watch(&mut self, host: &HostName, tracker: HealthTracker) {
        self.stop_watching(host);
        self.generation += 1;
        let Some(instance) = self
            .state
            .instance(host)
            .filter(|instance| !instance.is_absent())
        else {
            return;
        };
        let subject = self.subject(instance);
        while self.watchers.try_join_next().is_some() {}
        let watching = watch(
            self.ports.clone(),
            self.job.health.clone(),
            subject,
            self.sender.clone(),
        );
        let task = self.watchers.spawn(watching);
        let watched = Watched {
            generation: self.generation,
            tracker,
            task,
            last_answer: None,
        };
        self.watches.insert(host.clone(), watched);
    }

    pub(super) fn stop_watching(&mut self, host: &HostName) {
        if let Some(watched) = self.watches.remove(host) {
            watched.task.abort();
        }
    }
}
