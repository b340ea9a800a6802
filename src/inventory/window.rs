//! `[services.*.window]`: when a service may be rolled.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::core::window::{Allow, DAY, Freeze, Window};

use super::mistake::Findings;
use super::reader::{Entry, Table};
use super::suggest::nearest;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const ALLOW_HELP: &str = "write it as \"Mon..Thu 09:00-16:00 Europe/Berlin\", \"Sat,Sun 22:00-04:00 UTC\" or, every day, \"09:00-16:00 UTC\"";
const FREEZE_HELP: &str =
    "write it as \"2026-12-20..2027-01-02\", both days included, or as one day";

/// The window of a service; nothing: it may always be rolled.
pub(crate) fn read(table: &mut Table<'_>, f: &mut Findings<'_>) -> Option<Window> {
    let entry = table.take("window")?;
    let mut table = entry.table(f)?;
    let (allow, freeze) = (table.take("allow"), table.take("freeze"));
    table.finish(f, |key| {
        let is_zone = matches!(key, "time_zone" | "timezone" | "zone" | "tz");
        is_zone.then(|| "the time zone stands at the end of each entry".to_owned())
    });
    if allow.is_none() && freeze.is_none() {
        f.warn(
            &entry.key,
            "`window` says nothing",
            "write `allow = [\"Mon..Thu 09:00-16:00 Europe/Berlin\"]`, or leave it out",
        );
    }
    let allow = allow.map_or_else(Vec::new, |entry| allowed(&entry, f));
    let zones: Vec<&TimeZone> = allow.iter().map(|allow| &allow.zone).collect();
    let usual = zones
        .first()
        .filter(|first| zones.iter().all(|zone| zone == *first));
    let entries = freeze.and_then(|entry| entry.list(f)).unwrap_or_default();
    let freeze = entries
        .iter()
        .filter_map(|entry| frozen(entry, usual.copied(), f))
        .collect();
    Some(Window { allow, freeze })
}

fn allowed(entry: &Entry<'_>, f: &mut Findings<'_>) -> Vec<Allow> {
    let Some(entries) = entry.list(f) else {
        return Vec::new();
    };
    if entries.is_empty() {
        f.wrong_help(
            &entry.at,
            "`allow` is empty: the window would never open",
            "leave it out where only `freeze` is to hold",
        );
    }
    entries
        .iter()
        .filter_map(|entry| one_allowed(entry, f))
        .collect()
}

fn one_allowed(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<Allow> {
    let text = entry.text(f)?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let (days, hours, place) = match words.as_slice() {
        [hours, place] if hours.contains(':') => (None, *hours, Some(*place)),
        [hours] if hours.contains(':') => (None, *hours, None),
        [days, hours] => (Some(*days), *hours, None),
        [days, hours, place] => (Some(*days), *hours, Some(*place)),
        _ => {
            f.wrong_help(&entry.at, format!("`{text}` is not a window"), ALLOW_HELP);
            return None;
        }
    };
    let read_days = days.map_or(Some([true; 7]), days_of);
    let read_hours = hours_of(hours);
    let problem = match (&read_days, &read_hours) {
        (None, _) => format!("`{}` are no days", days.unwrap_or_default()),
        (_, None) => format!("`{hours}` are no hours"),
        (_, Some((from, to))) if from == to => format!("`{hours}` has no length"),
        _ => String::new(),
    };
    if !problem.is_empty() {
        f.wrong_help(&entry.at, problem, ALLOW_HELP);
        return None;
    }
    let zone = match place {
        Some(place) => zone(place, entry, f)?,
        None => {
            f.wrong_help(
                &entry.at,
                format!("`{text}` names no time zone"),
                ALLOW_HELP,
            );
            return None;
        }
    };
    let (days, (from, to)) = (read_days?, read_hours?);
    Some(Allow {
        days,
        from,
        to,
        zone,
    })
}

/// `Mon..Thu,Sat`; a range may go over the end of the week.
fn days_of(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once("..").unwrap_or((part, part));
        let (first, last) = (day_of(first)?, day_of(last)?);
        let length = (last + 7 - first) % 7;
        for day in first..=first + length {
            *days.get_mut(day % 7)? = true;
        }
    }
    Some(days)
}

