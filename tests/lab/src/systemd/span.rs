//! Time spans as systemd writes and reads them.

use std::time::Duration;

const UNITS: [(&str, u64); 8] = [
    ("y", 31_557_600_000_000),
    ("month", 2_629_800_000_000),
    ("w", 604_800_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("min", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
];

/// `None` is `infinity`.
pub(crate) type Span = Option<Duration>;

/// `90`, `1min 30s`, `1.5s`, `infinity`; the outer `None` if it is none of them.
pub(crate) fn parse(text: &str) -> Option<Span> {
    let text = text.trim();
    if text == "infinity" {
        return Some(None);
    }
    let mut total = 0.0_f64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let value: f64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(rest.len());
        total += value * micros(&rest[..letters])?;
        rest = rest[letters..].trim_start();
    }
    if text.is_empty() {
        None
    } else {
        Duration::try_from_secs_f64(total / 1e6).ok().map(Some)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the units are exact in a double"
)]
fn micros(unit: &str) -> Option<f64> {
    let short = match unit {
        "" | "s" | "sec" | "second" | "seconds" => "s",
        "us" | "usec" | "µs" => return Some(1.0),
        "ms" | "msec" => "ms",
        "m" | "min" | "minute" | "minutes" => "min",
        "h" | "hr" | "hour" | "hours" => "h",
        "d" | "day" | "days" => "d",
        "w" | "week" | "weeks" => "w",
        "M" | "month" | "months" => "month",
        "y" | "year" | "years" => "y",
        _ => return None,
    };
    UNITS
        .iter()
        .find(|(name, _)| *name == short)
        .map(|(_, micros)| *micros as f64)
}

/// As `show` prints it: `1min 30s`, `1.500000s`, `infinity`, `0`.
pub(crate) fn format(span: Span) -> String {
    let Some(span) = span else {
        return "infinity".to_owned();
    };
    let mut left = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0".to_owned();
    }
    let mut parts = Vec::new();
    for (name, micros) in UNITS {
        if left < micros {
            continue;
        }
        let below = left % micros;
        // Below a minute a remainder is written as a fraction, and that ends it.
        if micros <= 1_000_000 && below > 0 {
            let digits = if micros == 1_000_000 { 6 } else { 3 };
            parts.push(format!("{}.{below:0digits$}{name}", left / micros));
            return parts.join(" ");
        }
        parts.push(format!("{}{name}", left / micros));
        left = below;
    }
    if left > 0 {
        parts.push(format!("{left}us"));
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_come_back_as_systemd_prints_them() {
        let seen_on_a_host = [
            ("90", "1min 30s"),
            ("1min", "1min"),
            ("2h", "2h"),
            ("500ms", "500ms"),
            ("1min 30s", "1min 30s"),
            ("infinity", "infinity"),
            ("1.5s", "1.500000s"),
            ("100us", "100us"),
            ("3d", "3d"),
            ("1w 2d", "1w 2d"),
            ("1593.050620s", "26min 33.050620s"),
        ];
        for (written, printed) in seen_on_a_host {
            assert_eq!(
                parse(written).map(format).as_deref(),
                Some(printed),
                "{written}"
            );
        }
        for wrong in ["", "x", "1q", "-1"] {
            assert_eq!(parse(wrong), None, "`{wrong}`");
        }
    }
}
