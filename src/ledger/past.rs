//! Which numbers and rows the rollouts of a past get that was read back. Knows no database.

use std::collections::BTreeSet;

use super::fault::Misuse;
use super::row::RolloutRow;
use crate::core::ids::RolloutId;
use crate::core::recall::{Recalled, RecalledRollout};
use crate::ports::Lease;

/// Each rollout with its row after all its events, in their order. They keep their numbers until one is taken by another
/// service's, or is not higher than the one before (rollouts are listed in the order of their numbers); from there on
/// they follow the highest of `taken`.
///
/// # Errors
/// When the events of a rollout do not fit together.
pub(crate) fn rows<'a>(
    lease: &Lease,
    past: &'a Recalled,
    taken: &BTreeSet<RolloutId>,
) -> Result<Vec<(RolloutRow, &'a RecalledRollout)>, Misuse> {
    let mut next = taken.last().map_or(1, |last| last.0 + 1);
    let (mut is_free, mut last) = (true, RolloutId(0));
    let mut rows = Vec::with_capacity(past.rollouts.len());
    for rollout in &past.rollouts {
        is_free = is_free && rollout.id > last && !taken.contains(&rollout.id);
        last = if is_free { rollout.id } else { RolloutId(next) };
        next = next.max(last.0 + 1);
        rows.push((row(lease, last, rollout)?, rollout));
    }
    Ok(rows)
}

fn row(lease: &Lease, id: RolloutId, rollout: &RecalledRollout) -> Result<RolloutRow, Misuse> {
    let ((at, first), rest) = rollout
        .events
        .split_first()
        .ok_or(Misuse("a rollout must begin with `rollout_started`"))?;
    let begun = RolloutRow::begun(id, lease, *at, first)?;
    rest.iter()
        .try_fold(begun, |row, (at, event)| row.after(lease, *at, event))
}
