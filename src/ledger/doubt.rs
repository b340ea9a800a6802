//! What may have been written although nobody said so: the connection was lost while it was committed.
//!
//! Whoever writes the same once more is told what is there already. Where the rollout ended before tells it: under a lease
//! that still holds nobody else writes its events.

use std::sync::{Mutex, PoisonError};

use crate::core::ids::RolloutId;
use crate::ports::{Lease, LedgerError};

/// The last write, when it is not known whether it was done.
#[derive(Debug, Default)]
pub(crate) struct Doubts(Mutex<Doubt>);

/// What it was.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Doubt {
    #[default]
    None,
    /// A rollout may have been begun under that lease.
    Begin(Lease),
    /// Events may have been appended.
    Append {
        rollout: RolloutId,
        /// The event that was its last before.
        after: u64,
    },
}

impl Doubts {
    /// The doubt, which the next write ends or renews.
    pub(crate) fn take(&self) -> Doubt {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the doubt when that is how the write ended.
    pub(crate) fn keep<T>(&self, ended: &Result<T, LedgerError>, doubt: Doubt) {
        if matches!(ended, Err(LedgerError::Away { .. })) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = doubt;
        }
    }
}

impl Doubt {
    /// Whether a rollout may have been begun under the lease.
    pub(crate) fn is_about_begin(&self, lease: &Lease) -> bool {
        matches!(self, Self::Begin(other) if other == lease)
    }

    /// After which event of the rollout some may have been appended.
    pub(crate) fn after(&self, rollout: RolloutId) -> Option<u64> {
        match self {
            Self::Append { rollout: of, after } if *of == rollout => Some(*after),
            _ => None,
        }
    }
}
