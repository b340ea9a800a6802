//! Why nothing more starts: for `status`, the display, and whoever reads a test that does not end.

use super::decide::Draft;
use super::decision::WaitReason;
use super::health::Health;
use super::ids::HostName;
use super::rollout::{Instance, Stage};
use super::rules::InTheWay;

impl Draft<'_> {
    /// Says what the rollout waits for.
    pub(super) fn explain(&mut self) {
        let state = self.state;
        if self.decision.verdict.is_none() {
            let asked = [
                (state.abort.is_some(), WaitReason::Aborting),
                (state.pause.is_some(), WaitReason::Pausing),
                (state.goes_back(), WaitReason::GoingBack),
            ];
            let told = asked.into_iter().filter(|(is_so, _)| *is_so).take(1);
            self.decision
                .waiting_on
                .extend(told.map(|(_, reason)| reason));
            self.explain_gate();
        }
        for instance in &state.instances {
            if let Some(reason) = self.explain_one(instance) {
                self.decision.waiting_on.push(reason);
            }
        }
    }

    fn explain_gate(&mut self) {
        let (Some(gate), Some(at)) = (self.state.current_gate(), self.state.gate.reached_at) else {
            return;
        };
        let (step, until) = (self.state.gate.step, at + gate.bake);
        let reason = match () {
            () if until > self.now => WaitReason::Baking { step, until },
            () if gate.approve && !self.state.gate.approved => WaitReason::Approval { step },
            () => return,
        };
        self.decision
            .waiting_on
            .retain(|one| !matches!(one, WaitReason::Gate { .. }));
        self.decision.waiting_on.push(reason);
    }

    fn explain_one(&mut self, instance: &Instance) -> Option<WaitReason> {
        let spec = &self.state.spec;
        let host = || instance.host.clone();
        match (&instance.stage, instance.open, instance.health) {
            (_, Some(action), _) => Some(WaitReason::Working {
                host: host(),
                action,
            }),
            (Stage::Settling { since, .. } | Stage::Recovering { since, .. }, _, health) => {
                let until = match health {
                    Some(Health::Ready { since }) => Some(since + spec.min_ready),
                    _ => None,
                };
                Some(WaitReason::Settling {
                    host: host(),
                    until,
                    deadline: *since + spec.deadline,
                })
            }
            (_, _, Some(Health::Ready { since })) if !instance.is_in_hand() => {
                let until = since + spec.min_ready;
                if until <= self.now {
                    return None;
                }
                self.wake(until);
                Some(WaitReason::MinReady {
                    host: host(),
                    until,
                })
            }
            _ => None,
        }
    }

    /// Notes that the gate is in the way.
    pub(super) fn note_gate(&mut self) {
        let Some(gate) = self.state.current_gate() else {
            return;
        };
        let (step, to) = (self.state.gate.step, gate.to);
        self.note_once(
            |one| matches!(one, WaitReason::Gate { .. }),
            |draft| {
                Some(WaitReason::Gate {
                    step,
                    to,
                    available: draft.counts.new_and_available,
                })
            },
        );
    }

    /// Notes what is in the way of a switch. Many instances have the same in their way: it is put into words once.
    pub(super) fn note(&mut self, in_the_way: InTheWay) {
        let budget = self.state.spec.budget;
        match in_the_way {
            InTheWay::InFlight => self.note_once(
                |one| matches!(one, WaitReason::InFlight { .. }),
                |draft| {
                    Some(WaitReason::InFlight {
                        in_flight: draft.counts.in_flight,
                        limit: draft.counts.flight_limit(budget.max_unavailable),
                    })
                },
            ),
            InTheWay::Room => self.note_once(
                |one| matches!(one, WaitReason::NoRoom { .. }),
                |draft| {
                    Some(WaitReason::NoRoom {
                        running: draft.counts.running,
                        max_total: budget.max_total(),
                    })
                },
            ),
            InTheWay::Availability => self.note_once(
                |one| matches!(one, WaitReason::NoHeadroom { .. }),
                |draft| {
                    Some(WaitReason::NoHeadroom {
                        available: draft.counts.available,
                        min_available: budget.min_available(),
                        unavailable: draft.hosts(|draft, i| !draft.is_available(i)),
                    })
                },
            ),
            InTheWay::Staleness => self.note_once(
                |one| matches!(one, WaitReason::Stale { .. }),
                |draft| {
                    Some(WaitReason::Stale {
                        hosts: draft
                            .hosts(|draft, i| draft.is_available(i) && i.fresh_until < draft.now),
                    })
                },
            ),
            InTheWay::OtherValues { domain } => self.note_other_values(domain),
            InTheWay::Inside { domain, value } => self.note_inside(domain, value),
        }
    }

    fn note_other_values(&mut self, domain: usize) {
        let Some(spec) = self.state.spec.domains.get(domain) else {
            return;
        };
        self.note_once(
            |one| matches!(one, WaitReason::OtherValues { label, .. } if *label == spec.label),
            |draft| {
                let counts = draft.counts.domains.get(domain)?;
                let in_work = counts
                    .values
                    .iter()
                    .zip(&spec.values)
                    .filter(|(count, _)| count.in_work > 0)
                    .map(|(_, value)| value.value.clone())
                    .collect();
                Some(WaitReason::OtherValues {
                    label: spec.label.clone(),
                    in_work,
                    at_once: spec.at_once?,
                })
            },
        );
    }

    fn note_inside(&mut self, domain: usize, place: usize) {
        let Some(spec) = self.state.spec.domains.get(domain) else {
            return;
        };
        let Some(inside) = spec.values.get(place) else {
            return;
        };
        self.note_once(
            |one| {
                matches!(one, WaitReason::NoHeadroomInside { label, value, .. }
                    if *label == spec.label && *value == inside.value)
            },
            |draft| {
                let counts = draft.counts.domains.get(domain)?.values.get(place)?;
                Some(WaitReason::NoHeadroomInside {
                    label: spec.label.clone(),
                    value: inside.value.clone(),
                    available: counts.available,
                    min_available: inside.desired.saturating_sub(inside.max_unavailable?),
                })
            },
        );
    }

    fn note_once(
        &mut self,
        is_it: impl Fn(&WaitReason) -> bool,
        reason: impl FnOnce(&Self) -> Option<WaitReason>,
    ) {
        if !self.decision.waiting_on.iter().any(is_it) {
            let reason = reason(self);
            self.decision.waiting_on.extend(reason);
        }
    }

    pub(super) fn is_available(&self, instance: &Instance) -> bool {
        instance.is_available(self.now, self.state.spec.min_ready)
    }

    fn hosts(&self, pick: impl Fn(&Self, &Instance) -> bool) -> Vec<HostName> {
        self.state
            .instances
            .iter()
            .filter(|i| pick(self, i))
            .map(|i| i.host.clone())
            .collect()
    }
}
