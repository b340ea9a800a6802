//! What to do next: a pure function of what is known and the time.
//!
//! Every decision looks at the whole state anew; no batch and no plan is stored. Finishing goes before starting:
//! conclusions first, then reverts and confirmations, then shipping, and only then new switches under R1-R4.
//!
//! Going back is no loop of its own: the candidates are then the instances that this rollout has switched, each goes
//! to what it ran before, and the same rules hold.

use std::collections::BTreeSet;

use super::counts::Counts;
use super::decision::{Action, Decision, Verdict, WaitReason};
use super::event::{ActionKind, PauseCause, RollbackCause};
use super::fleet::OnFailure;
use super::health::Health;
use super::ids::HostName;
use super::rollout::{Expects, Instance, RolloutState, Stage};
use super::rules::{CONTRACT, Rules};
use super::side::Switching;
use super::spec::RolloutKind;
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
        candidates: Vec::new(),
        busy: BTreeSet::new(),
        decision: Decision::default(),
    };
    if state.is_over() {
        return draft.decision;
    }
    if draft.is_looking() || draft.stands_at_hook() || draft.conclude() || draft.turn() {
        return draft.decision;
    }
    draft.candidates = draft.find_candidates();
    if draft.leave_window() || draft.pass_gate() {
        return draft.decision;
    }
    draft.finish_siblings();
    draft.finish_what_is_begun();
    if draft.may_start() {
        draft.retire_what_is_of_no_use();
        draft.ship();
        draft.switch();
    }
    draft.attach();
    draft.judge();
    draft.run_last_hook();
    draft.explain();
    draft.decision
}

