//! The operator's hooks: those of the rollout from the loop's side, and those of an instance as actions.

use super::execute::{Ending, Order};
use super::job::{Adapters, DriverError, Job};
use super::run::Driver;
use super::write::Start;
use crate::core::event::{ActionOutcome, Event};
use crate::core::hooks::{HookEnd, HookKind, HookResult, Rest};
use crate::core::ids::HostName;
use crate::ports::{Controller, HookCall};

impl Driver {
    /// Notes that a hook of the rollout begins; it runs once that is written.
    pub(super) fn begin_hook(
        &mut self,
        hook: HookKind,
        rest: Option<Rest>,
    ) -> Result<(), DriverError> {
        self.record_with(Event::HookStarted { hook, rest }, |driver| {
            let spec = &driver.state.spec;
            Some(Start::Hook(Box::new(HookCall {
                hook,
                rollout: driver.controller.rollout,
                kind: spec.kind,
                from: spec.from.as_ref().map(ToString::to_string),
                to: spec.target.to_string(),
                rest,
                host: None,
                port: None,
            })))
        })
    }

    pub(super) fn hook_ended(
        &mut self,
        hook: HookKind,
        host: Option<HostName>,
        end: HookEnd,
    ) -> Result<(), DriverError> {
        self.record(Event::HookEnded { hook, host, end })
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
pub(super) async fn run_hook(ports: &Adapters, job: &Job, call: &HookCall) -> HookEnd {
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
