//! A fleet, its controllers and what goes wrong, moved along in virtual time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use rollctl::core::counts::Counts;
use rollctl::core::decide::decide;
use rollctl::core::decision::{Action, Decision, Verdict};
use rollctl::core::event::{ActionKind, ActionOutcome, Event, Sight};
use rollctl::core::health::Poll;
use rollctl::core::rollout::{Expects, Instance, Stage};
use rollctl::core::spec::Spec;
use rollctl::core::time::Timestamp;

use crate::controller::Controller;
use crate::draw::{self, Release, Temper};
use crate::hooks;
use crate::host::Host;
use crate::ledger::Ledger;
use crate::order::{Coming, Order};
use crate::tally::Tally;

/// When time begins.
const START: i64 = 1_000_000;

/// A world that has not come to an end so long after its last fault never will.
const PATIENCE: i64 = 4 * 3_600_000;

/// Why a controller goes no further.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It died, or was displaced: the world goes on without it.
    Gone,
    /// A promise was broken.
    Bad(String),
}

impl From<String> for Stop {
    fn from(why: String) -> Self {
        Self::Bad(why)
    }
}

pub(crate) struct World {
    pub(crate) rng: SmallRng,
    pub(crate) now: i64,
    pub(crate) temper: Temper,
    pub(crate) spec: Spec,
    pub(crate) hosts: Vec<Host>,
    pub(crate) ledger: Ledger,
    pub(crate) controllers: Vec<Controller>,
    pub(crate) tally: Tally,
    pub(crate) queue: BTreeMap<Reverse<(i64, u64)>, Coming>,
    pub(crate) next: u64,
    pub(crate) last_waiting: Decision,
    pub(crate) operator_at: i64,
    pub(crate) fault_at: i64,
    pub(crate) resumed_in_peace: u32,
}

