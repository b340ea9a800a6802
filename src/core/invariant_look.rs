//! What a look at a host changes in what the checker notes of it.

use super::books::{Book, Where};
use super::shows;
use crate::core::event::{Runs, Sight};
use crate::core::ids::RevisionRef;
use crate::core::spec::RolloutKind;

impl Book {
    pub(super) fn look(
        &mut self,
        sight: &Sight,
        target: &RevisionRef,
        kind: RolloutKind,
        goes_back: bool,
    ) {
        self.looked = true;
        self.reached = shows(sight).is_some();
        let Some(runs) = shows(sight) else {
            match self.place {
                Where::Unproved | Where::Failed | Where::GoingBack { .. } => {
                    self.place = Where::GivenUp { broken: false };
                }
                Where::OnTarget
                | Where::Announced
                | Where::AnnouncedBeside
                | Where::Drained { back: false } => {
                    self.place = Where::Old;
                }
                Where::Leaving => self.place = Where::GivenUp { broken: false },
                Where::Drained { back: true } => self.place = Where::GivenUp { broken: false },
                _ => {}
            }
            self.present |= self.before.is_none();
            return;
        };
        let Sight::Reachable { unproven, .. } = sight else {
            return;
        };
        self.present = *runs != Runs::Nothing;
        let on_target = runs.is(target);
        let restarts = kind == RolloutKind::Restart;
        let as_before = self.before.as_ref() == Some(runs)
            || self
                .before
                .as_ref()
                .and_then(Runs::revision)
                .is_some_and(|before| runs.is(before));
        match self.place {
            Where::Old
            | Where::OnTarget
            | Where::Announced
            | Where::AnnouncedBeside
            | Where::Leaving
            | Where::Drained { back: false } => {
                self.before = Some(runs.clone());
                self.ran_target = on_target && !restarts && unproven.is_none();
                self.place = match unproven {
                    _ if !on_target || restarts => {
                        self.stray = unproven.is_some();
                        Where::Old
                    }
                    Some(unproven) => {
                        self.before = Some(unproven.before.clone());
                        Where::Unproved
                    }
                    None => Where::OnTarget,
                };
            }
            Where::Unproved | Where::GivenUp { broken: false }
                if on_target && (!restarts || unproven.is_some()) =>
            {
                // Seen there, so that its switch has reached the host.
                (self.place, self.unanswered) = (Where::Unproved, false);
            }
            // A restart that was begun, and whose switch is not armed, was confirmed, or it never reached the host.
            Where::Unproved if on_target && !self.unanswered => {}
            Where::Drained { back: true } if on_target => self.place = Where::Confirmed,
            Where::Drained { back: true } if as_before => {
                self.place = Where::Back { failed: false };
            }
            Where::Confirmed if on_target => {}
            Where::Confirmed if as_before && goes_back => {
                self.place = Where::Back { failed: false };
            }
            Where::Drained { .. }
            | Where::Unproved
            | Where::Confirmed
            | Where::GivenUp { broken: false } => {
                self.before = Some(runs.clone());
                self.stray = unproven.is_some();
                self.place = Where::Old;
            }
            Where::Failed if as_before => self.come_back(true),
            Where::GoingBack { failed } if as_before => self.come_back(failed),
            Where::GoingBack { failed: false } if on_target => {
                self.place = match unproven {
                    Some(_) => Where::Unproved,
                    None => Where::Confirmed,
                };
            }
            Where::GoingBack { .. } if on_target => self.place = Where::Failed,
            Where::Failed if on_target => {}
            Where::Failed | Where::GoingBack { .. } => {
                self.place = Where::GivenUp { broken: true };
            }
            Where::Back { .. } if on_target && !as_before => self.place = Where::Failed,
            Where::Back { .. } | Where::GivenUp { broken: true } => {}
        }
    }

    pub(super) fn come_back(&mut self, failed: bool) {
        self.place = match self.sick || self.was_absent() {
            true => Where::Back { failed },
            false => Where::GoingBack { failed },
        };
    }
}
