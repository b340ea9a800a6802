//! What the checker says of more than `desired`: on spare hosts, and side by side.

use super::Checker;
use super::books::Book;

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
        let (running, _) = self.running_and_leaving();
        let first = self.ordinary().filter(|(n, book)| {
            let selected = self.spec.hosts.get(*n).is_some_and(|host| host.selected);
            selected && book.is_absent() && book.can_be_reached() && book.may_go_forward()
        });
        let first = i64::try_from(first.count()).unwrap_or(i64::MAX);
        let most = self.most();
        match running + first < most {
            true => Ok(()),
            false => Err((
                "R3",
                format!("{running} run, {first} go first, {most} may run"),
            )),
        }
    }

    /// What runs on a spare host is stopped under R2 alone.
    pub(super) fn may_leave(&self, now: i64, place: usize) -> Checked {
        let Some(own) = self.books.get(place) else {
            return Ok(());
        };
        if own.costs_nothing() {
            let (running, leaving) = self.running_and_leaving();
            let flying = self.flying(now) - i64::from(self.is_flying(now, own));
            return self.flights_rely_on(flying, running - leaving - 1);
        }
        let others = self.books.iter().enumerate().filter(|(n, _)| *n != place);
        let remain = others.filter(|(_, book)| self.serves(now, book)).count();
        let (desired, unavailable) = (self.spec.budget.desired, self.spec.budget.max_unavailable);
        let least = usize::try_from(desired.saturating_sub(unavailable)).unwrap_or(usize::MAX);
        match remain >= least {
            true => Ok(()),
            false => Err(("R2", format!("{remain} remain available, {least} must"))),
        }
    }

    /// R3, R4, and R1 as it is once the new one runs.
    pub(super) fn may_start_beside(&self, now: i64, place: usize) -> Checked {
        let Some(own) = self.books.get(place) else {
            return Ok(());
        };
        if own.beside.is_some() || own.is_absent() || !self.spec.side_by_side {
            return Err((
                "start",
                "there is nothing, or no room, beside it".to_owned(),
            ));
        }
        self.values_at_once(now, place, self.is_flying(now, own))?;
        let (running, leaving) = self.running_and_leaving();
        let most = self.most();
        if running >= most {
            return Err(("R3", format!("{running} run, {most} may")));
        }
        self.flights_rely_on(self.flying(now) + 1, running + 1 - leaving)
    }

    /// The other instance on a host goes freely where one stays that serves, or where nothing is lost with it; and R1
    /// holds without it.
    pub(super) fn other_may_leave(&self, now: i64, own: &Book, selected: bool) -> Checked {
        let Some(other) = &own.beside else {
            return Err(("start", "there is no other".to_owned()));
        };
        if other.leaving {
            return Ok(());
        }
        if !selected && !own.is_new() {
            return Err(("start", "the host is not selected".to_owned()));
        }
        if !own.may_lose_the_other(now, self.min_ready_ms) {
            return Err(("R2", "the one that stays does not serve".to_owned()));
        }
        let (running, leaving) = self.running_and_leaving();
        let flying = self.flying(now) - i64::from(other.stray);
        self.flights_rely_on(flying, running - leaving - 1)
    }

    fn most(&self) -> i64 {
        i64::from(self.spec.budget.desired) + i64::from(self.spec.budget.max_surge)
    }

    /// R1, when so many run that stay.
    fn flights_rely_on(&self, flying: i64, stay: i64) -> Checked {
        let beyond = (stay - i64::from(self.spec.budget.desired)).max(0);
        let limit = i64::from(self.spec.budget.max_unavailable) + beyond;
        match flying <= limit {
            true => Ok(()),
            false => Err(("R1", format!("{flying} in flight, {limit} may be then"))),
        }
    }

    /// How many run, and how many of them are on their way out.
    pub(super) fn running_and_leaving(&self) -> (i64, i64) {
        let each = self.books.iter().map(Book::running_and_leaving);
        each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// How many new instances are in flight.
    pub(super) fn flying(&self, now: i64) -> i64 {
        let beside = |book: &Book| {
            let other = book.beside.as_ref();
            i64::from(other.is_some_and(|one| one.stray && !one.leaving))
        };
        let each = self.books.iter();
        each.map(|book| i64::from(self.is_flying(now, book)) + beside(book))
            .sum()
    }
}
