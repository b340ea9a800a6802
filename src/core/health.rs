//! From single polls to health. Health is an event only when it changes; single polls are not stored.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Polls in a row that an old instance must fail to be called broken (contract, section 3).
pub const BROKEN_AFTER: u32 = 3;

/// Polls in a row that an updated instance must fail to be called failed (contract, section 3).
pub const FAILED_AFTER: u32 = 5;

/// What one poll said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Poll {
    /// The probe passes and, of an instance that we started, its units run as we started them.
    Pass,
    /// It does not pass.
    Fail,
    /// Nobody could say, for example because the SSH connection that asks is down.
    Unknown,
    /// The units run, but not as we started them: one of them restarted by itself.
    Restarted,
}

/// The health of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    /// Not asked yet, or nobody could say. Neither broken nor available.
    Unknown,
    /// Failing.
    NotReady {
        /// Failed polls in a row, counted up to [`FAILED_AFTER`].
        failed_polls: u32,
    },
    /// Passing.
    Ready {
        /// Since when without a break; [`Timestamp::LONG_AGO`] when it passed the first time it was looked at.
        since: Timestamp,
    },
    /// It restarted by itself after it had been started by us.
    Restarted,
}

impl Health {
    /// Whether it passes now.
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Ready { .. })
    }

    /// Whether it was observed failing [`BROKEN_AFTER`] polls in a row.
    pub fn is_broken(self) -> bool {
        matches!(self, Self::Restarted)
            || matches!(self, Self::NotReady { failed_polls } if failed_polls >= BROKEN_AFTER)
    }

    /// Whether an instance that was available has to be called failed.
    pub fn is_lost(self) -> bool {
        matches!(self, Self::Restarted)
            || matches!(self, Self::NotReady { failed_polls } if failed_polls >= FAILED_AFTER)
    }
}

/// Counts polls of one instance and says when its health changes.
#[derive(Debug, Clone)]
pub struct HealthTracker {
    successes_needed: u32,
    passed: u32,
    failed: u32,
    health: Option<Health>,
}

impl HealthTracker {
    /// For an instance that ran before anyone looked: its first pass makes it ready, since long ago.
    pub fn of_running(successes_needed: u32) -> Self {
        Self {
            successes_needed,
            passed: 0,
            failed: 0,
            health: None,
        }
    }

    /// For an instance that was started just now: it must pass `successes_needed` polls in a row.
    pub fn of_started(successes_needed: u32) -> Self {
        Self {
            health: Some(Health::Unknown),
            ..Self::of_running(successes_needed)
        }
    }

    /// The health as of the last poll; nothing before the first one of an instance that ran before.
    pub fn health(&self) -> Option<Health> {
        self.health
    }

    /// Takes one poll and returns the new health when it changed in a way that matters.
    ///
    /// Ready begins with the poll that completes `successes_needed`, as a Kubernetes pod's condition does.
    pub fn poll(&mut self, at: Timestamp, poll: Poll) -> Option<Health> {
        let next = self.next(at, poll);
        let changed = self.health != Some(next);
        self.health = Some(next);
        changed.then_some(next)
    }

    fn next(&mut self, at: Timestamp, poll: Poll) -> Health {
        match poll {
            Poll::Restarted => Health::Restarted,
            Poll::Unknown => {
                (self.passed, self.failed) = (0, 0);
                Health::Unknown
            }
            Poll::Fail => {
                self.passed = 0;
                self.failed = self.failed.saturating_add(1).min(FAILED_AFTER);
                Health::NotReady {
                    failed_polls: self.failed,
                }
            }
            Poll::Pass => {
                self.passed = self.passed.saturating_add(1);
                match self.health {
                    None => self.ready(Timestamp::LONG_AGO),
                    Some(ready @ Health::Ready { .. }) => ready,
                    Some(_) if self.passed >= self.successes_needed => self.ready(at),
                    Some(before) => before,
                }
            }
        }
    }

    fn ready(&mut self, since: Timestamp) -> Health {
        self.failed = 0;
        Health::Ready { since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mut tracker: HealthTracker, polls: &str) -> Vec<Option<Health>> {
        let poll = |letter| match letter {
            '+' => Poll::Pass,
            '-' => Poll::Fail,
            'r' => Poll::Restarted,
            _ => Poll::Unknown,
        };
        (1i64..)
            .zip(polls.chars())
            .map(|(at, letter)| tracker.poll(Timestamp::from_millis(at), poll(letter)))
            .collect()
    }

    fn not_ready(failed_polls: u32) -> Option<Health> {
        Some(Health::NotReady { failed_polls })
    }

    fn ready(at: i64) -> Option<Health> {
        Some(Health::Ready {
            since: Timestamp::from_millis(at),
        })
    }

    #[test]
    fn what_polls_make_of_an_instance() {
        let (old, new) = (HealthTracker::of_running(2), HealthTracker::of_started(2));
        for (sentence, tracker, polls, expected) in [
            (
                "an old one is ready at its first pass, since long ago",
                old.clone(),
                "++",
                vec![ready(0), None],
            ),
            (
                "a new one needs two passes in a row",
                new.clone(),
                "+-++",
                vec![None, not_ready(1), None, ready(4)],
            ),
            (
                "one failure takes readiness away",
                old.clone(),
                "+-++",
                vec![ready(0), not_ready(1), None, ready(4)],
            ),
            (
                "failures are counted up to five",
                new.clone(),
                "------",
                vec![
                    not_ready(1),
                    not_ready(2),
                    not_ready(3),
                    not_ready(4),
                    not_ready(5),
                    None,
                ],
            ),
            (
                "unknown starts both counts again",
                new.clone(),
                "+?+",
                vec![None, None, None],
            ),
            (
                "unknown is not a failure",
                old,
                "--?-",
                vec![
                    not_ready(1),
                    not_ready(2),
                    Some(Health::Unknown),
                    not_ready(1),
                ],
            ),
            (
                "a restart is seen even while the probe passes",
                new,
                "++r",
                vec![None, ready(2), Some(Health::Restarted)],
            ),
        ] {
            assert_eq!(run(tracker, polls), expected, "{sentence}");
        }
    }

    #[test]
    fn a_single_pass_between_failures_does_not_make_it_whole() {
        let mut tracker = HealthTracker::of_started(2);
        for poll in [Poll::Fail, Poll::Fail, Poll::Fail, Poll::Pass] {
            tracker.poll(Timestamp::from_millis(1), poll);
        }
        assert!(
            tracker
                .health()
                .is_some_and(|health| health.is_broken() && !health.is_lost())
        );
    }
}
