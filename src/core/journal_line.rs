//! A line of a host's journal: a change that was made there.

use serde::{Deserialize, Serialize};

use super::ids::{Epoch, RevisionName, RolloutId};
use super::time::Timestamp;

/// One line of a host's journal: a change that was made there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalLine {
    /// When, by the host's clock, to the second.
    pub at: Timestamp,
    /// In which rollout, of the ledger that managed the host then.
    pub rollout: RolloutId,
    /// The controller's epoch.
    pub epoch: Epoch,
    /// `user@machine`.
    pub by: String,
    /// From which revision; nothing: nothing ran.
    pub from: Option<RevisionName>,
    /// To which; nothing: it was stopped.
    pub to: Option<RevisionName>,
    /// `switched`, `confirmed`, `failed`, `put back by ...`, `stopped`, `taken over from ...`.
    pub outcome: String,
    /// The hash of the event that decided it; nothing: no event did.
    pub hash: Option<String>,
}

/// No ledger counts further; what does is made up, and would leave the numbers that follow no room.
pub(super) const HIGHEST: i64 = i32::MAX as i64;

/// How a line begins by which another ledger became the owner.
pub const TAKEN_OVER: &str = "taken over";

impl JournalLine {
    /// Reads a line as it stands in the journal: eight columns, tabs between them.
    ///
    /// # Errors
    /// What is odd about it.
    pub fn parse(
        text: &str,
        time: impl Fn(&str) -> Option<Timestamp>,
    ) -> Result<Self, &'static str> {
        let columns: Vec<&str> = text.split('\t').collect();
        let [at, rollout, epoch, by, from, to, outcome, hash] = columns[..] else {
            return Err("it does not have eight columns");
        };
        let rollout = rollout
            .parse()
            .ok()
            .filter(|number| (1..=HIGHEST).contains(number))
            .ok_or("its rollout is no number")?;
        Ok(Self {
            at: time(at).ok_or("its time cannot be read")?,
            rollout: RolloutId(rollout),
            epoch: Epoch(epoch.parse().map_err(|_| "its epoch is no number")?),
            by: by.to_owned(),
            from: name(from)?,
            to: name(to)?,
            outcome: outcome.to_owned(),
            hash: (hash != "-" && !hash.is_empty()).then(|| hash.to_owned()),
        })
    }

    /// What the host ran after it; nothing where it changed nothing, or where the line does not say.
    pub fn leaves(&self) -> Option<Option<&RevisionName>> {
        match self.outcome.as_str() {
            "failed" => None,
            taken if taken.starts_with(TAKEN_OVER) => None,
            // A step that was cut off and brought to its end by the next claim, which does not know names.
            "put back" | "finished" if self.from.is_none() && self.to.is_none() => None,
            "put back" => Some(self.from.as_ref()),
            _ => Some(self.to.as_ref()),
        }
    }

    /// Whether it ends a switch well.
    pub(super) fn is_proof(&self) -> bool {
        matches!(self.outcome.as_str(), "confirmed" | "stopped")
    }
}

fn name(text: &str) -> Result<Option<RevisionName>, &'static str> {
    match text {
        "-" | "" => Ok(None),
        text => RevisionName::parse(text)
            .map(Some)
            .map_err(|_| "it names no revision"),
    }
}
