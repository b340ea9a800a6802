//! What a prober heard, and what follows from it.
//!
//! An instance counts as available from the moment a question was asked that it answered with 200, until the moment another answer, or
//! none, came in. What lies between two questions (20 ms) is not seen.

use std::fmt;
use std::time::Duration;

/// One question and what came of it. Times are since the prober started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// When it was asked.
    pub asked: Duration,
    /// When the answer was complete, or given up.
    pub answered: Duration,
    /// The HTTP status; `None` without an answer.
    pub status: Option<u16>,
    /// The body, without a newline at its end.
    pub body: String,
}

impl Answer {
    fn is_available(&self) -> bool {
        self.status == Some(200)
    }

    /// From when on it counts.
    fn counts_from(&self) -> Duration {
        if self.is_available() {
            self.asked
        } else {
            self.answered
        }
    }
}

/// All answers of one target.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) answers: Vec<Answer>,
}

/// From `at` on, `available` instances were available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    /// Since the prober started.
    pub at: Duration,
    /// How many.
    pub available: usize,
}

/// What a prober heard from all its targets.
#[derive(Debug, Clone)]
pub struct Record {
    series: Vec<Series>,
}

impl Record {
    pub(crate) fn new(series: Vec<Series>) -> Self {
        Self { series }
    }

    /// All answers of one target, oldest first; none if there is no such target.
    #[must_use]
    pub fn answers(&self, name: &str) -> &[Answer] {
        self.series
            .iter()
            .find(|series| series.name == name)
            .map_or(&[], |series| &series.answers)
    }

    /// What was heard from all but these.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let rest = |series: &&Series| !names.contains(&series.name.as_str());
        Self::new(self.series.iter().filter(rest).cloned().collect())
    }

    /// How many were available, over time: one entry per change. It begins when every target was asked once.
    #[must_use]
    pub fn availability(&self) -> Vec<Availability> {
        let Some(begin) = self
            .series
            .iter()
            .map(|series| series.answers.first().map(|first| first.answered))
            .max()
            .flatten()
        else {
            return Vec::new();
        };
        let mut changes: Vec<(Duration, usize, bool)> = Vec::new();
        for (index, series) in self.series.iter().enumerate() {
            changes.extend(
                series
                    .answers
                    .iter()
                    .map(|answer| (answer.counts_from(), index, answer.is_available())),
            );
        }
        changes.sort_by_key(|(at, ..)| *at);
        let mut is_available = vec![false; self.series.len()];
        let mut over_time: Vec<Availability> = Vec::new();
        for (at, index, now) in changes {
            is_available[index] = now;
            let entry = Availability {
                at: at.max(begin),
                available: is_available.iter().filter(|is| **is).count(),
            };
            match over_time.last_mut() {
                // Before the beginning, and at one moment, only the last count is one.
                Some(last) if last.at == entry.at => *last = entry,
                Some(last) if last.available == entry.available => {}
                _ => over_time.push(entry),
            }
        }
        over_time.dedup_by_key(|entry| entry.available);
        over_time
    }

    /// The fewest that were available at any time; 0 if nothing was heard.
    #[must_use]
    pub fn lowest(&self) -> usize {
        self.availability()
            .iter()
            .map(|entry| entry.available)
            .min()
            .unwrap_or(0)
    }

    /// The most that were available at any time.
    #[must_use]
    pub fn highest(&self) -> usize {
        self.availability()
            .iter()
            .map(|entry| entry.available)
            .max()
            .unwrap_or(0)
    }

    /// How long one target was away, each time: from the last good answer before to the first good one after. What it had not answered
    /// yet at the beginning, or no more at the end, is not counted.
    #[must_use]
    pub fn outages(&self, name: &str) -> Vec<Duration> {
        let mut last_good = None;
        let mut is_away = false;
        let mut outages = Vec::new();
        for answer in self.answers(name) {
            if !answer.is_available() {
                is_away = true;
                continue;
            }
            if let Some(since) = last_good.filter(|_| is_away) {
                outages.push(answer.asked.saturating_sub(since));
            }
            last_good = Some(answer.answered);
            is_away = false;
        }
        outages
    }

    /// What one target's good answers said, over time: one entry per change of the body.
    #[must_use]
    pub fn bodies(&self, name: &str) -> Vec<(Duration, &str)> {
        let mut over_time: Vec<(Duration, &str)> = Vec::new();
        for answer in self
            .answers(name)
            .iter()
            .filter(|answer| answer.is_available())
        {
            if over_time
                .last()
                .is_none_or(|(_, body)| *body != answer.body)
            {
                over_time.push((answer.answered, &answer.body));
            }
        }
        over_time
    }
}

