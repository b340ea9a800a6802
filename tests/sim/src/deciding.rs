//! What controllers decide, written down and sent; and the one check that knows the truth about all hosts.

use rand::Rng;

use rollctl::core::counts::Counts;
use rollctl::core::decide::decide;
use rollctl::core::decision::{Action, Verdict};
use rollctl::core::event::{ActionKind, Event, Runs};
use rollctl::core::ids::HostName;
use rollctl::core::rollout::{Expects, Instance, Stage};
use rollctl::core::time::Timestamp;

use crate::controller::start_of;
use crate::draw::{self, Release};
use crate::host::Host;
use crate::order::{Coming, Order};
use crate::world::{START, Stop, World, at, release_of};

impl World {
    /// Lets every controller decide that has something new; those that are gone are taken away.
    pub(crate) fn decide_all(&mut self) -> Result<(), String> {
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
    fn order(&mut self, who: usize, host: HostName, action: ActionKind) -> Result<(), Stop> {
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
        let expects = expects(action, instance.as_ref(), after);
        let retires = after.stage == Stage::Retiring;
        let after_goes_back = matches!(after.stage, Stage::Reverting { .. });
        let before = release_of(after.before.as_ref());
        let runs = release_of(after.runs.as_ref());
        let target = self.ledger.rollouts[controller.rollout].spec.target.clone();
        let target = release_of(Some(&Runs::Revision { revision: target }));
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
                .and_then(start_of),
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
}

/// What a fresh look has to find before it is taken down.
fn expects(action: ActionKind, before: Option<&Instance>, after: &Instance) -> Option<Expects> {
    match &after.stage {
        // Out of traffic for it: the fresh look was taken before that.
        _ if action == ActionKind::Start => None,
        Stage::Activating { .. } if is_drained(before) => None,
        Stage::Activating { expects, .. }
        | Stage::Draining {
            expects,
            started: None,
        } => Some(*expects),
        _ => None,
    }
}

fn is_drained(instance: Option<&Instance>) -> bool {
    instance.is_some_and(|one| matches!(one.stage, Stage::Draining { .. }))
}
