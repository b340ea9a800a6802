//! What operators and bad luck do: begin, resume, supersede, take over, pause, abort, approve; reboot, cut off, kill.

use rand::Rng;

use rollctl::core::decision::WaitReason;
use rollctl::core::event::{Event, PauseCause};
use rollctl::core::spec::{RolloutKind, Spec};

use crate::controller::Controller;
use crate::draw::revision;
use crate::order::Coming;
use crate::world::{Stop, World, at, sight_of};

/// Once nothing goes wrong any more, a rollout that pauses again and again is ended.
const RESUMED_IN_PEACE: u32 = 4;

impl World {
    /// A new rollout, which supersedes an unfinished one.
    pub(crate) fn begin(&mut self, mut spec: Spec) -> Result<(), String> {
        let now = at(self.now);
        if let Some(last) = self.ledger.rollouts.len().checked_sub(1) {
            let before = self.ledger.fold(last)?;
            let left_out = before.left_out();
            for host in &mut spec.hosts {
                host.taken_out = left_out.get(&host.name).map(|kept| (*kept).clone());
            }
        }
        self.ledger.epoch += 1;
        let first = Event::RolloutStarted {
            spec: Box::new(spec),
            by: "anna".to_owned(),
            cause: None,
        };
        if self.unfinished().is_some() {
            let by = rollctl::core::ids::RolloutId(1);
            let last = self.ledger.rollouts.len() - 1;
            self.ledger
                .append(last, now, &Event::RolloutSuperseded { by })?;
            self.tally.superseded += 1;
        }
        self.tally.rollouts += 1;
        let rollout = self.ledger.begin(now, first)?;
        self.drive(rollout)
    }

    /// Another controller goes on.
    pub(crate) fn resume(&mut self, retry: bool) -> Result<(), String> {
        self.ledger.epoch += 1;
        let last = self.ledger.rollouts.len() - 1;
        let by = "bert".to_owned();
        let window = None;
        let unattended = false;
        let resumed = Event::RolloutResumed {
            by,
            retry,
            window,
            unattended,
        };
        self.ledger.append(last, at(self.now), &resumed)?;
        self.drive(last)
    }

    /// Claims every host that can be reached and looks at it. Whatever holds a lock there is waited for.
    fn drive(&mut self, rollout: usize) -> Result<(), String> {
        let state = self.ledger.fold(rollout)?;
        let epoch = self.ledger.epoch;
        let id = self.number();
        let mut controller = Controller::new(id, epoch, rollout, state);
        if let Some(often) = self.temper.dies_every.filter(|_| !self.is_calm()) {
            controller.dies_in = Some(self.rng.random_range(1..=2 * often));
        }
        let claimed: Vec<usize> = (0..self.hosts.len())
            .filter(|place| self.hosts[*place].answers_ssh(self.now))
            .collect();
        for place in claimed {
            self.claim(place);
        }
        self.controllers.push(controller);
        let who = self.controllers.len() - 1;
        match self.look(who) {
            Ok(()) => Ok(()),
            Err(Stop::Gone) => {
                self.controllers.remove(who);
                Ok(())
            }
            Err(Stop::Bad(why)) => Err(why),
        }
    }

    fn claim(&mut self, place: usize) {
        let now = self.now;
        let waiting = self
            .queue
            .iter()
            .find(|(_, what)| matches!(what, Coming::Finish(order) if order.host == place))
            .map(|(key, _)| *key)
            .filter(|_| self.hosts[place].busy.is_some());
        if let Some(Coming::Finish(order)) = waiting.and_then(|key| self.queue.remove(&key)) {
            self.finish(order);
        }
        let host = &mut self.hosts[place];
        host.epoch = host.epoch.max(self.ledger.epoch);
        host.recover(now);
        if let Some(armed) = &mut host.armed {
            armed.fires_at = now + armed.window;
            let (when, number) = (armed.fires_at, armed.number);
            self.come(
                when,
                Coming::Guard {
                    host: place,
                    number,
                },
            );
        }
    }

    fn look(&mut self, who: usize) -> Result<(), Stop> {
        for place in 0..self.hosts.len() {
            let sight = sight_of(&self.hosts[place], self.now);
            let host = self.controllers[who].host_name(place);
            self.record(
                who,
                &Event::HostObserved {
                    host,
                    sight,
                    traffic: self.traffic_of(place),
                    sibling: self.sibling_of(place),
                },
            )?;
            self.controllers[who].watch_seen(place);
        }
        Ok(())
    }

