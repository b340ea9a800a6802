//! Side by side: how a host starts one beside another, stops one, and goes back.

use rand::Rng;

use rollctl::core::event::ActionOutcome;

use crate::host::Busy;
use crate::order::{Coming, Order};
use crate::world::{World, done};

impl World {
    /// There: guarded, and what runs stays what the host runs. Back: it is what the host runs from then on.
    pub(crate) fn start_beside(&mut self, order: Order, fails: bool) {
        let window = self.window();
        let host = &mut self.hosts[order.host];
        let reason = || "as it must not be".to_owned();
        if order.goes_back {
            if host.runs == order.to && host.has_beside(order.from) && host.up {
                let outcome = done(host);
                return self.answer(order, outcome);
            }
            if fails || host.runs != order.from {
                let reason = reason();
                return self.answer(order, ActionOutcome::Failed { reason });
            }
            return self.begin_beside(order);
        }
        let room = host.other.is_none_or(|other| other.runs == order.to);
        if host.runs != order.from || !room || host.begun.is_some() || fails {
            let reason = reason();
            return self.answer(order, ActionOutcome::Refused { reason });
        }
        self.arm(&order, window, true);
        self.begin_beside(order);
    }

    fn begin_beside(&mut self, mut order: Order) {
        let takes = self.rng.random_range(100..4_000);
        let host = &mut self.hosts[order.host];
        host.busy = Some(Busy {
            until: self.now + takes,
            before: host.runs,
            beside: true,
        });
        order.boot = host.boot;
        self.come(self.now + takes, Coming::Finish(order));
    }

    pub(crate) fn stop_beside(&mut self, order: Order) {
        let host = &mut self.hosts[order.host];
        let outcome = match host.other {
            Some(other) if other.runs != order.of => ActionOutcome::Failed {
                reason: "another one runs there".to_owned(),
            },
            _ => {
                host.other = None;
                host.armed = host.armed.filter(|armed| !armed.beside);
                ActionOutcome::Done { started: None }
            }
        };
        self.answer(order, outcome);
    }

    /// To go back while what ran before still runs beside: what is new is stopped, and nothing else.
    pub(crate) fn revert_beside(&mut self, order: &Order, now: i64) -> bool {
        let host = &mut self.hosts[order.host];
        if host.runs == order.from && host.has_beside(order.to) {
            host.exchange();
        }
        if host.runs != order.to || host.begun.is_some() {
            return false;
        }
        if host.has_beside(order.from) {
            host.other = None;
        }
        if !host.up {
            // A boot starts only what was confirmed last.
            host.start(order.to, now);
        }
        host.armed = host.armed.filter(|armed| !armed.beside);
        true
    }
}
