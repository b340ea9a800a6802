//! What must be true once everything has come to rest.

use rollctl::core::counts::Counts;
use rollctl::core::event::{Event, Outcome};
use rollctl::core::health::Health;
use rollctl::core::rollout::{Instance, RolloutPhase, RolloutState, Stage};

use crate::order::Coming;
use crate::world::{World, release_of};

impl World {
    /// Lets every dead-man's switch that is still armed fire, then compares the hosts with what is believed of them.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        let until = self.now + 2 * self.window() + 600_000;
        while let Some(entry) = self.queue.last_entry() {
            if entry.key().0.0 > until {
                break;
            }
            self.now = self.now.max(entry.key().0.0);
            let what = entry.remove();
            if !matches!(what, Coming::Reply(..)) {
                self.happen(what)?;
            }
        }
        self.check_end()
    }

    fn ended_available(&self, state: &RolloutState, instance: &Instance) -> bool {
        let ended = self
            .ledger
            .rollouts
            .last()
            .and_then(|one| one.events.last());
        // Those in flight may rely upon one more that runs.
        matches!(ended, Some((at, Event::RolloutEnded { .. }))
            if instance.is_available(*at, state.spec.min_ready)
                && Counts::of(state, *at).in_flight == 0)
    }

    /// Whether R2 would have let a spare host's instance go, by what was believed when the rollout ended.
    fn could_go(&self, state: &RolloutState, instance: &Instance) -> bool {
        let last = self.ledger.rollouts.last();
        let Some((ended, Event::RolloutEnded { .. })) = last.and_then(|one| one.events.last())
        else {
            return false;
        };
        let available = |one: &&Instance| one.is_available(*ended, state.spec.min_ready);
        let others = state.instances.iter().filter(|i| i.host != instance.host);
        let remain = others.filter(available).count();
        let least = usize::try_from(state.spec.budget.min_available()).unwrap_or(0);
        !instance.is_in_hand() && !instance.is_broken() && !instance.unproven && remain >= least
    }

    fn check_end(&self) -> Result<(), String> {
        let last = self.ledger.rollouts.len() - 1;
        let state = self.ledger.fold(last)?;
        let target = self.ledger.rollouts[last].spec.target.clone();
        let target = release_of(Some(&rollctl::core::event::Runs::Revision {
            revision: target,
        }));
        // What it came to was settled before its last hook began; what was seen since is the next one's.
        let settled = state.hooks.rest.is_some();
        for (instance, host) in state.instances.iter().zip(&self.hosts) {
            let wrong = |why: &str| {
                Err(format!(
                    "{} at the end: {why}; {:?}, runs v{}",
                    instance.host, instance.stage, host.runs
                ))
            };
            if host.armed.is_some() {
                return wrong("still armed");
            }
            if instance.open.is_some() || (instance.is_in_hand() && !instance.is_given_up()) {
                return wrong("left in hand");
            }
            if host.kept_out && host.in_traffic {
                return wrong("an operator's host was put into traffic");
            }
            let works =
                matches!(instance.health, Some(Health::Ready { .. })) && !instance.is_absent();
            // Where nobody can look, the other one beside it may be the one that serves.
            let hidden = host.other.filter(|_| !instance.is_reachable());
            let other_serves = hidden.is_some_and(|other| other.in_traffic);
            // What nobody ever confirmed waits for its dead-man's switch.
            if works
                && !other_serves
                && host.runs != 0
                && !instance.unproven
                && !instance.is_given_up()
                && !host.kept_out
                && !host.in_traffic
                && !settled
            {
                return wrong("it works and gets no traffic");
            }
            if !instance.is_reachable() {
                continue;
            }
            match &instance.sibling {
                None if host.other.is_some() => return wrong("another one runs beside it"),
                Some(other)
                    if other.stuck.is_none()
                        && !settled
                        && !state.goes_back()
                        && self.ended_available(&state, instance)
                        && !instance.is_given_up() =>
                {
                    return wrong("the other one beside it is left");
                }
                _ => {}
            }
            if !settled && instance.is_surplus() && self.could_go(&state, instance) {
                return wrong("its spare host still carries it");
            }
            let before = release_of(instance.before.as_ref());
            match &instance.stage {
                Stage::Updated { .. } if host.runs != target => {
                    return wrong("it does not run the target");
                }
                Stage::Reverted { .. } if host.runs != before && !instance.unproven => {
                    return wrong("it does not run what it ran before");
                }
                _ => {}
            }
            if host.begun.is_some() && !instance.is_given_up() {
                return wrong("a step was left begun");
            }
        }
        let left = |stage: &Stage| matches!(stage, Stage::Updated { started: Some(_) });
        let rolled_back = RolloutPhase::Ended(Outcome::RolledBack);
        if state.phase == rolled_back
            && state.spec.kind != rollctl::core::spec::RolloutKind::Restart
            && state.instances.iter().any(|one| left(&one.stage))
        {
            return Err("rolled back, but something new still runs".to_owned());
        }
        Ok(())
    }
}
