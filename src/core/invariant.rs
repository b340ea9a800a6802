//! An independent checker of R1-R3 (contract, section 3). It reads events only, keeps its own books, shares no code
//! with `decide` or the counts, and is never used by them.

use std::collections::BTreeMap;

use super::budget::Budget;
use super::event::{ActionKind, ActionOutcome, Event, Mark, Runs, Sight};
use super::health::Health;
use super::ids::HostName;
use super::time::Timestamp;

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule} broken by switching `{host}` at {at:?}: {why}")]
pub struct Violation {
    /// `R1`, `R2` or `R3`.
    pub rule: &'static str,
    /// The host whose switch broke it.
    pub host: HostName,
    /// When.
    pub at: Timestamp,
    /// The figures.
    pub why: String,
}

/// Follows a rollout's events.
#[derive(Debug, Clone)]
pub struct Checker {
    budget: Budget,
    min_ready_ms: i64,
    books: BTreeMap<HostName, Book>,
}

#[derive(Debug, Clone, Default)]
struct Book {
    seen: bool,
    present: bool,
    before_present: bool,
    /// Set from the decision to switch until it is out of rollctl's hand again.
    in_hand: bool,
    /// Set when this rollout has started what runs there now.
    new: bool,
    /// Set when it was not passing when its switch was decided: then nobody waits for it after a revert.
    sick: bool,
    passing_since: Option<i64>,
    failing_polls: u32,
    restarted: bool,
}

impl Book {
    fn available(&self, now: i64, min_ready_ms: i64) -> bool {
        self.present
            && !self.in_hand
            && self
                .passing_since
                .is_some_and(|since| now - since >= min_ready_ms)
    }

    fn forget_health(&mut self) {
        (self.passing_since, self.failing_polls, self.restarted) = (None, 0, false);
    }
}

impl Checker {
    /// Begins with a rollout's first event; nothing when it is another one.
    pub fn new(first: &Event) -> Option<Self> {
        let Event::RolloutStarted { spec, .. } = first else {
            return None;
        };
        Some(Self {
            budget: spec.budget,
            min_ready_ms: i64::try_from(spec.min_ready.as_millis()).unwrap_or(i64::MAX),
            books: spec
                .hosts
                .iter()
                .map(|host| (host.name.clone(), Book::default()))
                .collect(),
        })
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// When it breaks R1, R2 or R3.
    pub fn check(&mut self, at: Timestamp, event: &Event) -> Result<(), Violation> {
        if let Event::ActionStarted {
            host,
            action: ActionKind::Activate,
        } = event
        {
            self.check_switch(at, host)?;
        }
        if let Some(book) = event.host().and_then(|host| self.books.get_mut(host)) {
            book.write(event);
        }
        Ok(())
    }

    fn check_switch(&self, at: Timestamp, host: &HostName) -> Result<(), Violation> {
        let Some(own) = self.books.get(host) else {
            return Ok(());
        };
        let now = at.as_millis();
        let broken = |rule, why| Violation {
            rule,
            host: host.clone(),
            at,
            why,
        };
        let number = |pick: &dyn Fn(&HostName, &Book) -> bool| {
            i64::try_from(
                self.books
                    .iter()
                    .filter(|(name, book)| pick(name, book))
                    .count(),
            )
            .unwrap_or(i64::MAX)
        };
        let (desired, surge, unavailable) = (
            i64::from(self.budget.desired),
            i64::from(self.budget.max_surge),
            i64::from(self.budget.max_unavailable),
        );
        let running = number(&|_, book| book.seen && (book.present || book.in_hand));
        if own.seen && !own.present {
            let allowed = desired + surge;
            return if running < allowed {
                Ok(())
            } else {
                Err(broken("R3", format!("{running} run, {allowed} may")))
            };
        }
        let flying = number(&|_, book| {
            book.in_hand || (book.new && !book.available(now, self.min_ready_ms))
        });
        let limit = unavailable + (running - desired).max(0);
        if flying + 1 > limit {
            return Err(broken("R1", format!("{flying} in flight, {limit} may be")));
        }
        let costs_nothing = own.restarted || own.failing_polls >= 3;
        let remaining =
            number(&|name, book| name != host && book.available(now, self.min_ready_ms));
        if !costs_nothing && remaining < desired - unavailable {
            return Err(broken(
                "R2",
                format!(
                    "{remaining} remain available, {} must",
                    desired - unavailable
                ),
            ));
        }
        Ok(())
    }
}

impl Book {
    fn write(&mut self, event: &Event) {
        match event {
            Event::HostObserved { sight, .. } => {
                self.seen = true;
                self.present = !matches!(
                    sight,
                    Sight::Reachable {
                        runs: Runs::Nothing,
                        ..
                    }
                );
                self.before_present = self.present;
            }
            Event::HealthChanged { health, .. } => {
                self.forget_health();
                match health {
                    Health::Ready { since } => self.passing_since = Some(since.as_millis()),
                    Health::NotReady { failed_polls } => self.failing_polls = *failed_polls,
                    Health::Restarted => self.restarted = true,
                    Health::Unknown => {}
                }
            }
            Event::HostRebooted { .. } => self.forget_health(),
            Event::ActionStarted {
                action: ActionKind::Activate,
                ..
            } => {
                self.sick = self.passing_since.is_none();
                (self.in_hand, self.new, self.present) = (true, true, true);
                self.forget_health();
            }
            Event::ActionEnded {
                action: ActionKind::Activate,
                outcome: ActionOutcome::Declined { .. } | ActionOutcome::Refused { .. },
                ..
            } => {
                (self.in_hand, self.new, self.present) = (false, false, self.before_present);
            }
            Event::ActionEnded {
                action: ActionKind::Confirm,
                outcome: ActionOutcome::Done { .. },
                ..
            } => {
                self.in_hand = false;
            }
            Event::InstanceMarked {
                mark: Mark::Failed { .. },
                ..
            } => self.in_hand = true,
            Event::ActionEnded {
                action: ActionKind::Revert,
                outcome: ActionOutcome::Done { started },
                ..
            } => {
                self.forget_health();
                self.present = self.before_present;
                if started.is_none() || !self.before_present || self.sick {
                    (self.in_hand, self.new) = (false, false);
                }
            }
            Event::InstanceMarked {
                mark: Mark::Reverted,
                ..
            } => (self.in_hand, self.new) = (false, false),
            _ => {}
        }
    }
}
