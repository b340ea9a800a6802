//! Actions from the loop's side: noted before they start, and when they have ended.

use super::execute::{Ending, Order};
use super::job::DriverError;
use super::run::Driver;
use crate::core::event::{ActionKind, ActionOutcome, Event, Runs};
use crate::core::health::Health;
use crate::core::ids::HostName;
use crate::core::rollout::{Expects, Instance, Stage};
use crate::ports::NewRevision;

use super::watches::Which;
use super::write::Start;

impl Driver {
    /// Notes that an action starts; it does once that is written.
    pub(super) fn begin(&mut self, host: HostName, action: ActionKind) -> Result<(), DriverError> {
        let Some(instance) = self.state.instance(&host).cloned() else {
            return Ok(());
        };
        self.record_with(Event::ActionStarted { host, action }, |driver| {
            let order = driver.order(&instance, action);
            Some(Start::Action(Box::new(order)))
        })
    }

    /// What the action needs to know, and who is watched meanwhile. `instance` is what was decided on.
    fn order(&mut self, instance: &Instance, kind: ActionKind) -> Order {
        let host = &instance.host;
        let is_of_other = matches!(kind, ActionKind::DrainSibling | ActionKind::AttachSibling);
        let meant = match &instance.sibling {
            Some(sibling) if is_of_other => sibling.runs.as_ref(),
            _ => instance.runs.as_ref(),
        };
        let before = match kind {
            // What is there, whoever has started it.
            ActionKind::Stop => instance.runs.clone(),
            _ => instance.before.clone(),
        };
        let subject = self.subject(instance);
        let watched = self.watches.get(&(host.clone(), Which::Main));
        let last_answer = watched.and_then(|watched| watched.last_answer.clone());
        if matches!(
            kind,
            ActionKind::Activate | ActionKind::Revert | ActionKind::Stop
        ) {
            self.stop_watching(host, Which::Main);
        }
        if kind == ActionKind::Start {
            self.watch_main_as_other(host);
        }
        let traffic = instance.traffic.as_ref();
        Order {
            kind,
            before: before.unwrap_or(Runs::Nothing),
            started: instance.started().cloned(),
            expects: self
                .expected(instance, kind)
                .map(|expects| (expects, subject)),
            works: instance.health.is_some_and(Health::is_ready),
            kept_out: traffic.map(|one| one.kept_out.clone()).unwrap_or_default(),
            pair: self.pair(kind, instance),
            port: self.ports_of.of(host, meant),
            // Known once the event is written.
            event_hash: String::new(),
            last_answer,
            host: host.clone(),
        }
    }

    /// What the instance that is taken down has to be; nothing where that was looked at before, or nothing is.
    fn expected(&self, instance: &Instance, kind: ActionKind) -> Option<Expects> {
        // Out of traffic for it: the fresh look was taken before that.
        let was_drained = matches!(instance.stage, Stage::Draining { .. });
        match self.state.instance(&instance.host).map(|now| &now.stage) {
            Some(Stage::Activating { .. }) if was_drained || kind == ActionKind::Start => None,
            Some(
                Stage::Activating { expects, .. }
                | Stage::Draining {
                    expects,
                    started: None,
                },
            ) => Some(*expects),
            _ => None,
        }
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
                kept: false,
            };
            let ports = self.ports.clone();
            self.insist(async || ports.ledger.record_revision(&adopted).await)
                .await?;
        }
        if ending.sessions_left > 0 {
            let (host, sessions) = (host.clone(), ending.sessions_left);
            self.record(Event::DrainCutShort { host, sessions })?;
        }
        if let Some((hook, end)) = ending.hook {
            self.hook_ended(hook, Some(host.clone()), end)?;
        }
        let declined = matches!(
            ending.outcome,
            ActionOutcome::Declined { .. } | ActionOutcome::Refused { .. }
        );
        self.record(Event::ActionEnded {
            host: host.clone(),
            action,
            outcome: ending.outcome,
        })?;
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
