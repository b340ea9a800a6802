//! What to do next: a pure function of what is known and the time.
//!
//! Every decision looks at the whole state anew; no batch and no plan is stored. Finishing goes before starting:
//! conclusions first, then reverts and confirmations, then shipping, and only then new switches under R1-R3.

use super::counts::Counts;
use super::decision::{Action, Decision, Verdict, WaitReason};
use super::event::{ActionKind, Mark, Outcome, PauseCause};
use super::health::Health;
use super::ids::HostName;
use super::rollout::{Expects, Instance, RolloutState, Stage};
use super::rules::{CONTRACT, InTheWay, Rules};
use super::time::Timestamp;

/// Decides what to do next.
pub fn decide(state: &RolloutState, now: Timestamp) -> Decision {
    decide_by(&CONTRACT, state, now)
}

/// [`decide`] with other rules, for tests that plant a mistake.
pub(crate) fn decide_by(rules: &Rules, state: &RolloutState, now: Timestamp) -> Decision {
    let mut draft = Draft {
        rules,
        state,
        now,
        counts: Counts::by(rules.is_available, state, now),
        decision: Decision::default(),
    };
    if state.is_over() {
        return draft.decision;
    }
    if draft.is_looking() || draft.conclude() || draft.turn() {
        return draft.decision;
    }
    draft.finish_what_is_begun();
    if state.pause.is_none() {
        draft.ship();
        draft.switch();
    }
    draft.judge();
    draft.explain();
    draft.decision
}

struct Draft<'a> {
    rules: &'a Rules,
    state: &'a RolloutState,
    now: Timestamp,
    counts: Counts,
    decision: Decision,
}

impl<'a> Draft<'a> {
    /// Nothing is decided before every reachable instance was looked at once.
    fn is_looking(&mut self) -> bool {
        let hosts: Vec<_> = self
            .state
            .instances
            .iter()
            .filter(|i| !i.is_looked_at())
            .map(|i| i.host.clone())
            .collect();
        if hosts.is_empty() {
            return false;
        }
        self.decision
            .waiting_on
            .push(WaitReason::FirstLook { hosts });
        true
    }

    /// Draws conclusions about single instances. They change the counts, so they are recorded before anything else.
    fn conclude(&mut self) -> bool {
        for instance in &self.state.instances {
            if instance.open.is_some_and(|open| open != ActionKind::Prune) {
                continue;
            }
            if let Some(mark) = self.conclusion(instance) {
                self.decision.actions.push(Action::Mark {
                    host: instance.host.clone(),
                    mark,
                });
            }
        }
        !self.decision.actions.is_empty()
    }

    fn conclusion(&mut self, instance: &Instance) -> Option<Mark> {
        let spec = &self.state.spec;
        match &instance.stage {
            Stage::Settling { since, .. } => self
                .misses_deadline(instance, *since)
                .map(|reason| Mark::Failed { reason }),
            Stage::Updated { started: Some(_) } if instance.health.is_some_and(Health::is_lost) => {
                Some(Mark::Failed {
                    reason: lost_in_words(instance).to_owned(),
                })
            }
            Stage::Recovering { since, .. } => match instance.health {
                Some(Health::Ready { since: ready }) if self.now.since(ready) >= spec.min_ready => {
                    Some(Mark::Reverted)
                }
                _ => self
                    .misses_deadline(instance, *since)
                    .map(|reason| Mark::Broken { reason }),
            },
            _ => None,
        }
    }

    /// Why an instance started at `since` cannot become available within `deadline` any more; else notes when it could.
    fn misses_deadline(&mut self, instance: &Instance, since: Timestamp) -> Option<String> {
        let spec = &self.state.spec;
        let deadline = since + spec.deadline;
        let seconds = spec.deadline.as_secs_f64();
        match instance.health {
            Some(Health::Restarted) => Some(lost_in_words(instance).to_owned()),
            Some(Health::Ready { since: ready }) => {
                self.wake(ready + spec.min_ready);
                (ready + spec.min_ready > deadline)
                    .then(|| format!("ready too late to be available within {seconds}s"))
            }
            _ => {
                // Ready at this moment would still be in time; a moment later not.
                let last_chance = Timestamp::from_millis(
                    deadline.as_millis()
                        - i64::try_from(spec.min_ready.as_millis()).unwrap_or(i64::MAX),
                );
                if self.now > last_chance {
                    return Some(format!("not ready within {seconds}s"));
                }
                self.wake(last_chance + std::time::Duration::from_millis(1));
                None
            }
        }
    }

