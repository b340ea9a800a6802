//! What the checker says of more than `desired`: on spare hosts.

use super::Checker;
use super::books::{Book, Where};

/// The rule that would be broken, and the figures.
type Checked = Result<(), (&'static str, String)>;

impl Checker {
    /// A spare host gets an instance only where one is absent, within R3, and only what hosts without one leave of it.
    pub(super) fn may_surge(&self, place: usize) -> Checked {
        if !self.books.get(place).is_some_and(Book::is_absent) {
            return Err((
                "start",
                "what runs on a spare host is not replaced".to_owned(),
            ));
        }
        let running = self.books.iter().filter(|book| book.is_running()).count();
        let first = self.ordinary().filter(|(n, book)| {
            let selected = self.spec.hosts.get(*n).is_some_and(|host| host.selected);
            selected && book.is_absent() && book.can_be_reached() && book.may_go_forward()
        });
        let first = first.count();
        let most = self
            .spec
            .budget
            .desired
            .saturating_add(self.spec.budget.max_surge);
        match running + first < usize::try_from(most).unwrap_or(usize::MAX) {
            true => Ok(()),
            false => Err((
                "R3",
                format!("{running} run, {first} go first, {most} may run"),
            )),
        }
    }

    /// What runs on a spare host is stopped under R2 alone.
    pub(super) fn may_leave(&self, now: i64, place: usize) -> Checked {
        let (desired, unavailable) = (self.spec.budget.desired, self.spec.budget.max_unavailable);
        let others = self.books.iter().enumerate().filter(|(n, _)| *n != place);
        let remain = others
            .filter(|(_, book)| self.is_available(now, book))
            .count();
        if self.books.get(place).is_some_and(Book::costs_nothing) {
            return self.leaves_enough_for_those_in_flight(now, place);
        }
        let least = usize::try_from(desired.saturating_sub(unavailable)).unwrap_or(usize::MAX);
        match remain >= least {
            true => Ok(()),
            false => Err(("R2", format!("{remain} remain available, {least} must"))),
        }
    }

    /// R1 once the instance is gone.
    fn leaves_enough_for_those_in_flight(&self, now: i64, place: usize) -> Checked {
        let others = || self.books.iter().enumerate().filter(|(n, _)| *n != place);
        let flying = others()
            .filter(|(_, book)| self.is_flying(now, book))
            .count();
        let stay = others().filter(|(_, book)| book.is_running() && book.place != Where::Leaving);
        let of = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let beyond = stay.count().saturating_sub(of(self.spec.budget.desired));
        let limit = of(self.spec.budget.max_unavailable) + beyond;
        match flying <= limit {
            true => Ok(()),
            false => Err((
                "R1",
                format!("{flying} in flight, {limit} may be without it"),
            )),
        }
    }
}