pub(crate) fn at(now: i64) -> Timestamp {
    Timestamp::from_millis(now)
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut hosts = draw::hosts(&mut rng);
        let temper = draw::temper(&mut rng);
        let mut spec = draw::spec(&mut rng, hosts.len());
        draw::surge(seed, &mut hosts, &mut spec);
        draw::side_by_side(seed, &mut spec);
        spec.balanced = draw::balance(seed, &mut hosts);
        spec.hooks = hooks::draw(seed);
        let tally = Tally {
            hooks: u64::from(!spec.hooks.is_empty()),
            domain: u64::from(!spec.domains.is_empty()),
            balanced: u64::from(spec.balanced),
            side_by_side: u64::from(spec.side_by_side),
            spares: u64::from(spec.hosts.iter().any(|host| host.spare)),
            ..Tally::default()
        };
        Self {
            fault_at: START + temper.fault_every.unwrap_or(i64::MAX / 4),
            operator_at: START + temper.operator_every.unwrap_or(i64::MAX / 4),
            temper: Temper {
                calm_at: START + temper.calm_at,
                ..temper
            },
            rng,
            now: START,
            spec,
            hosts,
            ledger: Ledger::default(),
            controllers: Vec::new(),
            tally,
            queue: BTreeMap::new(),
            next: 0,
            last_waiting: Decision::default(),
            resumed_in_peace: 0,
        }
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.now >= self.temper.calm_at
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn come(&mut self, when: i64, what: Coming) {
        let number = self.number();
        self.queue.insert(Reverse((when, number)), what);
    }

    /// Until the last rollout is over and nothing goes wrong any more.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        let spec = self.spec.clone();
        self.begin(spec)?;
        let mut tick = self.now;
        loop {
            self.decide_all()?;
            if self.is_calm() && self.is_at_rest() {
                return Ok(());
            }
            if self.now > self.temper.calm_at + PATIENCE {
                return Err(format!(
                    "it does not end; it waits for {:?}",
                    self.last_waiting.waiting_on
                ));
            }
            let coming = self.queue.last_key_value().map(|(key, _)| key.0.0);
            let wake = self.controllers.iter().filter_map(|one| one.wake_at).min();
            let next = [Some(tick), coming, wake.filter(|at| *at > self.now)]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(tick);
            self.now = self.now.max(next);
            while let Some(entry) = self.queue.last_entry() {
                if entry.key().0.0 > self.now {
                    break;
                }
                let what = entry.remove();
                self.happen(what)?;
            }
            if self.now >= tick {
                tick = self.now + self.temper.interval;
                self.poll_all()?;
                self.disturb()?;
                self.operate()?;
            }
            if wake.is_some_and(|at| at <= self.now) {
                for controller in &mut self.controllers {
                    controller.stirred = true;
                }
            }
        }
    }

    /// Records an event of a controller: appended first, then applied.
    pub(crate) fn record(&mut self, who: usize, event: &Event) -> Result<(), Stop> {
        let Some(controller) = self.controllers.get_mut(who) else {
            return Err(Stop::Gone);
        };
        if controller.epoch < self.ledger.epoch {
            // Somebody took its lease: the ledger takes nothing more of it.
            return Err(Stop::Gone);
        }
        let now = at(self.now);
        self.ledger.append(controller.rollout, now, event)?;
        controller.apply(now, event)?;
        let dies = controller.dies_in.as_mut().is_some_and(|left| {
            *left = left.saturating_sub(1);
            *left == 0
        });
        self.note(event);
        if dies {
            self.tally.crash += 1;
            return Err(Stop::Gone);
        }
        Ok(())
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::ActionStarted {
                action: ActionKind::Revert,
                ..
            } => self.tally.revert += 1,
            Event::ActionStarted {
                action: ActionKind::Stop,
                ..
            } => self.tally.stop += 1,
            Event::ActionStarted {
                action: ActionKind::Start,
                ..
            } => self.tally.beside += 1,
            Event::RollbackStarted { .. } => self.tally.rollback += 1,
            Event::ActionEnded {
                action: ActionKind::Drain | ActionKind::Attach,
                outcome: ActionOutcome::Failed { .. },
                ..
            } => self.tally.deaf_balancer += 1,
            Event::StepOpened { .. } => self.tally.step += 1,
            _ => {}
        }
    }

    /// Lets every controller decide that has something new; those that are gone are taken away.
    fn decide_all(&mut self) -> Result<(), String> {
        let mut who = 0;
        while who < self.controllers.len() {
            let ended = match self.controllers[who].stirred {
                true => self.decide(who),
                false => Ok(()),
            };
            match ended {
                Ok(()) if self.controllers[who].state.is_over() => {
                    self.controllers.remove(who);
                }
                Ok(()) => who += 1,
                Err(Stop::Gone) => {
                    self.controllers.remove(who);
                }
                Err(Stop::Bad(why)) => return Err(why),
            }
        }
        Ok(())
    }

    fn decide(&mut self, who: usize) -> Result<(), Stop> {
        loop {
            let decision = decide(&self.controllers[who].state, at(self.now));
            let again = decision.verdict.is_some() || !decision.actions.is_empty();
            for action in &decision.actions {
                match action {
                    Action::Mark { host, mark } => {
                        let (host, mark) = (host.clone(), mark.clone());
                        self.record(who, &Event::InstanceMarked { host, mark })?;
                    }
                    Action::Run { host, kind } => self.order(who, host.clone(), *kind)?,
                }
            }
            match decision.verdict.clone() {
                Some(Verdict::Pause(cause)) => {
                    self.record(who, &Event::PauseRequested { cause })?;
                }
                Some(Verdict::RollBack(cause)) => {
                    self.record(who, &Event::RollbackStarted { cause })?;
                }
                Some(Verdict::ReachStep(step)) => self.record(who, &Event::StepReached { step })?,
                Some(Verdict::OpenStep(step)) => self.record(who, &Event::StepOpened { step })?,
                Some(Verdict::RunHook { hook, rest }) => self.begin_hook(who, hook, rest)?,
                Some(Verdict::Paused) => self.record(who, &Event::RolloutPaused)?,
                Some(Verdict::End(outcome)) => {
                    self.record(who, &Event::RolloutEnded { outcome })?;
                }
                None => {}
            }
            let controller = &mut self.controllers[who];
            if controller.state.is_over() {
                return Ok(());
            }
            if !again {
                controller.stirred = false;
                controller.wake_at = decision.wake_at.map(Timestamp::as_millis);
                self.last_waiting = decision;
                return Ok(());
            }
        }
    }

    /// Writes down that an action starts, and sends it.
    fn order(
        &mut self,
        who: usize,
        host: rollctl::core::ids::HostName,
        action: ActionKind,
    ) -> Result<(), Stop> {
        let started = Event::ActionStarted {
            host: host.clone(),
            action,
        };
        let instance = self.controllers[who].state.instance(&host).cloned();
        self.record(who, &started)?;
        let controller = &mut self.controllers[who];
        let place = controller
            .state
            .instances
            .iter()
            .position(|one| one.host == host)
            .ok_or_else(|| Stop::Bad("no such host".to_owned()))?;
        if matches!(action, ActionKind::Activate | ActionKind::Revert) {
            controller.watches[place] = None;
        }
        if action == ActionKind::Start {
            controller.others[place] = controller.watches[place].take();
        }
        let other = instance.as_ref().and_then(|one| one.sibling.as_ref());
        let other = release_of(other.and_then(|one| one.runs.as_ref()));
        let own = instance.as_ref().and_then(|one| one.runs.as_ref());
        let of = match action {
            ActionKind::DrainSibling | ActionKind::AttachSibling | ActionKind::StopSibling => other,
            _ => release_of(own),
        };
        let after = &controller.state.instances[place];
        let expects = match &after.stage {
            // Out of traffic for it: the fresh look was taken before that.
            _ if action == ActionKind::Start => None,
            Stage::Activating { .. } if is_drained(instance.as_ref()) => None,
            Stage::Activating { expects, .. }
            | Stage::Draining {
                expects,
                started: None,
            } => Some(*expects),
            _ => None,
        };
        let retires = after.stage == Stage::Retiring;
        let after_goes_back = matches!(after.stage, Stage::Reverting { .. });
        let before = release_of(after.before.as_ref());
        let runs = release_of(after.runs.as_ref());
        let target = self.ledger.rollouts[controller.rollout].spec.target.clone();
        let target = release_of(Some(&rollctl::core::event::Runs::Revision {
            revision: target,
        }));
        let (from, to) = match action {
            ActionKind::Revert => (target, before),
            ActionKind::Stop => (runs, 0),
            ActionKind::Start if after_goes_back => (target, before),
            _ => (before, target),
        };
        let order = Order {
            host: place,
            action,
            controller: controller.id,
            epoch: controller.epoch,
            number: 0,
            from,
            to,
            of,
            expects,
            started: instance
                .as_ref()
                .and_then(Instance::started)
                .and_then(crate::controller::start_of),
            goes_back: after_goes_back,
            leaves_other: action == ActionKind::Revert && after.sibling.is_some(),
            sent_at: self.now,
            boot: 0,
        };
        let counts = Counts::of(&self.controllers[who].state, at(self.now));
        let most = self.spec.budget.max_unavailable;
        self.tally.full_budget += u64::from(counts.in_flight >= most.max(1));
        let takes_other = matches!(action, ActionKind::DrainSibling | ActionKind::StopSibling);
        let takes_own = expects == Some(Expects::Running) || action == ActionKind::Revert;
        if takes_own || takes_other || retires {
            self.truly_within(place, of)?;
        }
        let order = Order {
            number: self.number(),
            ..order
        };
        let way = self.rng.random_range(1..200);
        self.come(self.now + way, Coming::Arrive(order));
        Ok(())
    }

    /// In a world without faults what truly serves is what the scheduler believes in, so the budget holds in truth too.
    fn truly_within(&self, place: usize, of: Release) -> Result<(), Stop> {
        let peaceful = self.temper.calm_at <= START
            && self.hosts.iter().all(|host| {
                let dies = |one: &draw::Behaviour| matches!(one, draw::Behaviour::Dies { .. });
                host.ssh_gone_until == 0 && !host.behaviours.iter().any(dies)
            });
        let host = &self.hosts[place];
        let beside = host.has_beside(of);
        let serves = |one: &Host| one.serves(self.now) && one.in_traffic;
        let other_serves = |one: &Host| {
            one.other_serves(self.now) && one.other.is_some_and(|other| other.in_traffic)
        };
        let (goes, stays) = match beside {
            true => (other_serves(host), serves(host)),
            false => (serves(host), other_serves(host)),
        };
        if !peaceful || !goes || stays || host.armed.is_some_and(|armed| !armed.beside) {
            return Ok(());
        }
        let others = self
            .hosts
            .iter()
            .enumerate()
            .filter(|(n, one)| *n != place && (serves(one) || other_serves(one)))
            .count();
        let budget = self.spec.budget;
        let least = usize::try_from(budget.min_available()).unwrap_or(0);
        match others >= least {
            true => Ok(()),
            false => Err(Stop::Bad(format!(
                "only {others} truly serve when h{place:03} is taken down, {least} must"
            ))),
        }
    }

    /// Every watcher looks once.
    fn poll_all(&mut self) -> Result<(), String> {
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
        let fresh = at(self.now + 2 * self.temper.interval);
        for place in 0..self.hosts.len() {
            let flap = match self.temper.flaps {
                0 => 0,
                often if self.is_calm() || self.rng.random_range(0..often) > 0 => 0,
                _ => self.rng.random_range(1..=2),
            };
            let host = &self.hosts[place];
            let controller = &mut self.controllers[who];
            let Some(watch) = controller.watches[place].as_mut() else {
                continue;
            };
            let poll = host.poll(self.now, flap, watch.started, watch.trusts_probe, watch.of);
            let rebooted = watch
                .started
                .is_some_and(|(boot, _)| boot != host.boot && host.answers_ssh(self.now));
            let change = watch.tracker.poll(at(self.now), poll);
            let name = controller.host_name(place);
            controller.state.saw(&name, fresh);
            let instance = &controller.state.instances[place];
            if rebooted && instance.started().is_some() && instance.open.is_none() {
                let started = host.started();
                self.record(
                    who,
                    &Event::HostRebooted {
                        host: name,
                        started,
                    },
                )?;
                if self.controllers[who].takes_the_other(place) {
                    // What was not confirmed is gone with the boot.
                    self.controllers[who].watches[place] =
                        self.controllers[who].others[place].take();
                } else {
                    self.controllers[who].watch_started(place);
                }
                continue;
            }
            if let Some(health) = change {
                let sibling = false;
                let host = name;
                let change = Event::HealthChanged {
                    host,
                    health,
                    sibling,
                };
                self.record(who, &change)?;
            } else if poll == Poll::Pass {
                // What was seen before may have been too old to take anything down.
                self.controllers[who].stirred = true;
            }
        }
        self.poll_others(who, fresh)
    }

    /// The same of the other instances on the hosts.
    fn poll_others(&mut self, who: usize, fresh: Timestamp) -> Result<(), Stop> {
        for place in 0..self.hosts.len() {
            let host = &self.hosts[place];
            let controller = &mut self.controllers[who];
            let Some(watch) = controller.others[place].as_mut() else {
                continue;
            };
            let poll = host.poll(self.now, 0, watch.started, watch.trusts_probe, watch.of);
            let change = watch.tracker.poll(at(self.now), poll);
            let host = controller.host_name(place);
            controller.state.saw_sibling(&host, fresh);
            controller.stirred |= poll == Poll::Pass;
            if let Some(health) = change {
                let sibling = true;
                let change = Event::HealthChanged {
                    host,
                    health,
                    sibling,
                };
                self.record(who, &change)?;
            }
        }
        Ok(())
    }

    /// Whether nobody does anything and nothing is left to be done.
    fn is_at_rest(&self) -> bool {
        self.controllers.is_empty()
            && self.ledger.rollouts.last().is_some_and(|last| {
                matches!(
                    last.events.last(),
                    Some((
                        _,
                        Event::RolloutEnded { .. } | Event::RolloutSuperseded { .. }
                    ))
                )
            })
    }

    /// Whether the newest rollout can be gone on with, and whether it was paused.
    pub(crate) fn unfinished(&self) -> Option<bool> {
        let last = self.ledger.rollouts.last()?;
        match last.events.last() {
            Some((_, Event::RolloutEnded { .. } | Event::RolloutSuperseded { .. })) => None,
            Some((_, Event::RolloutPaused)) => Some(true),
            _ => Some(false),
        }
    }
}

fn is_drained(instance: Option<&Instance>) -> bool {
    instance.is_some_and(|one| matches!(one.stage, Stage::Draining { .. }))
}

/// The number of a release.
pub(crate) fn release_of(runs: Option<&rollctl::core::event::Runs>) -> Release {
    runs.and_then(rollctl::core::event::Runs::revision)
        .and_then(|revision| revision.name.as_str().strip_prefix('v')?.parse().ok())
        .unwrap_or(0)
}

/// How a host looks to whoever logs in.
pub(crate) fn sight_of(host: &Host, now: i64) -> Sight {
    if !host.answers_ssh(now) {
        return Sight::Unreachable {
            reason: "connection refused".to_owned(),
        };
    }
    Sight::Reachable {
        runs: host.sight_of_runs(),
        started: Some(host.started()).filter(|_| host.runs != 0),
        unproven: host.unproven(),
    }
}

/// The outcome of what was done.
pub(crate) fn done(host: &Host) -> ActionOutcome {
    ActionOutcome::Done {
        started: Some(host.started()).filter(|_| host.runs != 0),
    }
}
