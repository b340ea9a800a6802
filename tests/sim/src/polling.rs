//! What controllers see of the health of instances.

use rand::Rng;

use rollctl::core::event::Event;
use rollctl::core::health::Poll;
use rollctl::core::ids::HostName;

use crate::world::{Stop, World, at};

impl World {
    /// Every watcher looks once.
    pub(crate) fn poll_all(&mut self) -> Result<(), String> {
        for who in (0..self.controllers.len()).rev() {
            match self.poll(who) {
                Ok(()) => {}
                Err(Stop::Gone) => {
                    self.controllers.remove(who);
                }
                Err(Stop::Bad(why)) => return Err(why),
            }
        }
        Ok(())
    }

    fn poll(&mut self, who: usize) -> Result<(), Stop> {
        for place in 0..self.hosts.len() {
            let flap = match self.temper.flaps {
                0 => 0,
                often if self.is_calm() || self.rng.random_range(0..often) > 0 => 0,
                _ => self.rng.random_range(1..=2),
            };
            self.see(who, place, false, flap)?;
        }
        for place in 0..self.hosts.len() {
            self.see(who, place, true, 0)?;
        }
        Ok(())
    }

    /// One look at the instance that a rollout is about, or at the other one on its host.
    fn see(&mut self, who: usize, place: usize, sibling: bool, flap: u8) -> Result<(), Stop> {
        let fresh = at(self.now + 2 * self.temper.interval);
        let host = &self.hosts[place];
        let controller = &mut self.controllers[who];
        let watches = match sibling {
            true => &mut controller.others,
            false => &mut controller.watches,
        };
        let Some(watch) = watches[place].as_mut() else {
            return Ok(());
        };
        let poll = host.poll(self.now, flap, watch.started, watch.trusts_probe, watch.of);
        let is_of_another_boot = watch.started.is_some_and(|(boot, _)| boot != host.boot);
        let change = watch.tracker.poll(at(self.now), poll);
        let name = controller.host_name(place);
        match sibling {
            true => controller.state.saw_sibling(&name, fresh),
            false => controller.state.saw(&name, fresh),
        }
        // What was seen before may have been too old to take anything down.
        controller.stirred |= poll == Poll::Pass;
        let instance = &controller.state.instances[place];
        let is_at_peace = instance.started().is_some() && instance.open.is_none();
        if is_of_another_boot && !sibling && is_at_peace && host.answers_ssh(self.now) {
            return self.see_boot(who, place, name);
        }
        let Some(health) = change else {
            return Ok(());
        };
        let change = Event::HealthChanged {
            host: name,
            health,
            sibling,
        };
        self.record(who, &change)
    }

    fn see_boot(&mut self, who: usize, place: usize, host: HostName) -> Result<(), Stop> {
        let started = self.hosts[place].started();
        self.record(who, &Event::HostRebooted { host, started })?;
        let controller = &mut self.controllers[who];
        match controller.takes_the_other(place) {
            // What was not confirmed is gone with the boot.
            true => controller.watches[place] = controller.others[place].take(),
            false => controller.watch_started(place),
        }
        Ok(())
    }
}