pub(super) struct Draft<'a> {
    pub(super) rules: &'a Rules,
    pub(super) state: &'a RolloutState,
    pub(super) now: Timestamp,
    pub(super) counts: Counts,
    /// Those that are still to be switched, there or back, in order.
    pub(super) candidates: Vec<&'a Instance>,
    /// Hosts whose other instance is seen to first.
    pub(super) busy: BTreeSet<HostName>,
    pub(super) decision: Decision,
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

    /// Turns the rollout as a whole: too many failures, or no progress.
    fn turn(&mut self) -> bool {
        let state = self.state;
        // A window that has closed holds up what is to begin, not the way back.
        let is_shut = matches!(state.pause, Some(PauseCause::WindowClosed { .. }));
        if (state.pause.is_some() && !is_shut) || state.abort.is_some() || state.goes_back() {
            return false;
        }
        let spec = &state.spec;
        let failed = self.counts.failed;
        let verdict = match spec.on_failure {
            OnFailure::Rollback if failed > spec.max_failures => {
                Verdict::RollBack(RollbackCause::Failures { failed })
            }
            _ if is_shut => return false,
            OnFailure::Pause if failed > spec.max_failures => {
                Verdict::Pause(PauseCause::Failures { failed })
            }
            _ if !self.has_stalled_at_work() => return false,
            OnFailure::Rollback => Verdict::RollBack(RollbackCause::Stalled),
            OnFailure::Pause | OnFailure::Continue => Verdict::Pause(PauseCause::Stalled),
        };
        self.decision.verdict = Some(verdict);
        true
    }

    /// Whether no phase ended well for too long, over an instance that we touched. What is only being shipped to was
    /// not; and a gate that bakes or waits for somebody is no standstill.
    fn has_stalled_at_work(&mut self) -> bool {
        if self.state.gate.reached_at.is_some() {
            return false;
        }
        let at_work = self
            .in_work()
            .any(|i| i.is_in_hand() || i.open == Some(ActionKind::Prune));
        if !self.is_stalled() {
            self.wake(self.stalled_at());
        }
        self.is_stalled() && at_work
    }

    fn stalled_at(&self) -> Timestamp {
        self.state.progress_at + self.state.spec.progress_deadline
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.now >= self.stalled_at()
    }

    /// Notes that the gate was reached, or opens it.
    fn pass_gate(&mut self) -> bool {
        let state = self.state;
        let Some(gate) = state.current_gate().filter(|_| self.may_start()) else {
            return false;
        };
        let step = state.gate.step;
        let is_reached = self.is_gate_reached(gate.to);
        self.decision.verdict = match state.gate.reached_at {
            None if is_reached => Some(Verdict::ReachStep(step)),
            Some(at) if is_reached => {
                let baked = self.now >= at + gate.bake;
                if !baked {
                    self.wake(at + gate.bake);
                }
                (baked && (!gate.approve || state.gate.approved)).then_some(Verdict::OpenStep(step))
            }
            _ => None,
        };
        self.decision.verdict.is_some()
    }

    /// Whether as many are available as the gate asks for, or all that still can.
    pub(super) fn is_gate_reached(&self, to: u32) -> bool {
        let is_left = |i: &&&Instance| !i.is_new() && !i.spare;
        let left = self.candidates.iter().filter(is_left).count();
        let provable = self.counts.new - self.counts.new_beyond_proof;
        let possible = provable + u32::try_from(left).unwrap_or(u32::MAX);
        let needed = to.min(possible);
        needed > 0 && self.counts.new_and_available >= needed
    }

    /// What was begun is finished, also while pausing: put back what failed, read back what proved itself. An
    /// unavailable one goes back at once; R1 does not hold it.
    fn finish_what_is_begun(&mut self) {
        for instance in &self.state.instances {
            if instance.open.is_some() || self.busy.contains(&instance.host) {
                continue;
            }
            match &instance.stage {
                Stage::Failed { .. } if instance.is_to_drain() => {
                    self.run(instance, ActionKind::Drain);
                }
                Stage::Settling { .. } if self.state.goes_back() && instance.is_to_drain() => {
                    self.run(instance, ActionKind::Drain);
                }
                Stage::Failed { .. } => self.run(instance, ActionKind::Revert),
                Stage::Settling { .. } if self.state.goes_back() => {
                    self.run(instance, ActionKind::Revert);
                }
                Stage::Draining { started, .. } => {
                    self.run(instance, self.after_drain(started.is_some()))
                }
                Stage::Retiring => self.run(instance, ActionKind::Stop),
                Stage::Settling { .. } => {
                    if let Some(Health::Ready { since }) = instance.health
                        && self.now.since(since) >= self.state.spec.min_ready
                    {
                        self.run(instance, ActionKind::Confirm);
                    }
                }
                Stage::Updated { started: Some(_) }
                    if instance.owes_hook()
                        && instance.is_reachable()
                        && !self.state.goes_back()
                        && instance.is_settled(self.now, self.state.spec.min_ready) =>
                {
                    self.run(instance, ActionKind::AfterInstance);
                }
                Stage::Updated { started: Some(_) }
                    if instance.is_reachable()
                        && !instance.pruned
                        && !self.state.goes_back()
                        && instance.is_settled(self.now, self.state.spec.min_ready) =>
                {
                    self.run(instance, ActionKind::Prune);
                }
                _ => {}
            }
        }
    }

    /// Puts back into traffic what was taken out and stays as it is. What goes back at this moment does so directly.
    fn attach(&mut self) {
        let min_ready = self.state.spec.min_ready;
        let out: Vec<_> = self
            .state
            .instances
            .iter()
            .filter(|i| i.open.is_none() && i.is_to_attach(self.now, min_ready))
            .collect();
        if out.is_empty() {
            return;
        }
        let busy: BTreeSet<_> = self
            .decision
            .actions
            .iter()
            .map(|action| match action {
                Action::Run { host, .. } | Action::Mark { host, .. } => host.clone(),
            })
            .collect();
        for instance in out.into_iter().filter(|i| !busy.contains(&i.host)) {
            self.run(instance, ActionKind::Attach);
        }
    }

    /// What is done to an instance that is out of traffic: its switch is finished, unless the rollout has turned.
    fn after_drain(&self, on_the_way_back: bool) -> ActionKind {
        match (self.state.goes_back(), on_the_way_back) {
            (true, true) => ActionKind::Revert,
            (true, false) => ActionKind::Attach,
            (false, _) => ActionKind::Activate,
        }
    }

    /// Whether anything new may be started: nobody holds the rollout, and nothing is broken that somebody must look
    /// at first. On the way back a broken one does not keep the others from going back.
    pub(super) fn may_start(&self) -> bool {
        let state = self.state;
        let is_broken = |i: &Instance| matches!(i.stage, Stage::Broken { .. });
        state.pause.is_none()
            && state.abort.is_none()
            && !state.hooks.is_refused()
            && (state.goes_back() || !state.instances.iter().any(is_broken))
    }

    /// Ships ahead, to as many hosts at once as may be.
    fn ship(&mut self) {
        if self.state.goes_back() {
            return;
        }
        let under_way = self
            .state
            .instances
            .iter()
            .filter(|i| i.stage == Stage::Staging)
            .count();
        let room = (self.state.spec.max_uploads as usize).saturating_sub(under_way);
        let next: Vec<_> = self
            .candidates
            .iter()
            .filter(|i| {
                matches!(i.stage, Stage::Pending | Stage::Updated { .. })
                    && i.open.is_none()
                    && !self.busy.contains(&i.host)
                    && !i.is_to_attach(self.now, self.state.spec.min_ready)
            })
            .take(room)
            .copied()
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
        let gate = self.state.current_gate().map(|gate| gate.to);
        let mut new = self.counts.new;
        let is_absent = |i: &&&Instance| i.is_absent() && !i.spare;
        let absent = self.candidates.iter().filter(is_absent).count();
        let mut absent = u32::try_from(absent).unwrap_or(u32::MAX);
        for instance in std::mem::take(&mut self.candidates) {
            self.candidates.push(instance);
            if !self.is_ready_to_switch(instance) {
                one_before_is_shipping |= !instance.spare;
                continue;
            }
            if one_before_is_shipping && self.rules.expects(instance) == Expects::Running {
                continue;
            }
            let has_room =
                |to| instance.spare || instance.is_new() || (self.rules.gate_has_room)(new, to);
            if !gate.is_none_or(has_room) {
                self.note_gate();
                continue;
            }
            match self.may_begin(instance, absent) {
                Ok(Switching::NotYet) => {}
                Ok(how) => {
                    new += u32::from(!instance.is_new() && !instance.spare);
                    absent -= u32::from(instance.is_absent() && !instance.spare);
                    self.charge_switch(instance, how);
                    let kind = match (how, self.state.goes_back()) {
                        (Switching::Beside, _) if self.awaits_hook(instance) => {
                            ActionKind::BeforeStart
                        }
                        _ if self.awaits_hook(instance) => ActionKind::BeforeInstance,
                        (Switching::AttachSibling, _) => ActionKind::AttachSibling,
                        (Switching::Beside, _) => ActionKind::Start,
                        _ if instance.is_to_drain() => ActionKind::Drain,
                        (_, true) => ActionKind::Revert,
                        (_, false) => ActionKind::Activate,
                    };
                    self.run(instance, kind);
                }
                Err(in_the_way) => self.note(in_the_way),
            }
        }
    }

    fn is_ready_to_switch(&self, instance: &Instance) -> bool {
        let min_ready = self.state.spec.min_ready;
        instance.open.is_none()
            && !self.busy.contains(&instance.host)
            && (self.state.goes_back() || instance.stage == Stage::Staged)
            && (self.state.goes_back() || !instance.is_to_attach(self.now, min_ready))
    }

    /// The instances that are still to be switched: absent first, then broken, then by `order`, domain by domain, in
    /// inventory order. On the way back what the rollout has added goes last.
    fn find_candidates(&self) -> Vec<&'a Instance> {
        let goes_back = self.state.goes_back();
        let mut candidates: Vec<_> = self
            .state
            .instances
            .iter()
            .filter(|i| match goes_back {
                true => self.is_to_go_back(i),
                false => self.is_candidate(i),
            })
            .collect();
        if goes_back && candidates.iter().any(|i| !i.was_absent()) {
            candidates.retain(|i| !i.was_absent());
        }
        if !goes_back {
            let spares = self.find_spares(&candidates);
            candidates.extend(spares);
        }
        candidates.sort_by_key(|instance| {
            let urgency = match self.rules.expects(instance) {
                Expects::Absent => 0,
                Expects::Broken => 1,
                Expects::Running => 2,
            };
            // What was begun is finished first.
            (
                !instance.prepared,
                urgency,
                instance.spare,
                instance.rank,
                &instance.values,
            )
        });
        candidates
    }

    fn is_candidate(&self, instance: &Instance) -> bool {
        instance.selected
            && !instance.spare
            && instance.is_reachable()
            && match instance.stage {
                Stage::Pending | Stage::Staging | Stage::Staged => true,
                // It ran the target before, but does not work: it is started anew.
                Stage::Updated { started: None } => instance.is_broken(),
                _ => false,
            }
    }

    /// Whether this rollout has brought it to the target, and it can be brought back. A restarted instance runs what
    /// it ran before; and one that was added goes once nothing else is left to go.
    fn is_to_go_back(&self, instance: &Instance) -> bool {
        let is_last = instance.was_absent();
        instance.is_reachable()
            && !instance.spare
            && instance.before.is_some()
            && self.state.spec.kind != RolloutKind::Restart
            && matches!(instance.stage, Stage::Updated { started: Some(_) })
            && !(is_last && self.in_work().next().is_some())
    }

    /// Instances on which something is under way.
    pub(super) fn in_work(&self) -> impl Iterator<Item = &'a Instance> {
        self.state.instances.iter().filter(|i| i.is_in_work())
    }

    pub(super) fn run(&mut self, instance: &Instance, kind: ActionKind) {
        self.decision.actions.push(Action::Run {
            host: instance.host.clone(),
            kind,
        });
    }

    pub(super) fn wake(&mut self, at: Timestamp) {
        if at > self.now {
            self.decision.wake_at = Some(self.decision.wake_at.map_or(at, |before| before.min(at)));
        }
    }
}
