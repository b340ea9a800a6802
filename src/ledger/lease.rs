//! Who may have a service's lease, and whether one still has it. Knows no database.

use std::time::Duration;

use super::fault::Misuse;
use super::here::Here;
use crate::core::ids::{Epoch, ServiceName};
use crate::core::time::Timestamp;
use crate::ports::{Holder, Lease, LedgerError, LiveHolder};

/// How long a lease lasts without being renewed.
pub const LEASE: Duration = Duration::from_secs(15);

/// How often the controller renews its lease: two renewals may fail before it runs out.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);

/// The highest epoch that a host is believed to have seen: a host that lies cannot use the numbers up.
const HIGHEST_SEEN: Epoch = Epoch(i64::MAX / 2);

/// A service's lease as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaseRow {
    /// Grows with every holder, also over a gap without one.
    pub(crate) epoch: Epoch,
    /// Nothing once it was given back.
    pub(crate) holder: Option<Holder>,
    pub(crate) acquired_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

impl LeaseRow {
    /// The row when `holder` takes the lease after `current`.
    ///
    /// # Errors
    /// `LeaseHeld` when somebody else has it, lives and was not told to go.
    pub(crate) fn taken(
        current: Option<&Self>,
        service: &ServiceName,
        holder: &Holder,
        take_over: bool,
        here: &Here,
    ) -> Result<Self, LedgerError> {
        if let Some(current) = current
            && let Some(other) = current.live_holder(here)
            && !take_over
        {
            return Err(LedgerError::LeaseHeld {
                service: service.clone(),
                holder: in_words(other),
                since: rfc3339(current.acquired_at),
            });
        }
        let now = here.now();
        Ok(Self {
            epoch: Epoch(current.map_or(0, |row| row.epoch.0) + 1),
            holder: Some(holder.clone()),
            acquired_at: now,
            expires_at: now + LEASE,
        })
    }

    /// The row when its holder has renewed the lease. One that ran out is renewed too while nobody else took it.
    pub(crate) fn renewed(self, here: &Here) -> Self {
        Self {
            expires_at: here.now() + LEASE,
            ..self
        }
    }

    /// The row when its holder has given the lease back.
    pub(crate) fn given_back(self, here: &Here) -> Self {
        Self {
            holder: None,
            expires_at: here.now(),
            ..self
        }
    }

    /// The row with an epoch above its own and above `seen`, for the same holder.
    ///
    /// # Errors
    /// When `seen` is higher than controllers can have counted.
    pub(crate) fn raised(self, seen: Epoch, here: &Here) -> Result<Self, Misuse> {
        if seen > HIGHEST_SEEN {
            return Err(Misuse("no controller can have had an epoch that high"));
        }
        Ok(Self {
            epoch: Epoch(self.epoch.max(seen).0 + 1),
            ..self.renewed(here)
        })
    }

    /// Who has it and, as far as can be known, still works under it.
    pub(crate) fn live_holder(&self, here: &Here) -> Option<&Holder> {
        self.holder
            .as_ref()
            .filter(|holder| here.now() < self.expires_at && !here.is_dead(holder))
    }

    /// The same, as the port gives it.
    pub(crate) fn live(&self, here: &Here) -> Option<LiveHolder> {
        self.live_holder(here).map(|holder| LiveHolder {
            holder: holder.clone(),
            since: self.acquired_at,
        })
    }

    /// The fence: the row, if `lease` is the one that it shows.
    ///
    /// # Errors
    /// `LeaseLost` when somebody else took it since, or it was given back.
    pub(crate) fn fenced(current: Option<Self>, lease: &Lease) -> Result<Self, LedgerError> {
        let reason = match current {
            Some(row) if row.epoch == lease.epoch && row.holder.is_some() => return Ok(row),
            Some(row) if row.epoch == lease.epoch => "it was given back".to_owned(),
            Some(row) => match &row.holder {
                Some(other) => format!(
                    "{} has had it since {}",
                    in_words(other),
                    rfc3339(row.acquired_at)
                ),
                None => "another controller took it since, and gave it back".to_owned(),
            },
            None => "this ledger knows of none".to_owned(),
        };
        Err(LedgerError::LeaseLost {
            service: lease.service.clone(),
            reason,
        })
    }
}

fn in_words(holder: &Holder) -> String {
    format!("{} (pid {})", holder.by, holder.pid)
}

/// Whole seconds, in UTC.
fn rfc3339(at: Timestamp) -> String {
    let seconds = at.as_millis().div_euclid(1_000);
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| format!("{seconds} s after 1970"),
        |time| time.to_string(),
    )
}
