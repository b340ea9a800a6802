//! A fleet, its controllers and what goes wrong, moved along in virtual time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use rollctl::core::decision::Decision;
use rollctl::core::event::{ActionKind, ActionOutcome, Event, Sight};
use rollctl::core::spec::Spec;
use rollctl::core::time::Timestamp;

use crate::controller::Controller;
use crate::draw::{self, Release, Temper};
use crate::hooks;
use crate::host::Host;
use crate::ledger::Ledger;
use crate::order::Coming;
use crate::tally::Tally;

/// When time begins.
pub(crate) const START: i64 = 1_000_000;

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
