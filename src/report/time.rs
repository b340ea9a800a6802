//! Times as people and programs read them.

use std::time::Duration;

use crate::core::time::Timestamp;

/// RFC 3339 in UTC with milliseconds, for programs.
pub fn rfc3339(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.as_millis()) {
        Ok(moment) => format!("{moment:.3}"),
        Err(_) => format!("{} ms", at.as_millis()),
    }
}

/// RFC 3339 in UTC to the second, for people: the same on every machine that they compare it with.
pub fn clock(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.as_millis() - at.as_millis().rem_euclid(1000)) {
        Ok(moment) => moment.to_string(),
        Err(_) => format!("{} ms", at.as_millis()),
    }
}

/// How long ago, as kubectl writes it (`HumanDuration` in apimachinery): `45s`, `3m`, `2h`, `5d`.
pub fn age(passed: Duration) -> String {
    let seconds = passed.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let two = |big: u64, unit: char, small: u64, rest: char| {
        if small == 0 {
            format!("{big}{unit}")
        } else {
            format!("{big}{unit}{small}{rest}")
        }
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, 'm', seconds % 60, 's'),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, 'h', minutes % 60, 'm'),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => two(hours / 24, 'd', hours % 24, 'h'),
        () if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        () if hours < 24 * 365 * 8 => two(hours / 24 / 365, 'y', hours / 24 % 365, 'd'),
        () => format!("{}y", hours / 24 / 365),
    }
}

/// The age of a moment; what was already so when first looked at has none.
pub fn age_of(since: Timestamp, now: Timestamp) -> String {
    if since == Timestamp::LONG_AGO {
        "?".to_owned()
    } else {
        age(now.since(since))
    }
}

/// How long something took or takes, exactly: `48s`, `2m 5s`, `1h 2m`.
pub fn span(passed: Duration) -> String {
    let seconds = passed.as_secs();
    match () {
        () if passed < Duration::from_secs(1) => format!("{}ms", passed.as_millis()),
        () if seconds < 60 => format!("{seconds}s"),
        () if seconds < 3600 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        () if seconds < 3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        () if (seconds / 60).is_multiple_of(60) => format!("{}h", seconds / 3600),
        () => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// What is left until a moment, in whole seconds, never less than is left: `7s`.
pub fn left(until: Timestamp, now: Timestamp) -> String {
    let millis = u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX);
    span(Duration::from_secs(millis.div_ceil(1000).max(1)))
}

/// A running clock: `00:41`, `1:02:03`.
pub fn stopwatch(passed: Duration) -> String {
    let seconds = passed.as_secs();
    if seconds < 3600 {
        format!("{:02}:{:02}", seconds / 60, seconds % 60)
    } else {
        format!(
            "{}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_kubectls() {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        for (seconds, expected) in [
            (0, "0s"),
            (119, "119s"),
            (2 * MINUTE, "2m"),
            (3 * MINUTE + 7, "3m7s"),
            (10 * MINUTE + 7, "10m"),
            (179 * MINUTE, "179m"),
            (3 * HOUR, "3h"),
            (7 * HOUR + 5 * MINUTE, "7h5m"),
            (8 * HOUR + 5 * MINUTE, "8h"),
            (47 * HOUR, "47h"),
            (2 * DAY, "2d"),
            (5 * DAY + 3 * HOUR, "5d3h"),
            (8 * DAY + 3 * HOUR, "8d"),
            (729 * DAY, "729d"),
            (730 * DAY, "2y"),
            (800 * DAY, "2y70d"),
            (3000 * DAY, "8y"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), expected, "{seconds}");
        }
        assert_eq!(
            age_of(Timestamp::LONG_AGO, Timestamp::from_millis(1_000)),
            "?"
        );
    }

    #[test]
    fn spans_are_exact_and_what_is_left_is_never_less() {
        for (millis, expected) in [
            (400, "400ms"),
            (48_900, "48s"),
            (60_000, "1m"),
            (125_000, "2m 5s"),
            (3_600_000, "1h"),
            (3_725_000, "1h 2m"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), expected);
        }
        for (until, expected) in [(1_001, "1s"), (7_001, "7s"), (8_000, "7s"), (500, "1s")] {
            let left = left(Timestamp::from_millis(until), Timestamp::from_millis(1_000));
            assert_eq!(left, expected, "{until}");
        }
        assert_eq!(stopwatch(Duration::from_secs(41)), "00:41");
        assert_eq!(stopwatch(Duration::from_secs(3_723)), "1:02:03");
    }

    #[test]
    fn moments_are_rfc_3339_in_utc() {
        let at = Timestamp::from_millis(1_795_344_067_089);
        assert_eq!(rfc3339(at), "2026-11-22T10:41:07.089Z");
        assert_eq!(clock(at), "2026-11-22T10:41:07Z");
    }
}