    /// Somebody does something, or comes back to what was left lying.
    pub(crate) fn operate(&mut self) -> Result<(), String> {
        if let Some(was_paused) = self.unfinished().filter(|_| self.controllers.is_empty()) {
            if self.is_calm() || self.rng.random_bool(0.2) {
                return self.come_back(was_paused);
            }
            return Ok(());
        }
        self.approve()?;
        if self.is_calm() || self.now < self.operator_at || self.unfinished().is_none() {
            return Ok(());
        }
        self.operator_at = self.now + self.temper.operator_every.unwrap_or(i64::MAX / 4);
        let by = "carl".to_owned();
        match self.rng.random_range(0..10) {
            0..4 => {
                self.tally.pause += 1;
                let cause = PauseCause::Asked { by };
                self.ask(Event::PauseRequested { cause })
            }
            4 | 5 => {
                self.tally.abort += 1;
                self.ask(Event::AbortRequested { by })
            }
            _ => {
                self.tally.take_over += 1;
                // The old one is told by the ledger, at its next event; what it has sent is on its way.
                self.resume(false)
            }
        }
    }

    fn come_back(&mut self, was_paused: bool) -> Result<(), String> {
        if self.is_calm() {
            self.resumed_in_peace += u32::from(was_paused);
            if self.resumed_in_peace > RESUMED_IN_PEACE {
                self.resume(false)?;
                let by = "anna".to_owned();
                return self.ask(Event::AbortRequested { by });
            }
            return self.resume(was_paused);
        }
        match self.rng.random_range(0..10) {
            0..6 => self.resume(was_paused),
            6 | 7 => {
                let mut spec = self.spec.clone();
                (spec.target, spec.kind) = (revision(1), RolloutKind::Rollback);
                self.begin(spec)
            }
            8 => {
                let mut spec = self.spec.clone();
                spec.target = revision(3);
                self.begin(spec)
            }
            _ => {
                let mut spec = self.spec.clone();
                if self.rng.random_bool(0.3) {
                    spec.kind = RolloutKind::Restart;
                    spec.target = revision(1);
                }
                self.begin(spec)
            }
        }
    }

    /// A request reaches the newest controller, which writes it down.
    fn ask(&mut self, event: Event) -> Result<(), String> {
        let Some(who) = self.controllers.len().checked_sub(1) else {
            return Ok(());
        };
        match self.record(who, &event) {
            Ok(()) => Ok(()),
            Err(Stop::Gone) => {
                self.controllers.remove(who);
                Ok(())
            }
            Err(Stop::Bad(why)) => Err(why),
        }
    }

    fn approve(&mut self) -> Result<(), String> {
        let waits = |reason: &WaitReason| matches!(reason, WaitReason::Approval { .. });
        let Some(controller) = self.controllers.last() else {
            return Ok(());
        };
        let gate = controller.state.gate;
        if gate.reached_at.is_none()
            || gate.approved
            || !self.last_waiting.waiting_on.iter().any(waits)
        {
            return Ok(());
        }
        let by = "dora".to_owned();
        self.ask(Event::StepApproved {
            step: gate.step,
            by,
        })
    }

    /// Something goes wrong on a host, or on half of them.
    pub(crate) fn disturb(&mut self) -> Result<(), String> {
        if self.is_calm() || self.now < self.fault_at {
            return Ok(());
        }
        let every = self.temper.fault_every.unwrap_or(i64::MAX / 4);
        self.fault_at = self.now + self.rng.random_range(1..=2 * every);
        self.tally.fault += 1;
        let place = self.rng.random_range(0..self.hosts.len());
        let until = self.now + self.rng.random_range(1_000..60_000);
        match self.rng.random_range(0..6) {
            0 => self.hosts[place].cut_until = until,
            1 => {
                for place in 0..self.hosts.len() {
                    if self.rng.random_bool(0.5) {
                        self.hosts[place].cut_until = until;
                    }
                }
            }
            2 => self.hosts[place].ssh_gone_until = until,
            3 | 4 => {
                let host = &mut self.hosts[place];
                if self.now >= host.off_until {
                    (host.off_until, host.up) = (until, false);
                    if let Some(other) = &mut host.other {
                        other.up = false;
                    }
                    self.come(until, Coming::Boot { host: place });
                }
            }
            _ => {
                let host = &mut self.hosts[place];
                if host.up {
                    host.dead_until = self.now + 2_000;
                    host.total_starts += 1;
                    (host.starts, host.started_at) = (host.total_starts, self.now);
                }
            }
        }
        Ok(())
    }
}
