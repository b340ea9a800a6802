//! Whether a rollout comes to an end, or to rest.

use super::decide::Draft;
use super::decision::Verdict;
use super::event::{Outcome, PauseCause};
use super::health::Health;
use super::rollout::{Instance, Stage};
use super::spec::RolloutKind;
use super::window::Windowed;

impl Draft<'_> {
    /// Pauses once the service's window has closed, if anything is left to begin. The way back is never held up.
    pub(super) fn leave_window(&mut self) -> bool {
        let Some(Windowed::Within {
            closes_at,
            opens_at,
        }) = self.state.window
        else {
            return false;
        };
        let is_way_back = self.state.goes_back() || self.state.spec.kind == RolloutKind::Rollback;
        if is_way_back || self.candidates.is_empty() || !self.may_start() {
            return false;
        }
        if self.now < closes_at {
            self.wake(closes_at);
            return false;
        }
        self.decision.verdict = Some(Verdict::Pause(PauseCause::WindowClosed { opens_at }));
        true
    }

    /// Only once nothing is under way any more.
    pub(super) fn judge(&mut self) {
        if !self.decision.actions.is_empty() || self.in_work().next().is_some() {
            return;
        }
        // What we took out of traffic is waited for as long as it may still work: it is to get its traffic again.
        if !self.is_stalled() && self.has_hope_of(Instance::is_taken_out) {
            return;
        }
        let state = self.state;
        let has_broken = state
            .instances
            .iter()
            .any(|i| matches!(i.stage, Stage::Broken { .. }));
        let may_wait = self.has_hope() && !self.is_stalled();
        let end = |outcome| Some(Verdict::End(outcome));
        let verdict = match () {
            () if state.abort.is_some() => end(Outcome::Aborted),
            () if has_broken && !state.goes_back() => end(Outcome::Failed),
            () if state.hooks.is_refused() && !state.goes_back() => end(Outcome::Refused),
            () if state.pause.is_some() => Some(Verdict::Paused),
            () if state.goes_back() && !self.candidates.is_empty() && may_wait => None,
            () if state.goes_back() && self.is_back() => end(Outcome::RolledBack),
            () if state.goes_back() => end(Outcome::Failed),
            () if may_wait || self.waits_at_gate() => None,
            () if self.candidates.is_empty() && self.reached_any() => end(Outcome::Completed),
            () => end(Outcome::StoodStill),
        };
        // What spare hosts carry goes last.
        self.decision.verdict = match verdict {
            Some(Verdict::End(_)) if self.retire() => None,
            // Something new is left that may not go.
            Some(Verdict::End(Outcome::RolledBack)) if self.is_any_surplus() => {
                end(Outcome::Failed)
            }
            verdict => verdict,
        };
    }

    /// Whether nothing that this rollout has brought to the target still runs it.
    fn is_back(&self) -> bool {
        let is_left = |i: &Instance| {
            i.is_given_up()
                || (self.state.spec.kind != RolloutKind::Restart
                    && !i.spare
                    && matches!(i.stage, Stage::Updated { started: Some(_) }))
        };
        !self.state.instances.iter().any(is_left)
    }

    /// Whether a gate was reached and is not open yet: it bakes, or somebody has to approve. One instance that is not
    /// ready for a moment is no reason to leave it, however long it has baked.
    fn waits_at_gate(&self) -> bool {
        self.state.gate.reached_at.is_some()
            && self
                .state
                .current_gate()
                .is_some_and(|gate| self.is_gate_reached(gate.to) || self.has_hope())
    }

    /// Whether any selected host runs the target; else there is nothing that was completed.
    fn reached_any(&self) -> bool {
        self.state
            .instances
            .iter()
            .any(|i| i.selected && !i.spare && matches!(i.stage, Stage::Updated { .. }))
    }

    /// Whether waiting has a sense: some instance that is in the way may become available with nothing done.
    /// When nothing is left to switch, only those that run the target count.
    fn has_hope(&self) -> bool {
        let left = !self.candidates.is_empty();
        self.has_hope_of(|i| {
            left || (i.selected && !i.spare && matches!(i.stage, Stage::Updated { .. }))
        })
    }

    /// Whether one of these may become available with nothing done.
    pub(super) fn has_hope_of(&self, counts: impl Fn(&Instance) -> bool) -> bool {
        let left = !self.candidates.is_empty();
        let (now, min_ready) = (self.now, self.state.spec.min_ready);
        self.state.instances.iter().any(|i| {
            counts(i)
                && !i.is_in_hand()
                && !i.is_absent()
                && match i.health {
                    Some(Health::Ready { .. }) => {
                        (!i.is_settled(now, min_ready) && !i.unproven)
                            || (left && i.fresh_until < now)
                    }
                    Some(Health::NotReady { .. }) => {
                        !i.is_broken() || matches!(i.stage, Stage::Updated { started: Some(_) })
                    }
                    Some(Health::Unknown) => i.is_reachable(),
                    Some(Health::Restarted) | None => false,
                }
        })
    }
}
