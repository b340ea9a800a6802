//! Values of flags: text to types, with a message that says what would be right.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::core::budget::Quantity;
use crate::core::fleet::Scope;
use crate::core::ids::{HostName, RevisionName, RevisionNumber, ServiceName};
use crate::core::time::Timestamp;
use crate::report::Output;

impl clap::ValueEnum for Output {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Human, Self::Json]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::Human => "human",
            Self::Json => "json",
        }))
    }
}

impl clap::ValueEnum for Scope {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::System, Self::User]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::System => "system",
            Self::User => "user",
        }))
    }
}

/// A user of this machine, as systemd takes one.
pub(crate) fn user_name(text: &str) -> Result<String, String> {
    let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.@".contains(c));
    match is_name {
        true => Ok(text.to_owned()),
        false => Err("a user's name has letters, digits, `_`, `-` and `.`".to_owned()),
    }
}

/// A revision as a person names it: `v1.4.1` or `3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevisionChoice {
    /// By name.
    Name(RevisionName),
    /// By number; a name is never all digits.
    Number(RevisionNumber),
}

impl FromStr for RevisionChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return match text.parse() {
                Ok(0) | Err(_) => Err("revisions are numbered from 1".to_owned()),
                Ok(number) => Ok(Self::Number(RevisionNumber(number))),
            };
        }
        RevisionName::parse(text)
            .map(Self::Name)
            .map_err(|error| error.to_string())
    }
}

impl fmt::Display for RevisionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// `3` or `25%`.
pub(crate) fn quantity(text: &str) -> Result<Quantity, String> {
    let wrong = || "write a number such as 3, or a share such as 25%".to_owned();
    match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse().map(Quantity::Percent),
        None => text.parse().map(Quantity::Count),
    }
    .map_err(|_| wrong())
}

/// As [`quantity`], at most all of them.
pub(crate) fn unavailable(text: &str) -> Result<Quantity, String> {
    match quantity(text)? {
        Quantity::Percent(percent) if percent > 100 => {
            Err("no more than all can be unavailable: over 100 % makes no sense".to_owned())
        }
        fine => Ok(fine),
    }
}

/// A service's name; whether there is such a service is for the inventory to say.
pub(crate) fn service_name(text: &str) -> Result<ServiceName, Infallible> {
    Ok(ServiceName::new(text))
}

/// A host's name; whether there is such a host is for the inventory to say.
pub(crate) fn host_name(text: &str) -> Result<HostName, Infallible> {
    Ok(HostName::new(text))
}

/// A time that somebody typed.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// This one.
    At(Timestamp),
    /// So long before now: `2d ago`.
    Ago(jiff::Span),
}

impl Moment {
    /// The moment itself.
    ///
    /// # Errors
    /// When it is before all times.
    pub fn before(self, now: Timestamp) -> Result<Timestamp, String> {
        let ago = match self {
            Self::At(moment) => return Ok(moment),
            Self::Ago(ago) => ago,
        };
        let zone = jiff::tz::TimeZone::system();
        jiff::Timestamp::from_millisecond(now.as_millis())
            .and_then(|now| now.to_zoned(zone).checked_add(ago))
            .map(|then| Timestamp::from_millis(then.timestamp().as_millisecond()))
            .map_err(|error| error.to_string())
    }
}

/// A time: RFC 3339, a date and time or a date where this machine is, or so long ago.
///
/// # Errors
/// When it is none of them.
pub fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Moment::At(Timestamp::from_millis(time.as_millisecond())));
    }
    if let Ok(civil) = text.parse::<jiff::civil::DateTime>() {
        let here = civil.to_zoned(jiff::tz::TimeZone::system());
        let here = here.map_err(|error| error.to_string())?;
        return Ok(Moment::At(Timestamp::from_millis(
            here.timestamp().as_millisecond(),
        )));
    }
    match text.parse::<jiff::Span>() {
        Ok(span) if span.is_negative() => Ok(Moment::Ago(span)),
        _ => Err("write `2026-11-20 14:00`, `2026-11-20T13:00Z` or `2d ago`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_chosen_by_name_or_number() {
        for (text, expected) in [
            ("3", Some(RevisionChoice::Number(RevisionNumber(3)))),
            (
                "v1.4.1",
                RevisionName::parse("v1.4.1").ok().map(RevisionChoice::Name),
            ),
            (
                "r3",
                RevisionName::parse("r3").ok().map(RevisionChoice::Name),
            ),
            ("0", None),
            ("", None),
            ("99999999999", None),
            ("v1/..", None),
        ] {
            assert_eq!(text.parse::<RevisionChoice>().ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_budget_is_a_number_or_a_share() {
        for (text, expected) in [
            ("3", Some(Quantity::Count(3))),
            ("0", Some(Quantity::Count(0))),
            ("25%", Some(Quantity::Percent(25))),
            ("25 %", Some(Quantity::Percent(25))),
            ("-1", None),
            ("1.5", None),
            ("%", None),
            ("", None),
        ] {
            assert_eq!(quantity(text).ok(), expected, "{text:?}");
        }
        assert!(unavailable("100%").is_ok());
        assert!(unavailable("101%").is_err());
    }

    #[test]
    fn times_as_people_write_them() {
        let now = moment("2026-11-22T12:00:00Z").unwrap();
        let Moment::At(now) = now else {
            panic!("{now:?}")
        };
        for (text, expected) in [
            ("2026-11-22T12:00:00Z", 0),
            ("2026-11-22T12:00+01:00", -3_600),
            ("2h ago", -7_200),
            ("1 day 30 minutes ago", -88_200),
        ] {
            let then = moment(text).unwrap().before(now).unwrap();
            assert_eq!(
                (then.as_millis() - now.as_millis()) / 1_000,
                expected,
                "{text}"
            );
        }
        for text in ["2026-11-20 14:00", "2026-11-20"] {
            assert!(matches!(moment(text), Ok(Moment::At(_))), "{text}");
        }
        for text in ["", "tuesday", "2h", "99"] {
            assert!(moment(text).unwrap_err().contains("2d ago"), "{text}");
        }
    }
}