/// For the message of a failed assertion: availability over time, then each target's outages and bodies.
impl fmt::Display for Record {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in self.availability() {
            writeln!(
                out,
                "{:9.3} s: {} available",
                entry.at.as_secs_f64(),
                entry.available
            )?;
        }
        for series in &self.series {
            let (outages, bodies) = (self.outages(&series.name), self.bodies(&series.name));
            writeln!(
                out,
                "{}: {} answers, outages {outages:?}, bodies {bodies:?}",
                series.name,
                series.answers.len()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Record, Series};
    use std::time::Duration;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    /// Questions every 20 ms, each answered after 2 ms.
    fn series(name: &str, answers: &[(Option<u16>, &str)]) -> Series {
        let answer = |(number, (status, body)): (u64, &(Option<u16>, &str))| Answer {
            asked: ms(number * 20),
            answered: ms(number * 20 + 2),
            status: *status,
            body: (*body).to_owned(),
        };
        Series {
            name: name.to_owned(),
            answers: (0..).zip(answers).map(answer).collect(),
        }
    }

    fn counts(record: &Record) -> Vec<(u128, usize)> {
        record
            .availability()
            .iter()
            .map(|entry| (entry.at.as_millis(), entry.available))
            .collect()
    }

    #[test]
    fn availability_counts_good_answers_only() {
        let up = [(Some(200), "v1"); 4];
        let rows = [
            ("nobody asked", vec![], vec![], 0),
            (
                "all the time",
                vec![series("a", &up), series("b", &up)],
                vec![(2, 2)],
                2,
            ),
            (
                "one gone for one question: away from the bad answer to the next question that gets a good one",
                vec![
                    series("a", &up),
                    series("b", &[(Some(200), ""), (None, ""), (Some(200), "")]),
                ],
                vec![(2, 2), (22, 1), (40, 2)],
                1,
            ),
            (
                "503 is not available",
                vec![series("a", &[(Some(503), ""), (Some(200), "")])],
                vec![(2, 0), (20, 1)],
                0,
            ),
            (
                "it begins when all were asked",
                vec![series("a", &up), series("b", &[(None, "")])],
                vec![(2, 1)],
                1,
            ),
            (
                "a target never heard of",
                vec![series("a", &up), series("b", &[])],
                vec![(2, 1)],
                1,
            ),
        ];
        for (row, series, expected, lowest) in rows {
            let record = Record::new(series);
            assert_eq!(counts(&record), expected, "{row}");
            assert_eq!(record.lowest(), lowest, "{row}");
        }
    }

    #[test]
    fn outages_and_bodies_are_told_per_target() {
        let (good, new, bad) = ((Some(200), "v1"), (Some(200), "v2"), (None, ""));
        let record = Record::new(vec![series(
            "a",
            &[bad, good, good, bad, bad, new, bad, new, bad],
        )]);
        assert_eq!(record.outages("a"), [ms(100 - 42), ms(140 - 102)]);
        assert_eq!(record.bodies("a"), [(ms(22), "v1"), (ms(102), "v2")]);
        assert!(record.outages("b").is_empty());
        assert!(record.without(&["a"]).availability().is_empty());
        assert_eq!(record.without(&["b"]).lowest(), record.lowest());
    }
}
