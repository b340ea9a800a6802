//! The first events that a controller writes of a rollout: that it begins, or goes on.

use super::job::{Adapters, DriverError, Job, Resumed};
use crate::core::event::Event;
use crate::core::ids::RolloutId;
use crate::core::rollout::RolloutState;

/// Writes the first event of a new rollout.
pub(super) async fn begin(
    ports: &Adapters,
    job: &Job,
) -> Result<(RolloutId, RolloutState), DriverError> {
    let first = Event::RolloutStarted {
        spec: Box::new(job.spec.clone()),
        by: job.by.clone(),
        cause: job.cause.clone(),
    };
    let recorded = ports
        .ledger
        .begin_rollout(&job.lease, ports.clock.now(), &first)
        .await
        .map_err(DriverError::Begin)?;
    let rollout = recorded.rollout;
    let state = RolloutState::start(recorded.at, &recorded.event)
        .map_err(|source| DriverError::Illegal { rollout, source })?;
    ports.reporter.events(&[recorded], &state);
    Ok((rollout, state))
}

/// Folds what happened so far, and writes that it goes on.
pub(super) async fn resume(
    ports: &Adapters,
    job: &Job,
    resumed: Resumed,
) -> Result<(RolloutId, RolloutState), DriverError> {
    let rollout = resumed
        .events
        .first()
        .map_or(RolloutId(0), |first| first.rollout);
    let illegal = |source| DriverError::Illegal { rollout, source };
    let mut state = RolloutState::fold(&resumed.events).map_err(illegal)?;
    let mut events = vec![Event::RolloutResumed {
        by: job.by.clone(),
        retry: resumed.retry,
        window: resumed.window,
        unattended: resumed.unattended,
    }];
    events.extend(
        resumed
            .abort
            .then(|| Event::AbortRequested { by: job.by.clone() }),
    );
    let now = ports.clock.now();
    let events: Vec<_> = events.into_iter().map(|event| (now, event)).collect();
    let ledger = &ports.ledger;
    let recorded = ledger.append_all(&job.lease, rollout, &events).await;
    let recorded = recorded.map_err(DriverError::Begin)?;
    for (at, event) in &events {
        state.apply(*at, event).map_err(illegal)?;
    }
    ports.reporter.events(&recorded, &state);
    Ok((rollout, state))
}
