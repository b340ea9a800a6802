//! Points in time as `systemctl` and `journalctl` print them; always in UTC.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Microseconds since 1970.
    pub(crate) realtime: u64,
    /// Microseconds since the machine booted.
    pub(crate) monotonic: u64,
}

impl Moment {
    pub(crate) fn now() -> Self {
        static START: OnceLock<(Instant, Duration)> = OnceLock::new();
        let (start, uptime) = *START.get_or_init(|| (Instant::now(), uptime()));
        let monotonic = uptime + start.elapsed();
        let realtime = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            realtime: micros(realtime),
            monotonic: micros(monotonic),
        }
    }

    /// `Sun 2026-11-22 11:27:22 UTC`.
    pub(crate) fn date(self) -> String {
        let Civil {
            year,
            month,
            day,
            weekday,
            hour,
            minute,
            second,
        } = self.civil();
        let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][weekday];
        format!("{weekday} {year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }

    /// `Nov 22 11:27:22`.
    pub(crate) fn short(self) -> String {
        let Civil {
            month,
            day,
            hour,
            minute,
            second,
            ..
        } = self.civil();
        let names = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        format!(
            "{} {day:02} {hour:02}:{minute:02}:{second:02}",
            names[month - 1]
        )
    }

    /// `2026-11-22T11:27:22+0000`.
    pub(crate) fn iso(self) -> String {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
            ..
        } = self.civil();
        format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+0000")
    }

    /// Howard Hinnant's days-to-date.
    fn civil(self) -> Civil {
        let seconds = self.realtime / 1_000_000;
        let days = seconds / 86_400;
        let shifted = days + 719_468;
        let era_day = shifted % 146_097;
        let era_year = (era_day - era_day / 1460 + era_day / 36_524 - era_day / 146_096) / 365;
        let year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
        let shifted_month = (5 * year_day + 2) / 153;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        Civil {
            year: era_year + (shifted / 146_097) * 400 + u64::from(month <= 2),
            month: usize::try_from(month).unwrap_or(1),
            day: year_day - (153 * shifted_month + 2) / 5 + 1,
            weekday: usize::try_from(days % 7).unwrap_or(0),
            hour: seconds % 86_400 / 3600,
            minute: seconds % 3600 / 60,
            second: seconds % 60,
        }
    }
}

struct Civil {
    year: u64,
    month: usize,
    day: u64,
    weekday: usize,
    hour: u64,
    minute: u64,
    second: u64,
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn uptime() -> Duration {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text
        .split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or(0.0);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let moment = |realtime| Moment {
            realtime,
            monotonic: 0,
        };
        assert_eq!(
            moment(1_795_346_842_652_731).date(),
            "Sun 2026-11-22 11:27:22 UTC"
        );
        assert_eq!(moment(1_795_346_842_652_731).short(), "Nov 22 11:27:22");
        assert_eq!(
            moment(951_782_400_000_000).iso(),
            "2000-02-29T00:00:00+0000"
        );
        assert_eq!(moment(0).date(), "Thu 1970-01-01 00:00:00 UTC");
    }
}
