//! Events on their way to the ledger. All of one turn of the loop are written together, and only then is anything started
//! that was decided in it: a transaction for each event would cost more than everything else.

use super::execute::{Order, execute};
use super::hooks::run_hook;
use super::job::{DriverError, Input};
use super::run::Driver;
use crate::core::event::{ActionKind, ActionOutcome, Event};
use crate::core::time::Timestamp;
use crate::ports::HookCall;

/// Events in one transaction: whoever else writes waits for it, a tenth of a second at the most.
const WRITTEN_AT_ONCE: usize = 1000;

/// An event that was applied and is not in the ledger yet.
pub(super) struct Unwritten {
    at: Timestamp,
    event: Event,
    start: Option<Start>,
}

/// What an event says was started: that is done once the event is in the ledger.
pub(super) enum Start {
    /// An action on a host.
    Action(Box<Order>),
    /// A hook of the rollout.
    Hook(Box<HookCall>),
}

/// Whether it takes an instance away that may serve, on the strength of how the others were seen to be.
fn takes_down(action: ActionKind) -> bool {
    matches!(action, ActionKind::Drain | ActionKind::Activate)
}

impl Driver {
    /// Takes an event; it is written at the end of the turn.
    pub(super) fn record(&mut self, event: Event) -> Result<(), DriverError> {
        self.record_with(event, |_| None)
    }

    /// The same of an event that says that something is started: what, is known from the state that follows from it.
    pub(super) fn record_with(
        &mut self,
        event: Event,
        start: impl FnOnce(&mut Self) -> Option<Start>,
    ) -> Result<(), DriverError> {
        let (rollout, at) = (self.controller.rollout, self.ports.clock.now());
        self.state
            .apply(at, &event)
            .map_err(|source| DriverError::Illegal { rollout, source })?;
        let start = start(self);
        self.unwritten.push(Unwritten { at, event, start });
        Ok(())
    }

    /// Writes what was taken, shows it, and starts what it says is started. If the ledger cannot be written, nothing is.
    pub(super) async fn write(&mut self) -> Result<(), DriverError> {
        let rollout = self.controller.rollout;
        let mut left = std::mem::take(&mut self.unwritten).into_iter();
        // Whatever was waited for before, what is written here was decided after it.
        self.was_away = false;
        while left.len() > 0 {
            let (events, starts): (Vec<_>, Vec<_>) = left
                .by_ref()
                .take(WRITTEN_AT_ONCE)
                .map(|one| ((one.at, one.event), one.start))
                .unzip();
            let (ports, job) = (self.ports.clone(), self.job.clone());
            let (ledger, lease) = (&ports.ledger, &job.lease);
            let recorded = self
                .insist(async || ledger.append_all(lease, rollout, &events).await)
                .await?;
            self.ports.reporter.events(&recorded, &self.state);
            for (recorded, start) in recorded.into_iter().zip(starts) {
                match start {
                    Some(Start::Action(order)) if self.was_away && takes_down(order.kind) => {
                        self.decline(&order);
                    }
                    Some(start) => self.start(start, recorded.hash),
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// What was seen before the ledger went away is too old for anything to be taken down by it: it is decided anew.
    fn decline(&mut self, order: &Order) {
        let reason = "the ledger was away after it was decided".to_owned();
        let ended = Input::Ended {
            host: order.host.clone(),
            action: order.kind,
            ending: Box::new(ActionOutcome::Declined { reason }.into()),
        };
        let sender = self.sender.clone();
        self.actions.spawn(async move {
            let _ = sender.send(ended).await;
        });
    }

    /// When nobody listens any more to how it ended, the rollout has stopped: the next controller looks at the host
    /// itself, and runs a hook again.
    fn start(&mut self, start: Start, event_hash: String) {
        let (ports, job, sender) = (self.ports.clone(), self.job.clone(), self.sender.clone());
        match start {
            Start::Action(order) => {
                let order = Order {
                    event_hash,
                    ..*order
                };
                let controller = self.controller.clone();
                self.actions.spawn(async move {
                    let (host, action) = (order.host.clone(), order.kind);
                    let ending = Box::new(execute(ports, job, controller, order).await);
                    let ended = Input::Ended {
                        host,
                        action,
                        ending,
                    };
                    let _ = sender.send(ended).await;
                });
            }
            Start::Hook(call) => {
                self.actions.spawn(async move {
                    let end = run_hook(&ports, &job, &call).await;
                    let hook = call.hook;
                    let _ = sender.send(Input::HookEnded { hook, end }).await;
                });
            }
        }
    }
}
