//! Values that are written as text: durations and quantities. Also what `--max-unavailable 25%` means.

use std::time::Duration;

use jiff::fmt::friendly::SpanParser;

use crate::core::budget::Quantity;

/// The longest duration: a year is a slip of the pen, and sums must not overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It does not read as one.
    #[error("`{0}` is not a duration")]
    Form(String),
    /// Finer than a millisecond.
    #[error("`{0}` is finer than a millisecond")]
    TooFine(String),
    /// More than a year.
    #[error("`{0}` is longer than a year")]
    TooLong(String),
}

/// Reads `10s`, `1m30s`, `500ms`, `1h`.
///
/// # Errors
/// When it is something else, finer than a millisecond or longer than a year.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    // Days and weeks, which may be longer or shorter than 24 hours, are refused by the parser.
    let duration = SpanParser::new()
        .parse_unsigned_duration(text)
        .map_err(|_| DurationError::Form(text.to_owned()))?;
    if duration > LONGEST {
        return Err(DurationError::TooLong(text.to_owned()));
    }
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(DurationError::TooFine(text.to_owned()));
    }
    Ok(duration)
}

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Neither a number nor a percentage.
    #[error("`{0}` is neither a number nor a percentage such as `25%`")]
    Form(String),
    /// Below zero.
    #[error("`{0}` is negative")]
    Negative(String),
    /// A share above what makes sense.
    #[error("`{0}` is too much")]
    TooMuch(String),
}

/// The largest share: more replicas than that is a slip of the pen.
const MOST_PERCENT: u32 = 1_000;

/// Reads `3` or `25%`.
///
/// # Errors
/// When it is something else, negative, or a share above 1000 %.
pub fn parse_quantity(text: &str) -> Result<Quantity, QuantityError> {
    let (digits, percent) = match text.strip_suffix('%') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if digits.strip_prefix('-').is_some_and(is_number) {
        return Err(QuantityError::Negative(text.to_owned()));
    }
    if !is_number(digits) {
        return Err(QuantityError::Form(text.to_owned()));
    }
    let too_much = || QuantityError::TooMuch(text.to_owned());
    let number: u32 = digits.parse().map_err(|_| too_much())?;
    match percent {
        true if number > MOST_PERCENT => Err(too_much()),
        true => Ok(Quantity::Percent(number)),
        false => Ok(Quantity::Count(number)),
    }
}

/// Why two budgets cannot work together (contract, end of section 2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// Nothing could ever start or stop.
    #[error("`max_surge` and `max_unavailable` are both 0: nothing could ever be replaced")]
    BothZero,
    /// More than all.
    #[error("`max_unavailable` of {0} is more than 100%")]
    OverAll(Quantity),
}

/// Refuses budgets that cannot work, as they were written, before any rounding.
///
/// # Errors
/// When both are 0, or `max_unavailable` is over 100 %.
pub fn check_budgets(max_surge: Quantity, max_unavailable: Quantity) -> Result<(), BudgetError> {
    if matches!(max_unavailable, Quantity::Percent(percent) if percent > 100) {
        return Err(BudgetError::OverAll(max_unavailable));
    }
    if max_surge.is_zero() && max_unavailable.is_zero() {
        return Err(BudgetError::BothZero);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("10s", Some(10_000)),
            ("1m30s", Some(90_000)),
            ("1m 30s", Some(90_000)),
            ("500ms", Some(500)),
            ("1.5s", Some(1_500)),
            ("0s", Some(0)),
            ("2h", Some(7_200_000)),
            ("10 seconds", Some(10_000)),
            ("10", None),
            ("", None),
            ("-1s", None),
            ("1s ago", None),
            ("1us", None),
            ("9000h", None),
            ("99999999999999999999h", None),
            ("ten", None),
        ] {
            let found = parse_duration(text).ok().map(|d| d.as_millis());
            assert_eq!(found, millis, "{text:?}");
        }
    }

    #[test]
    fn quantities() {
        for (text, expected) in [
            ("3", Some(Quantity::Count(3))),
            ("25%", Some(Quantity::Percent(25))),
            ("0%", Some(Quantity::Percent(0))),
            ("1000%", Some(Quantity::Percent(1000))),
            ("1001%", None),
            ("-1", None),
            ("-5%", None),
            ("2.5%", None),
            ("25 %", None),
            ("%", None),
            ("", None),
            ("+3", None),
            ("99999999999", None),
        ] {
            assert_eq!(parse_quantity(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn budgets_as_written() {
        use Quantity::{Count, Percent};
        for (surge, unavailable, works) in [
            (Count(0), Count(1), true),
            (Count(0), Count(0), false),
            (Percent(0), Count(0), false),
            (Count(0), Percent(0), false),
            (Count(1), Count(0), true),
            (Percent(1), Percent(1), true),
            (Count(0), Percent(100), true),
            (Count(0), Percent(101), false),
            (Percent(200), Percent(10), true),
            (Count(0), Count(500), true),
        ] {
            assert_eq!(
                check_budgets(surge, unavailable).is_ok(),
                works,
                "{surge} {unavailable}"
            );
        }
    }
}
