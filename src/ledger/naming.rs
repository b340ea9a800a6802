//! Which number and name a revision gets. Knows no database.

use crate::core::ids::{RevisionName, RevisionNumber};
use crate::core::revision::Revision;
use crate::ports::{LedgerError, NewRevision};

/// What recording a revision does.
#[derive(Debug, PartialEq)]
pub(crate) enum Naming {
    /// It is there already, under that name or none was given.
    Known(Revision),
    /// It is there already, and something is added.
    Changed {
        /// As it is afterwards.
        revision: Revision,
        /// Whether it has one more name: the last.
        is_renamed: bool,
        /// Whether others signed it than before, or it is kept from now on.
        is_marked: bool,
    },
    /// It is new.
    New(Revision),
}

impl Naming {
    /// Decides, given all revisions of the service.
    ///
    /// # Errors
    /// `NameTaken` when the name belongs to other content.
    pub(crate) fn of(new: &NewRevision, known: &[Revision]) -> Result<Self, LedgerError> {
        let same = known.iter().find(|known| known.digest == new.digest);
        let number = same.map_or_else(|| next_number(known), |same| same.number);
        if let Some(name) = &new.name {
            refuse_taken(new, name, number, known)?;
        }
        Ok(match (same, &new.name) {
            (Some(same), name) => Self::again(new, same, name.as_ref()),
            (None, name) => {
                let name = name
                    .clone()
                    .unwrap_or_else(|| RevisionName::numbered(number));
                refuse_taken(new, &name, number, known)?;
                Self::New(Revision {
                    number,
                    names: vec![name],
                    digest: new.digest.clone(),
                    created_at: new.at,
                    created_by: new.by.clone(),
                    cause: new.cause.clone(),
                    adopted: new.adopted.clone(),
                    signers: new.signers.clone(),
                    kept: new.kept,
                })
            }
        })
    }

    fn again(new: &NewRevision, same: &Revision, name: Option<&RevisionName>) -> Self {
        let mut revision = same.clone();
        let name = name.filter(|name| !same.names.contains(name));
        revision.names.extend(name.cloned());
        // Where no signature is asked for now, the old one still says who made it.
        let is_signed = !new.signers.is_empty() && new.signers != same.signers;
        if is_signed {
            revision.signers.clone_from(&new.signers);
        }
        let is_marked = is_signed || (new.kept && !same.kept);
        revision.kept |= new.kept;
        match name.is_some() || is_marked {
            false => Self::Known(revision),
            true => Self::Changed {
                revision,
                is_renamed: name.is_some(),
                is_marked,
            },
        }
    }

    /// The revision as it is afterwards.
    pub(crate) fn into_revision(self) -> Revision {
        match self {
            Self::Known(revision) | Self::Changed { revision, .. } | Self::New(revision) => {
                revision
            }
        }
    }
}

fn next_number(known: &[Revision]) -> RevisionNumber {
    let highest = known.iter().map(|known| known.number.0).max().unwrap_or(0);
    RevisionNumber(highest + 1)
}

fn refuse_taken(
    new: &NewRevision,
    name: &RevisionName,
    number: RevisionNumber,
    known: &[Revision],
) -> Result<(), LedgerError> {
    match known.iter().find(|known| known.names.contains(name)) {
        Some(other) if other.number != number => Err(LedgerError::NameTaken {
            service: new.service.clone(),
            name: name.clone(),
            number: other.number.0,
        }),
        _ => Ok(()),
    }
}
