//! An independent checker of R1-R4, of steps and of what may start when (contract, section 3). It reads events only,
//! keeps its own books, shares no code with `decide` or the counts, and is never used by them.

use super::event::{ActionKind, ActionOutcome, Event, Runs, Sight};
use super::hooks::HookKind;
use super::ids::HostName;
use super::spec::{RolloutKind, Spec};
use super::time::Timestamp;

use books::{Book, Where};

#[path = "invariant_books.rs"]
mod books;
#[path = "invariant_look.rs"]
mod look;
#[path = "invariant_side.rs"]
mod side;
#[path = "invariant_surge.rs"]
mod surge;
#[path = "invariant_traffic.rs"]
mod traffic;

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule} broken on `{host}` at {at:?}: {why}")]
pub struct Violation {
    /// `R1`, `R2`, `R3`, `R4`, `step`, `start`, or `traffic`.
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
    spec: Spec,
    min_ready_ms: i64,
    books: Vec<Book>,
    /// Nothing new may start any more: paused, aborted, or something is broken.
    held: Option<&'static str>,
    goes_back: bool,
    gate: usize,
    reached_at: Option<i64>,
    approved: bool,
    /// Whether `before_rollout`, where there is one, ended well.
    open: bool,
}

impl Checker {
    /// Begins with a rollout's first event; nothing when it is another one.
    pub fn new(first: &Event) -> Option<Self> {
        let Event::RolloutStarted { spec, .. } = first else {
            return None;
        };
        let hooked = spec.hooks.contains(&HookKind::AfterInstance);
        Some(Self {
            min_ready_ms: i64::try_from(spec.min_ready.as_millis()).unwrap_or(i64::MAX),
            books: spec
                .hosts
                .iter()
                .map(|host| Book::new(spec.balanced, hooked, host))
                .collect(),
            spec: (**spec).clone(),
            held: None,
            goes_back: false,
            gate: 0,
            reached_at: None,
            approved: false,
            open: !spec.hooks.contains(&HookKind::BeforeRollout),
        })
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// When it breaks a rule.
    pub fn check(&mut self, at: Timestamp, event: &Event) -> Result<(), Violation> {
        let now = at.as_millis();
        let Some(host) = event.host() else {
            return self.whole(now, at, event);
        };
        let Some(place) = self.spec.hosts.iter().position(|one| one.name == *host) else {
            return Ok(());
        };
        if let Event::ActionStarted { action, .. } = event {
            self.may_begin(now, place, *action)
                .map_err(|(rule, why)| Violation {
                    rule,
                    host: host.clone(),
                    at,
                    why,
                })?;
        }
        if let Event::InstanceMarked { .. } = event {
            self.reached_at = self.reached_at.filter(|_| !is_failure(event));
        }
        let (kind, goes_back) = (self.spec.kind, self.goes_back);
        if let Some(book) = self.books.get_mut(place) {
            let spare = self.spec.hosts.get(place).is_some_and(|host| host.spare);
            book.write(event, &self.spec.target, kind, goes_back, spare);
            if book.is_broken_for_good() && !self.goes_back {
                self.held = Some("an instance is broken");
            }
        }
        Ok(())
    }

    /// Events about the rollout as a whole.
    fn whole(&mut self, now: i64, at: Timestamp, event: &Event) -> Result<(), Violation> {
        let wrong = |rule, why: String| {
            Err(Violation {
                rule,
                host: HostName::new("-"),
                at,
                why,
            })
        };
        match event {
            Event::PauseRequested { .. } => self.held = Some("a pause was asked for"),
            Event::AbortRequested { .. } => self.held = Some("it was aborted"),
            Event::RollbackStarted { .. } => {
                self.goes_back = true;
                self.held = None;
            }
            Event::RolloutResumed { retry, .. } => {
                self.held = self.held.filter(|why| *why == "it was aborted");
                self.reached_at = None;
                for book in &mut self.books {
                    book.forget(*retry && !self.goes_back);
                }
            }
            Event::StepReached { .. } => {
                let proven = self.books.iter().zip(&self.spec.hosts);
                let proven = proven
                    .filter(|(book, host)| {
                        host.selected && book.is_on_target() && self.is_available(now, book)
                    })
                    .count();
                if proven == 0 {
                    return wrong("step", "reached with none available".to_owned());
                }
                self.reached_at = Some(now);
            }
            Event::HookEnded { hook, end, .. } if *hook == HookKind::BeforeRollout => {
                self.open |= end.is_well();
            }
            Event::StepApproved { .. } => self.approved = true,
            Event::StepOpened { step } => {
                let Some((gate, since)) = self.spec.steps.get(*step).zip(self.reached_at) else {
                    return wrong("step", "opened without having been reached".to_owned());
                };
                let bake = i64::try_from(gate.bake.as_millis()).unwrap_or(i64::MAX);
                if now - since < bake || (gate.approve && !self.approved) {
                    return wrong("step", format!("opened after {} ms", now - since));
                }
                self.gate = step + 1;
                (self.reached_at, self.approved) = (None, false);
            }
            _ => {}
        }
        Ok(())
    }

    fn may_begin(
        &self,
        now: i64,
        place: usize,
        action: ActionKind,
    ) -> Result<(), (&'static str, String)> {
        let (Some(own), Some(host)) = (self.books.get(place), self.spec.hosts.get(place)) else {
            return Ok(());
        };
        let start = |why: &str| Err(("start", why.to_owned()));
        let has_hook = self.spec.hooks.contains(&HookKind::BeforeInstance);
        match action {
            ActionKind::Activate
            | ActionKind::Stage
            | ActionKind::BeforeInstance
            | ActionKind::BeforeStart
                if !host.selected =>
            {
                start("the host is not selected")
            }
            ActionKind::Activate
            | ActionKind::Stage
            | ActionKind::BeforeInstance
            | ActionKind::BeforeStart
                if self.goes_back =>
            {
                start("the rollout goes back")
            }
            ActionKind::Activate if own.would_get_traffic() => {
                Err(("traffic", "it would get traffic at once".to_owned()))
            }
            ActionKind::Stage if !self.open => start("the rollout's first hook has not ended well"),
            // Out of traffic for it: what was begun is finished.
            ActionKind::Activate | ActionKind::Revert if own.is_drained_for(action) => Ok(()),
            ActionKind::Activate | ActionKind::Revert
                if own.gets_traffic() && !own.may_fail_to_drain() =>
            {
                Err(("traffic", "it still gets traffic".to_owned()))
            }
            ActionKind::DrainSibling | ActionKind::StopSibling => {
                self.other_may_leave(now, own, host.selected)
            }
            ActionKind::AttachSibling if own.may_attach_the_other() => Ok(()),
            ActionKind::AttachSibling => {
                Err(("traffic", "the other may not get traffic".to_owned()))
            }
            ActionKind::Start if self.goes_back => match own.place {
                Where::Confirmed => self.may_start_beside(now, place),
                _ => start("only what was brought there goes back"),
            },
            ActionKind::Start | ActionKind::BeforeStart => {
                if let Some(why) = self.held {
                    return start(why);
                }
                if action == ActionKind::Start && has_hook && !own.is_prepared() {
                    return start("its hook has not ended well");
                }
                if !host.selected || !own.may_go_forward() {
                    return start("it failed in this rollout, is at work, or not selected");
                }
                if own.ran_target {
                    return start("one name cannot run twice");
                }
                self.within_gate(place)?;
                self.may_start_beside(now, place)
            }
            ActionKind::Stop if own.place == Where::Leaving => Ok(()),
            ActionKind::Stop if own.gets_traffic() => {
                Err(("traffic", "it still gets traffic".to_owned()))
            }
            ActionKind::Stop | ActionKind::Drain
                if host.spare && own.is_at_peace() && !own.is_absent() =>
            {
                self.may_leave(now, place)
            }
            ActionKind::Stop => start("only what runs on a spare host is stopped"),
            ActionKind::Attach => match own.may_get_traffic(now, self.min_ready_ms) {
                true => Ok(()),
                false => Err(("traffic", "it may not get traffic".to_owned())),
            },
            ActionKind::Drain if own.place == Where::Failed => Ok(()),
            ActionKind::Drain if own.place == Where::Unproved && self.goes_back => Ok(()),
            ActionKind::Drain if !self.goes_back && !host.selected => {
                start("the host is not selected")
            }
            ActionKind::AfterInstance if own.place != Where::Confirmed => {
                start("nothing was confirmed")
            }
            ActionKind::Activate | ActionKind::BeforeInstance | ActionKind::Drain
                if !self.goes_back =>
            {
                if let Some(why) = self.held {
                    return start(why);
                }
                if action != ActionKind::BeforeInstance && has_hook && !own.is_prepared() {
                    return start("its hook has not ended well");
                }
                if !own.may_go_forward() {
                    return start("it failed in this rollout, or is at work");
                }
                if host.spare {
                    return self.may_surge(place);
                }
                self.within_gate(place)?;
                self.within_budgets(now, place)
            }
            // What serves is taken down by a revert only on the way back.
            ActionKind::Revert | ActionKind::Drain if own.place == Where::Confirmed => {
                if !self.goes_back {
                    return start("it works, and the rollout does not go back");
                }
                self.within_budgets(now, place)
            }
            _ => Ok(()),
        }
    }

    fn within_gate(&self, place: usize) -> Result<(), (&'static str, String)> {
        let first_release = self.ordinary().all(|(_, book)| book.was_absent());
        if self.spec.kind == RolloutKind::Rollback || first_release {
            return Ok(());
        }
        let Some(gate) = self.spec.steps.get(self.gate) else {
            return Ok(());
        };
        let is_new = |n: usize| self.books.get(n).is_some_and(Book::is_new);
        let new = self
            .ordinary()
            .filter(|(n, _)| *n != place && is_new(*n))
            .filter(|(n, _)| self.spec.hosts.get(*n).is_some_and(|host| host.selected))
            .count();
        if new + 1 > usize::try_from(gate.to).unwrap_or(usize::MAX) && !is_new(place) {
            return Err(("step", format!("{new} are new, {} may be", gate.to)));
        }
        Ok(())
    }

    /// The books of ordinary hosts, with their places.
    fn ordinary(&self) -> impl Iterator<Item = (usize, &Book)> {
        let books = self.spec.hosts.iter().zip(&self.books).enumerate();
        books.filter_map(|(n, (host, book))| (!host.spare).then_some((n, book)))
    }

    fn is_available(&self, now: i64, book: &Book) -> bool {
        book.is_available(now, self.min_ready_ms)
    }

    /// Whether its host serves, by either of two.
    fn serves(&self, now: i64, book: &Book) -> bool {
        let other = book.beside.as_ref();
        self.is_available(now, book)
            || other.is_some_and(|one| one.is_available(now, self.min_ready_ms))
    }

    fn is_flying(&self, now: i64, book: &Book) -> bool {
        book.is_in_hand()
            || book.place == Where::AnnouncedBeside
            || (book.place == Where::Confirmed
                && !self.is_available(now, book)
                && !book.is_an_operators())
    }

    fn within_budgets(&self, now: i64, place: usize) -> Result<(), (&'static str, String)> {
        let Some(own) = self.books.get(place) else {
            return Ok(());
        };
        let (desired, surge, unavailable) = (
            i64::from(self.spec.budget.desired),
            i64::from(self.spec.budget.max_surge),
            i64::from(self.spec.budget.max_unavailable),
        );
        let flies = self.is_flying(now, own);
        self.values_at_once(now, place, flies)?;
        let (running, leaving) = self.running_and_leaving();
        if own.is_absent() {
            return match running < desired + surge {
                true => Ok(()),
                false => Err(("R3", format!("{running} run, {} may", desired + surge))),
            };
        }
        let flying = self.flying(now) - i64::from(flies);
        let limit = unavailable + (running - leaving - desired).max(0);
        if !flies && flying + 1 > limit {
            return Err(("R1", format!("{flying} in flight, {limit} may be")));
        }
        if own.costs_nothing() {
            return Ok(());
        }
        let beside = own.beside.as_ref();
        if beside.is_some_and(|other| other.is_available(now, self.min_ready_ms)) {
            return Ok(());
        }
        let others = self.books.iter().enumerate().filter(|(n, _)| *n != place);
        let remain = others.filter(|(_, book)| self.serves(now, book)).count();
        let remain = i64::try_from(remain).unwrap_or(i64::MAX);
        if remain < desired - unavailable {
            let least = desired - unavailable;
            return Err(("R2", format!("{remain} remain available, {least} must")));
        }
        self.inside_values(now, place)
    }

    fn values_at_once(
        &self,
        now: i64,
        place: usize,
        flies: bool,
    ) -> Result<(), (&'static str, String)> {
        if flies {
            return Ok(());
        }
        for (n, domain) in self.spec.domains.iter().enumerate() {
            let value_of = |host: usize| self.spec.hosts.get(host).and_then(|h| h.values.get(n));
            let Some(at_once) = domain.at_once else {
                continue;
            };
            let mut busy: Vec<usize> = (0..self.books.len())
                .filter(|host| {
                    self.books
                        .get(*host)
                        .is_some_and(|book| self.is_flying(now, book))
                })
                .filter_map(|host| value_of(host).copied())
                .collect();
            busy.extend(value_of(place));
            busy.sort_unstable();
            busy.dedup();
            if busy.len() > usize::try_from(at_once).unwrap_or(usize::MAX) {
                let why = format!("{} values of {} in work", busy.len(), domain.label);
                return Err(("R4", why));
            }
        }
        Ok(())
    }

    fn inside_values(&self, now: i64, place: usize) -> Result<(), (&'static str, String)> {
        for (n, domain) in self.spec.domains.iter().enumerate() {
            let value_of = |host: usize| self.spec.hosts.get(host).and_then(|h| h.values.get(n));
            let Some(value) = value_of(place) else {
                continue;
            };
            let Some((most, desired)) = domain
                .values
                .get(*value)
                .and_then(|one| Some((one.max_unavailable?, one.desired)))
            else {
                continue;
            };
            let remain = (0..self.books.len())
                .filter(|host| *host != place && value_of(*host) == Some(value))
                .filter(|host| {
                    self.books
                        .get(*host)
                        .is_some_and(|book| self.serves(now, book))
                })
                .count();
            if remain + usize::try_from(most).unwrap_or(0) < usize::try_from(desired).unwrap_or(0) {
                let why = format!("{remain} remain in a value of {}", domain.label);
                return Err(("R4", why));
            }
        }
        Ok(())
    }
}

fn is_failure(event: &Event) -> bool {
    matches!(
        event,
        Event::InstanceMarked {
            mark: super::event::Mark::Failed { .. },
            ..
        }
    )
}

fn is_done(outcome: &ActionOutcome) -> bool {
    matches!(outcome, ActionOutcome::Done { .. })
}

fn shows(sight: &Sight) -> Option<&Runs> {
    match sight {
        Sight::Reachable { runs, .. } => Some(runs),
        Sight::Unreachable { .. } | Sight::Refused { .. } => None,
    }
}