fn day_of(text: &str) -> Option<usize> {
    let text = text.to_ascii_lowercase();
    let long = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    let place = |names: &[&str; 7]| names.iter().position(|name| *name == text);
    place(&DAYS).or_else(|| place(&long))
}

/// `09:00-16:00`, in minutes of the day; only an end may be `24:00`.
fn hours_of(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute_of(from)?, minute_of(to)?);
    (from < DAY).then_some((from, to))
}

fn minute_of(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let is_number = |text: &str, lengths: &[usize]| {
        lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    if !is_number(hour, &[1, 2]) || !is_number(minute, &[2]) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let all = hour * 60 + minute;
    (minute < 60 && all <= DAY).then_some(all)
}

/// `2026-12-20..2027-01-02`, and perhaps a time zone.
fn frozen(entry: &Entry<'_>, usual: Option<&TimeZone>, f: &mut Findings<'_>) -> Option<Freeze> {
    let text = entry.text(f)?;
    let (days, place) = match text.split_once(char::is_whitespace) {
        Some((days, place)) => (days, Some(place.trim())),
        None => (text, None),
    };
    let (first, last) = days.split_once("..").unwrap_or((days, days));
    let date = |text: &str| {
        text.parse::<Date>()
            .ok()
            .filter(|_| text.len() == "2026-12-20".len())
    };
    let (Some(first), Some(last)) = (date(first), date(last)) else {
        f.wrong_help(
            &entry.at,
            format!("`{days}` is not a time of freeze"),
            FREEZE_HELP,
        );
        return None;
    };
    if last < first {
        f.wrong(&entry.at, format!("`{days}` ends before it begins"));
        return None;
    }
    let zone = match (place, usual) {
        (Some(place), _) => zone(place, entry, f)?,
        (None, Some(usual)) => usual.clone(),
        (None, None) => {
            f.wrong_help(
                &entry.at,
                format!("`{text}` names no time zone, and `allow` has not just one"),
                format!("write \"{text} Europe/Berlin\", or UTC"),
            );
            return None;
        }
    };
    Some(Freeze { first, last, zone })
}

fn zone(name: &str, entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<TimeZone> {
    if let Ok(zone) = TimeZone::get(name) {
        return Some(zone);
    }
    let message = format!("`{name}` is not a time zone");
    let known: Vec<_> = jiff::tz::db()
        .available()
        .map(|name| name.to_string())
        .collect();
    match nearest(name, known.iter().map(String::as_str)) {
        Some(meant) => f.wrong_help(&entry.at, message, format!("did you mean `{meant}`?")),
        None => f.wrong_help(&entry.at, message, "write it as `Europe/Berlin` or `UTC`"),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        for (text, expected) in [
            ("Mon", Some("1")),
            ("Mon..Thu", Some("1234")),
            ("mon,WED,Friday", Some("135")),
            ("Sat..Mon", Some("167")),
            ("Mon..Wed,Sun", Some("1237")),
            ("Mon..Mon", Some("1")),
            ("Mon-Thu", None),
            ("Mo..Do", None),
            ("Mon..", None),
            ("", None),
            ("daily", None),
        ] {
            let found = days_of(text).map(|days| -> String {
                (1..=7)
                    .filter(|day| days[day - 1])
                    .map(|day| day.to_string())
                    .collect()
            });
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn hours() {
        for (text, expected) in [
            ("09:00-16:00", Some((540, 960))),
            ("9:30-16:05", Some((570, 965))),
            ("22:00-04:00", Some((1320, 240))),
            ("00:00-24:00", Some((0, 1440))),
            ("24:00-04:00", None),
            ("09:60-10:00", None),
            ("25:00-26:00", None),
            ("9-16", None),
            ("09:00", None),
            ("09:00..16:00", None),
            ("+9:00-16:00", None),
            ("09:0-16:00", None),
        ] {
            assert_eq!(hours_of(text), expected, "{text:?}");
        }
    }
}
