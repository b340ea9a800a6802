//! When a service may be rolled: windows that are open by the clock on the wall of some place, and freezes.
//!
//! A window is open at every moment at which the clock on the wall reads something within it. So daylight saving needs no
//! rule of its own: of `02:30-03:30` what is skipped in spring is not there, and what comes twice in autumn is open twice.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// How far ahead is looked: a window that does not open for so long does not open.
const HORIZON_DAYS: i64 = 400;

/// Minutes of a day; as an end, midnight.
pub const DAY: u16 = 24 * 60;

/// `[services.*.window]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Window {
    /// When it is open; empty: always.
    pub allow: Vec<Allow>,
    /// When it is shut all the same.
    pub freeze: Vec<Freeze>,
}

/// `Mon..Thu 09:00-16:00 Europe/Berlin`.
#[derive(Debug, Clone, PartialEq)]
pub struct Allow {
    /// On which days it begins; Monday is the first.
    pub days: [bool; 7],
    /// Its first minute, counted from midnight.
    pub from: u16,
    /// The minute that it ends before, at most [`DAY`]; not after `from`: on the day after.
    pub to: u16,
    /// Whose clock.
    pub zone: TimeZone,
}

/// `2026-12-20..2027-01-02`, both whole days.
#[derive(Debug, Clone, PartialEq)]
pub struct Freeze {
    /// Its first day.
    pub first: Date,
    /// Its last day, not before the first.
    pub last: Date,
    /// Whose calendar.
    pub zone: TimeZone,
}

/// How a window stands at a moment. Times further than 400 days away are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It is open.
    Open {
        /// Until when.
        closes_at: Option<Timestamp>,
    },
    /// It is shut.
    Shut {
        /// Until when.
        opens_at: Option<Timestamp>,
        /// Whether a freeze says so, and not only the hour.
        is_frozen: bool,
    },
}

/// What a rollout has to do with its service's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "begun", rename_all = "snake_case")]
pub enum Windowed {
    /// It began within one.
    Within {
        /// From then on nothing more is begun.
        closes_at: Timestamp,
        /// When the next one opens.
        opens_at: Option<Timestamp>,
    },
    /// Somebody let it run whatever the hour.
    Overridden,
}

impl Window {
    /// How it stands at that moment.
    pub fn at(&self, now: Timestamp) -> Opening {
        let is_open = self.is_open(now);
        let changes_at = self
            .changes(now)
            .into_iter()
            .find(|at| self.is_open(*at) != is_open);
        match is_open {
            true => Opening::Open {
                closes_at: changes_at,
            },
            false => Opening::Shut {
                opens_at: changes_at,
                is_frozen: self.is_frozen(now),
            },
        }
    }

    /// The moment as a clock reads that the window goes by: `Mon 2026-11-30 09:00 CET`.
    pub fn reading(&self, at: Timestamp) -> String {
        let zone = self.zones().next().cloned().unwrap_or(TimeZone::UTC);
        moment(at)
            .to_zoned(zone)
            .strftime("%a %Y-%m-%d %H:%M %Z")
            .to_string()
    }

    fn zones(&self) -> impl Iterator<Item = &TimeZone> {
        let frozen = self.freeze.iter().map(|freeze| &freeze.zone);
        self.allow.iter().map(|allow| &allow.zone).chain(frozen)
    }

    fn is_open(&self, at: Timestamp) -> bool {
        let is_allowed = self.allow.is_empty() || self.allow.iter().any(|one| one.holds(at));
        is_allowed && !self.is_frozen(at)
    }

    fn is_frozen(&self, at: Timestamp) -> bool {
        self.freeze.iter().any(|freeze| freeze.holds(at))
    }

    /// Every moment within the horizon at which something may change, in order.
    fn changes(&self, now: Timestamp) -> BTreeSet<Timestamp> {
        let end = now + Duration::from_secs(HORIZON_DAYS.unsigned_abs() * 24 * 3600);
        let mut found = BTreeSet::new();
        for zone in self.zones() {
            // Where a clock is set, its reading may jump into a window or out of it.
            let jumps = zone
                .following(moment(now))
                .map(|jump| stamp(jump.timestamp()));
            found.extend(jumps.take_while(|at| *at <= end));
        }
        for allow in &self.allow {
            let today = allow.zone.to_datetime(moment(now)).date();
            for day in (0..=HORIZON_DAYS).filter_map(|days| today.checked_add(days.days()).ok()) {
                found.extend(
                    [allow.from, allow.to]
                        .into_iter()
                        .flat_map(|minute| reading_at(&allow.zone, day, minute)),
                );
            }
        }
        for freeze in &self.freeze {
            found.extend(reading_at(&freeze.zone, freeze.first, 0));
            found.extend(reading_at(&freeze.zone, freeze.last, DAY));
        }
        found.retain(|at| *at > now && *at <= end);
        found
    }
}

impl Allow {
    fn holds(&self, at: Timestamp) -> bool {
        let clock = self.zone.to_datetime(moment(at));
        let minute = u16::try_from(i32::from(clock.hour()) * 60 + i32::from(clock.minute()));
        let minute = minute.unwrap_or(DAY);
        let today = usize::from(clock.weekday().to_monday_zero_offset().unsigned_abs());
        let begins = |day: usize| self.days.get(day % 7).copied().unwrap_or(false);
        match self.from < self.to {
            true => begins(today) && (self.from..self.to).contains(&minute),
            false => {
                (begins(today) && minute >= self.from) || (begins(today + 6) && minute < self.to)
            }
        }
    }
}

impl Freeze {
    fn holds(&self, at: Timestamp) -> bool {
        (self.first..=self.last).contains(&self.zone.to_datetime(moment(at)).date())
    }
}

/// When the clock reads that minute of that day: once, twice, or never.
fn reading_at(zone: &TimeZone, day: Date, minute: u16) -> Vec<Timestamp> {
    let midnight = DateTime::from_parts(day, jiff::civil::Time::midnight());
    let Ok(reading) = midnight.checked_add(i64::from(minute).minutes()) else {
        return Vec::new();
    };
    let offsets = match zone.to_ambiguous_timestamp(reading).offset() {
        AmbiguousOffset::Unambiguous { offset } => vec![offset],
        AmbiguousOffset::Fold { before, after } => vec![before, after],
        AmbiguousOffset::Gap { .. } => Vec::new(),
    };
    let moments = offsets
        .into_iter()
        .filter_map(|offset| offset.to_timestamp(reading).ok());
    moments.map(stamp).collect()
}

fn moment(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default()
}

fn stamp(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millisecond())
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
