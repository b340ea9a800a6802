//! The lease, renewed while the rollout is at work.

use std::time::Duration;

use super::job::Input;
use super::patience::AWAY;
use super::run::Driver;
use crate::ports::LedgerError;

/// How often the lease is renewed (contract, section 5: it lasts 15 s).
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// How long after a renewal nobody else can have the lease, with some room.
const LEASE_HOLDS: Duration = Duration::from_secs(12);

impl Driver {
    pub(super) fn keep_lease(&mut self) {
        let (ports, job, sender) = (self.ports.clone(), self.job.clone(), self.sender.clone());
        self.watchers.spawn(async move {
            let mut renewed = tokio::time::Instant::now();
            let mut wait = RENEW_EVERY;
            loop {
                tokio::time::sleep(wait).await;
                wait = match ports.ledger.renew(&job.lease).await {
                    Ok(()) => {
                        renewed = tokio::time::Instant::now();
                        RENEW_EVERY
                    }
                    // A ledger that fails is asked again while the lease still holds.
                    Err(LedgerError::Database { .. }) if renewed.elapsed() < LEASE_HOLDS => {
                        Duration::from_secs(1)
                    }
                    // One that is away gives the lease to nobody else, or says so when it is back.
                    Err(LedgerError::Away { .. }) if renewed.elapsed() < AWAY => {
                        Duration::from_secs(1)
                    }
                    Err(error) => {
                        let _ = sender.send(Input::LeaseLost(error)).await;
                        return;
                    }
                };
            }
        });
    }
}
