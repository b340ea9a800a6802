//! Actions from the loop's side: written down before they start, and when they have ended.

use super::execute::{Ending, Order, execute};
use super::job::{DriverError, Input};
use super::run::Driver;
use crate::core::event::{ActionKind, ActionOutcome, Event, Runs};
use crate::core::health::Health;
use crate::core::ids::HostName;
use crate::core::rollout::Stage;
use crate::ports::NewRevision;

use super::watches::Which;

impl Driver {
    /// Writes down that an action starts, and only then starts it.
    pub(super) async fn begin(
        &mut self,
        host: HostName,
        kind: ActionKind,
    ) -> Result<(), DriverError> {
        let Some(instance) = self.state.instance(&host).cloned() else {
            return Ok(());
        };
        let instance = &instance;
        let is_of_other = matches!(kind, ActionKind::DrainSibling | ActionKind::AttachSibling);
        let meant = match &instance.sibling {
            Some(sibling) if is_of_other => sibling.runs.as_ref(),
            _ => instance.runs.as_ref(),
        };
        let port = self.ports_of.of(&host, meant);
        let started = instance.started().cloned();
        let before = match kind {
            // What is there, whoever has started it.
            ActionKind::Stop => instance.runs.clone(),
            _ => instance.before.clone(),
        };
        let before = before.unwrap_or(Runs::Nothing);
        let subject = self.subject(instance);
        let was_drained = matches!(instance.stage, Stage::Draining { .. });
        let works = instance.health.is_some_and(Health::is_ready);
        let kept_out = instance
            .traffic
            .as_ref()
            .map(|traffic| traffic.kept_out.clone())
            .unwrap_or_default();
        let recorded = self
            .record_event(Event::ActionStarted {
                host: host.clone(),
                action: kind,
            })
            .await?;
        let pair = self.pair(kind, instance);
        let last_answer = self
            .watches
            .get(&(host.clone(), Which::Main))
            .and_then(|watched| watched.last_answer.clone());
        if matches!(
            kind,
            ActionKind::Activate | ActionKind::Revert | ActionKind::Stop
        ) {
            self.stop_watching(&host, Which::Main);
        }
        if kind == ActionKind::Start {
            self.watch_main_as_other(&host);
        }
        let expects = match self.state.instance(&host).map(|instance| &instance.stage) {
            // Out of traffic for it: the fresh look was taken before that.
            Some(Stage::Activating { .. }) if was_drained || kind == ActionKind::Start => None,
            Some(
                Stage::Activating { expects, .. }
                | Stage::Draining {
                    expects,
                    started: None,
                },
            ) => Some((*expects, subject)),
            _ => None,
        };
        let order = Order {
            host,
            kind,
            before,
            started,
            expects,
            works,
            kept_out,
            pair,
            port,
            event_hash: recorded,
            last_answer,
        };
        let (ports, job, controller) = (
            self.ports.clone(),
            self.job.clone(),
            self.controller.clone(),
        );
        let sender = self.sender.clone();
        self.actions.spawn(async move {
            let (host, action) = (order.host.clone(), order.kind);
            let ending = Box::new(execute(ports, job, controller, order).await);
            // When nobody listens any more, the rollout has stopped; the next controller looks at the host itself.
            let _ = sender
                .send(Input::Ended {
                    host,
                    action,
                    ending,
                })
                .await;
        });
        Ok(())
    }

    pub(super) async fn ended(
        &mut self,
        host: HostName,
        action: ActionKind,
        ending: Ending,
    ) -> Result<(), DriverError> {
        if let Some(manifest) = ending.adopted {
            let adopted = NewRevision {
                service: self.state.spec.service.clone(),
                name: manifest.names.first().cloned(),
                digest: manifest.digest,
                at: manifest.created_at,
                by: self.job.by.clone(),
                cause: manifest.cause,
                adopted: manifest.adopted,
                signers: Vec::new(),
            };
            let rollout = self.controller.rollout;
            let recorded = self.ports.ledger.record_revision(&adopted).await;
            recorded.map_err(|source| DriverError::Ledger { rollout, source })?;
        }
        if ending.sessions_left > 0 {
            let (host, sessions) = (host.clone(), ending.sessions_left);
            self.record(Event::DrainCutShort { host, sessions }).await?;
        }
        if let Some((hook, end)) = ending.hook {
            self.hook_ended(hook, Some(host.clone()), end).await?;
        }
        let declined = matches!(
            ending.outcome,
            ActionOutcome::Declined { .. } | ActionOutcome::Refused { .. }
        );
        self.record(Event::ActionEnded {
            host: host.clone(),
            action,
            outcome: ending.outcome,
        })
        .await?;
        match action {
            ActionKind::Start if declined => self.watch_other_as_main(&host),
            ActionKind::Start => self.watch_started(&host),
            ActionKind::Revert if self.takes_the_other(&host) => self.watch_other_as_main(&host),
            ActionKind::StopSibling if self.takes_the_other(&host) => {
                self.stop_watching(&host, Which::Other);
            }
            ActionKind::Activate if declined => self.watch_old(&host),
            ActionKind::Activate | ActionKind::Revert => self.watch_started(&host),
            ActionKind::Confirm => self.watch_confirmed(&host),
            ActionKind::Stage
            | ActionKind::BeforeInstance
            | ActionKind::BeforeStart
            | ActionKind::Drain
            | ActionKind::Attach
            | ActionKind::AfterInstance
            | ActionKind::Stop
            | ActionKind::DrainSibling
            | ActionKind::AttachSibling
            | ActionKind::StopSibling
            | ActionKind::Prune => {}
        }
        Ok(())
    }
}
