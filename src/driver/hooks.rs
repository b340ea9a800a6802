//! The operator's hooks: those of the rollout from the loop's side, and those of an instance as actions.

use super::execute::{Ending, Order};
use super::job::{Adapters, DriverError, Input, Job};
use super::run::Driver;
use crate::core::event::{ActionOutcome, Event};
use crate::core::hooks::{HookEnd, HookKind, HookResult, Rest};
use crate::core::ids::HostName;
use crate::ports::{Controller, HookCall};

impl Driver {
    /// Writes down that a hook of the rollout begins, and only then runs it.
    pub(super) async fn begin_hook(
        &mut self,
        hook: HookKind,
        rest: Option<Rest>,
    ) -> Result<(), DriverError> {
        self.record(Event::HookStarted { hook, rest }).await?;
        let spec = &self.state.spec;
        let call = HookCall {
            hook,
            rollout: self.controller.rollout,
            kind: spec.kind,
            from: spec.from.as_ref().map(ToString::to_string),
            to: spec.target.to_string(),
            rest,
            host: None,
            port: None,
        };
        let (ports, job) = (self.ports.clone(), self.job.clone());
        let sender = self.sender.clone();
        self.actions.spawn(async move {
            let end = run_hook(&ports, &job, &call).await;
            // When nobody listens any more, the rollout has stopped; the next controller runs it again.
            let _ = sender.send(Input::HookEnded { hook, end }).await;
        });
        Ok(())
    }

    pub(super) async fn hook_ended(
        &mut self,
        hook: HookKind,
        host: Option<HostName>,
        end: HookEnd,
    ) -> Result<(), DriverError> {
        self.record(Event::HookEnded { hook, host, end }).await
    }
}

/// Runs a hook of an instance.
pub(super) async fn instance_hook(
    ports: &Adapters,
    job: &Job,
    controller: &Controller,
    order: &Order,
) -> Ending {
    let hook = order.kind.hook().unwrap_or(HookKind::BeforeInstance);
    let call = HookCall {
        hook,
        rollout: controller.rollout,
        kind: job.spec.kind,
        from: order.before.revision().map(ToString::to_string),
        to: job.spec.target.to_string(),
        rest: None,
        host: Some(order.host.clone()),
        port: order.port,
    };
    let end = run_hook(ports, job, &call).await;
    let reason = || format!("its {hook} hook {}", end.in_words());
    let outcome = match (end.is_well(), hook) {
        (true, _) => ActionOutcome::Done { started: None },
        (false, HookKind::AfterInstance) => ActionOutcome::Failed { reason: reason() },
        (false, _) => ActionOutcome::Refused { reason: reason() },
    };
    Ending {
        hook: Some((hook, end)),
        ..outcome.into()
    }
}

/// Hooks know no epochs, so that the lease is made sure of just before: a controller that was displaced while it slept
/// runs nothing of anybody's.
async fn run_hook(ports: &Adapters, job: &Job, call: &HookCall) -> HookEnd {
    if let Err(error) = ports.ledger.renew(&job.lease).await {
        return HookEnd::not_run(format!("the lease could not be made sure of: {error}"));
    }
    match &ports.hooks {
        Some(hooks) => hooks.run(call).await,
        None => HookEnd {
            result: HookResult::Removed,
            ..HookEnd::not_run("")
        },
    }
}
