//! `unit`, `units` and `socket` of a service.

use super::mistake::Findings;
use super::reader::{Entry, Table};
use super::source::At;
use crate::core::ids::UnitName;

/// systemd's limit for the name of a unit.
const UNIT_NAME_MAX: usize = 255;

/// Exactly one of `unit` and `units`.
pub(crate) fn units(
    table: &mut Table<'_>,
    service: &At,
    f: &mut Findings<'_>,
) -> (Vec<UnitName>, At) {
    let (one, many) = (table.take("unit"), table.take("units"));
    if let (Some(_), Some(many)) = (&one, &many) {
        f.wrong(&many.key, "`unit` and `units` exclude each other");
    }
    let (entries, at) = match (one, many) {
        (Some(one), _) => {
            let at = one.at.clone();
            (vec![one], at)
        }
        (None, Some(many)) => {
            let entries = many.list(f);
            if entries.as_ref().is_some_and(Vec::is_empty) {
                f.wrong(&many.at, "`units` is empty");
            }
            (entries.unwrap_or_default(), many.at)
        }
        (None, None) => {
            let message = format!("`unit` is missing in `[{}]`", service.key);
            f.wrong_help(
                service,
                message,
                "write `unit = \"web.service\"` or `units = [\"web.service\", \"worker.service\"]`",
            );
            (Vec::new(), service.clone())
        }
    };
    let mut in_order = Vec::new();
    for entry in &entries {
        let Some(unit) = unit(entry, f) else {
            continue;
        };
        if in_order.contains(&unit) {
            f.wrong(&entry.at, format!("unit `{unit}` is named twice"));
            continue;
        }
        in_order.push(unit);
    }
    (in_order, at)
}

fn unit(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<UnitName> {
    let text = entry.text(f)?;
    if text.contains('/') {
        let name = text.rsplit('/').next().unwrap_or_default();
        f.wrong_help(
            &entry.at,
            format!("`{text}` is a path, not the name of a unit"),
            format!("write `{name}`; a unit file that is part of the revision is `unit_file`"),
        );
        return None;
    }
    let Some(stem) = text.strip_suffix(".service") else {
        let stem = text.rsplit_once('.').map_or(text, |(stem, _)| stem);
        f.wrong_help(
            &entry.at,
            format!("unit `{text}` does not end in `.service`"),
            format!("write `{stem}.service`; other kinds of units cannot be rolled"),
        );
        return None;
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":_.\\-@".contains(c);
    let starts_well = stem.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if !starts_well || text.len() > UNIT_NAME_MAX || !stem.chars().all(allowed) {
        f.wrong(&entry.at, format!("`{text}` cannot be the name of a unit"));
        return None;
    }
    Some(UnitName::new(text))
}

/// The socket that systemd holds for the service.
pub(crate) fn socket(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<UnitName> {
    let text = entry.text(f)?;
    let stem = text.strip_suffix(".socket").unwrap_or_default();
    if stem.is_empty() || text.contains('/') {
        f.wrong_help(
            &entry.at,
            format!("`{text}` is not the name of a socket unit"),
            "write `socket = \"web.socket\"`; it is on the host already, and rollctl never stops it",
        );
        return None;
    }
    Some(UnitName::new(text))
}