    /// Turns the rollout as a whole: too many failures, or no progress.
    fn turn(&mut self) -> bool {
        if self.state.pause.is_some() {
            return false;
        }
        let spec = &self.state.spec;
        let stalled_at = self.state.progress_at + spec.progress_deadline;
        let cause = match () {
            () if self.counts.failed > spec.max_failures => PauseCause::Failures {
                failed: self.counts.failed,
            },
            // What is only being shipped to was not touched.
            () if self.now >= stalled_at
                && self
                    .in_work()
                    .any(|i| i.is_in_hand() || i.open == Some(ActionKind::Prune)) =>
            {
                PauseCause::Stalled
            }
            () => {
                self.wake(stalled_at);
                return false;
            }
        };
        self.decision.verdict = Some(Verdict::Pause(cause));
        true
    }

    /// What was begun is finished, also while pausing: put back what failed, read back what proved itself.
    fn finish_what_is_begun(&mut self) {
        for instance in &self.state.instances {
            if instance.open.is_some() {
                continue;
            }
            match &instance.stage {
                Stage::Failed { .. } => self.run(instance, ActionKind::Revert),
                Stage::Settling { .. } => {
                    if let Some(Health::Ready { since }) = instance.health
                        && self.now.since(since) >= self.state.spec.min_ready
                    {
                        self.run(instance, ActionKind::Confirm);
                    }
                }
                Stage::Updated { started: Some(_) }
                    if instance.is_reachable()
                        && !instance.pruned
                        && instance.is_available(self.now, self.state.spec.min_ready) =>
                {
                    self.run(instance, ActionKind::Prune);
                }
                _ => {}
            }
        }
    }

    /// Ships ahead, to as many hosts at once as may be.
    fn ship(&mut self) {
        let under_way = self
            .state
            .instances
            .iter()
            .filter(|i| i.stage == Stage::Staging)
            .count();
        let room = (self.state.spec.max_uploads as usize).saturating_sub(under_way);
        let next: Vec<_> = self
            .candidates()
            .into_iter()
            .filter(|i| {
                matches!(i.stage, Stage::Pending | Stage::Updated { .. }) && i.open.is_none()
            })
            .take(room)
            .collect();
        for instance in next {
            self.run(instance, ActionKind::Stage);
        }
    }

    /// Switches as many instances as the rules allow, in order.
    ///
    /// What serves is taken down in that order too, whichever host was shipped to first: the same input gives the same
    /// order, and who looks at the first host looks at the right one.
    fn switch(&mut self) {
        let mut one_before_is_shipping = false;
        for instance in self.candidates() {
            if instance.stage != Stage::Staged || instance.open.is_some() {
                one_before_is_shipping = true;
                continue;
            }
            if one_before_is_shipping && self.rules.expects(instance) == Expects::Running {
                continue;
            }
            let budget = &self.state.spec.budget;
            let available =
                (self.rules.is_available)(instance, self.now, self.state.spec.min_ready);
            match self
                .rules
                .may_switch(instance, available, &self.counts, budget)
            {
                Ok(()) => {
                    (self.rules.charge)(&mut self.counts, self.rules.expects(instance), available);
                    self.run(instance, ActionKind::Activate);
                }
                Err(in_the_way) => self.note(in_the_way),
            }
        }
    }

