//! A ledger that is away for a while: a server that is restarted, a line that is down.
//!
//! Nothing new is started meanwhile, since the loop waits for its write; what is in flight goes on and waits to be heard.
//! The lease may run out: whoever takes it then has it, and the first write afterwards says so.

use std::time::Duration;

use tokio::time::Instant;

use super::job::DriverError;
use super::run::Driver;
use super::stop::Stop;
use crate::ports::LedgerError;

/// How long the ledger is waited for. A restart or a change to a standby takes less; a host that was switched meanwhile and
/// is not confirmed in time goes back by itself, so that waiting longer would save little.
pub(super) const AWAY: Duration = Duration::from_secs(60);

/// Between the first attempts; then twice as long each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Inputs that are put aside: those of some minutes in a large fleet.
const MOST_ASIDE: usize = 200_000;

/// Between two attempts at the most.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

impl Driver {
    /// Asks the ledger until it answers, for as long as that makes sense. Signals are heard between two attempts.
    pub(super) async fn insist<T>(
        &mut self,
        ask: impl AsyncFn() -> Result<T, LedgerError>,
    ) -> Result<T, DriverError> {
        let rollout = self.controller.rollout;
        let begun = Instant::now();
        let mut wait = FIRST_WAIT;
        loop {
            let source = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(source) => source,
            };
            let is_away = matches!(source, LedgerError::Away { .. });
            if !is_away || self.is_leaving || begun.elapsed() >= AWAY {
                return Err(DriverError::Ledger { rollout, source });
            }
            self.was_away = true;
            if wait == FIRST_WAIT {
                tracing::warn!("{source}; nothing new is started until it answers");
            }
            self.rest(wait).await?;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Waits, unless somebody asks to stop at once. What else is asked is done when the ledger is back. What comes in is put
    /// aside: behind a channel that is full, the look that says that an instance was ready in time would come too late.
    async fn rest(&mut self, wait: Duration) -> Result<(), DriverError> {
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                biased;
                Some(stop) = self.stop.recv() => match stop {
                    Stop::Pause { .. } => self.heard = Some(stop),
                    Stop::Now => {
                        let rollout = self.controller.rollout;
                        return Err(DriverError::Interrupted { rollout });
                    }
                },
                () = tokio::time::sleep_until(until) => return Ok(()),
                Some(input) = self.receiver.recv(), if self.aside.len() < MOST_ASIDE => {
                    self.aside.push_back(input);
                }
            }
        }
    }
}