    /// The instances that are still to be brought to the target: absent first, then broken, then in inventory order.
    fn candidates(&self) -> Vec<&'a Instance> {
        let mut candidates: Vec<_> = self
            .state
            .instances
            .iter()
            .filter(|i| self.is_candidate(i))
            .collect();
        candidates.sort_by_key(|instance| match self.rules.expects(instance) {
            Expects::Absent => 0,
            Expects::Broken => 1,
            Expects::Running => 2,
        });
        candidates
    }

    fn is_candidate(&self, instance: &Instance) -> bool {
        instance.selected
            && instance.is_reachable()
            && match instance.stage {
                Stage::Pending | Stage::Staging | Stage::Staged => true,
                // It ran the target before, but does not work: it is started anew.
                Stage::Updated { started: None } => instance.is_broken(),
                _ => false,
            }
    }

    /// Whether the rollout comes to an end, or to rest.
    fn judge(&mut self) {
        if !self.decision.actions.is_empty() || self.in_work().next().is_some() {
            return;
        }
        let broken = self
            .state
            .instances
            .iter()
            .any(|i| matches!(i.stage, Stage::Broken { .. }));
        self.decision.verdict = match () {
            () if broken => Some(Verdict::End(Outcome::Failed)),
            () if self.state.pause.is_some() => Some(Verdict::Paused),
            () if self.has_hope() && !self.is_stalled() => None,
            () if self.candidates().is_empty() && self.reached_any() => {
                Some(Verdict::End(Outcome::Completed))
            }
            () => Some(Verdict::End(Outcome::StoodStill)),
        };
    }

    /// Whether any selected host runs the target; else there is nothing that was completed.
    fn reached_any(&self) -> bool {
        self.state
            .instances
            .iter()
            .any(|i| i.selected && matches!(i.stage, Stage::Updated { .. }))
    }

    fn is_stalled(&self) -> bool {
        self.now >= self.state.progress_at + self.state.spec.progress_deadline
    }

    /// Instances on which something is under way.
    fn in_work(&self) -> impl Iterator<Item = &'a Instance> {
        self.state.instances.iter().filter(|i| {
            i.open.is_some()
                || i.stage == Stage::Staging
                || (i.is_in_hand() && !matches!(i.stage, Stage::Broken { .. }))
        })
    }

    /// Whether waiting has a sense: some instance that is in the way may become available with nothing done.
    /// When nothing is left to switch, only those that run the target count.
    fn has_hope(&self) -> bool {
        let left = !self.candidates().is_empty();
        let (now, min_ready) = (self.now, self.state.spec.min_ready);
        self.state.instances.iter().any(|i| {
            let counts = left || (i.selected && matches!(i.stage, Stage::Updated { .. }));
            counts
                && !i.is_in_hand()
                && !i.is_absent()
                && match i.health {
                    Some(Health::Ready { .. }) => {
                        !i.is_available(now, min_ready) || (left && i.fresh_until < now)
                    }
                    Some(Health::NotReady { .. }) => {
                        !i.is_broken() || matches!(i.stage, Stage::Updated { started: Some(_) })
                    }
                    Some(Health::Unknown) => i.is_reachable(),
                    Some(Health::Restarted) | None => false,
                }
        })
    }

    /// Says why nothing more starts, for people.
    fn explain(&mut self) {
        let spec = &self.state.spec;
        if self.state.pause.is_some() && self.decision.verdict.is_none() {
            self.decision.waiting_on.push(WaitReason::Pausing);
        }
        for instance in &self.state.instances {
            let host = instance.host.clone();
            let reason = match (&instance.stage, instance.open, instance.health) {
                (_, Some(action), _) => WaitReason::Working { host, action },
                (Stage::Settling { since, .. } | Stage::Recovering { since, .. }, _, health) => {
                    let until = match health {
                        Some(Health::Ready { since }) => Some(since + spec.min_ready),
                        _ => None,
                    };
                    WaitReason::Settling {
                        host,
                        until,
                        deadline: *since + spec.deadline,
                    }
                }
                (_, _, Some(Health::Ready { since })) if !instance.is_in_hand() => {
                    let until = since + spec.min_ready;
                    if until <= self.now {
                        continue;
                    }
                    self.wake(until);
                    WaitReason::MinReady { host, until }
                }
                _ => continue,
            };
            self.decision.waiting_on.push(reason);
        }
    }

    fn note(&mut self, in_the_way: InTheWay) {
        let (budget, counts, min_ready) = (
            self.state.spec.budget,
            self.counts,
            self.state.spec.min_ready,
        );
        let hosts = |pick: &dyn Fn(&Instance) -> bool| -> Vec<HostName> {
            self.state
                .instances
                .iter()
                .filter(|i| pick(i))
                .map(|i| i.host.clone())
                .collect()
        };
        let reason = match in_the_way {
            InTheWay::InFlight => WaitReason::InFlight {
                in_flight: counts.in_flight,
                limit: budget.max_unavailable + counts.running.saturating_sub(counts.desired),
            },
            InTheWay::Room => WaitReason::NoRoom {
                running: counts.running,
                max_total: budget.max_total(),
            },
            InTheWay::Availability => WaitReason::NoHeadroom {
                available: counts.available,
                min_available: budget.min_available(),
                unavailable: hosts(&|i| !i.is_available(self.now, min_ready)),
            },
            InTheWay::Staleness => WaitReason::Stale {
                hosts: hosts(&|i| i.is_available(self.now, min_ready) && i.fresh_until < self.now),
            },
        };
        if !self.decision.waiting_on.contains(&reason) {
            self.decision.waiting_on.push(reason);
        }
    }

    fn run(&mut self, instance: &Instance, kind: ActionKind) {
        self.decision.actions.push(Action::Run {
            host: instance.host.clone(),
            kind,
        });
    }

    fn wake(&mut self, at: Timestamp) {
        if at > self.now {
            self.decision.wake_at = Some(self.decision.wake_at.map_or(at, |before| before.min(at)));
        }
    }
}

fn lost_in_words(instance: &Instance) -> &'static str {
    match instance.health {
        Some(Health::Restarted) => "a unit restarted by itself after rollctl had started it",
        _ => "it became unready after it had been available",
    }
}
