//! `[[services.*.strategy.domains]]`: budgets for a quorum, a zone, a rack.

use crate::core::budget::Quantity;
use crate::core::fleet::{Domain, Host};

use super::mistake::Findings;
use super::reader::{Entry, Table};
use super::source::At;
use super::strategy::quantity;
use super::suggest::nearest;

/// The domains of a strategy. `hosts` are the service's, out of service or not; nothing when they are not known.
pub(crate) fn domains(table: &mut Table<'_>, hosts: &[&Host], f: &mut Findings<'_>) -> Vec<Domain> {
    let Some(entry) = table.take("domains") else {
        return Vec::new();
    };
    if entry.is_table() {
        let message = "`domains` must be a list of tables, not a table";
        f.wrong_help(
            &entry.key,
            message,
            format!("write `[[{}]]`", entry.key.key),
        );
        return Vec::new();
    }
    let mut read: Vec<(Domain, At)> = Vec::new();
    for element in entry.list(f).unwrap_or_default() {
        let Some((domain, at)) = domain(&element, hosts, f) else {
            continue;
        };
        if let Some((_, first)) = read.iter().find(|(other, _)| other.label == domain.label) {
            let message = format!(
                "the domain `{}` is defined twice: here and at {}",
                domain.label,
                f.location(first)
            );
            f.wrong_help(&at, message, "say both bounds in one of them");
            continue;
        }
        read.push((domain, at));
    }
    read.into_iter().map(|(domain, _)| domain).collect()
}

fn domain(element: &Entry<'_>, hosts: &[&Host], f: &mut Findings<'_>) -> Option<(Domain, At)> {
    let mut table = element.table(f)?;
    let label = table.take("label");
    let at_once = table.take("at_once");
    let max_unavailable = table.take("max_unavailable");
    let bounds_nothing = at_once.is_none() && max_unavailable.is_none();
    let at_once = at_once.and_then(|entry| entry.number(f, 1..=u32::MAX));
    let max_unavailable = max_unavailable.and_then(|entry| budget(&entry, f));
    table.finish(f, |_| None);
    let Some(label) = label else {
        f.wrong_help(
            &element.key,
            "a domain names no label",
            "write `label = \"zone\"`",
        );
        return None;
    };
    let name = label.text(f)?;
    every_host_has(&label, name, hosts, f);
    if bounds_nothing {
        f.warn(
            &label.at,
            format!("the domain `{name}` bounds nothing"),
            "write `at_once = 1` (values in work at once) or `max_unavailable = 1` (inside each value)",
        );
    }
    let domain = Domain {
        label: name.to_owned(),
        at_once,
        max_unavailable,
    };
    Some((domain, label.at))
}

/// A budget inside each value. It never comes out as 0, so that a written 0 would not hold.
fn budget(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<Quantity> {
    let found = quantity(entry, f)?;
    if found.is_zero() {
        f.wrong_help(
            &entry.at,
            "`max_unavailable` of a domain is 0: nothing in it could ever be replaced",
            "1 is the least that works; `at_once` bounds how many values are in work",
        );
        return None;
    }
    if matches!(found, Quantity::Percent(101..)) {
        f.wrong_help(
            &entry.at,
            format!("`max_unavailable` of {found} is more than 100%"),
            "leave it out where the service's own budget is enough",
        );
        return None;
    }
    Some(found)
}

fn every_host_has(label: &Entry<'_>, name: &str, hosts: &[&Host], f: &mut Findings<'_>) {
    let mut without = hosts.iter().filter(|host| !host.labels.contains_key(name));
    let Some(first) = without.next() else {
        return;
    };
    let others = match without.count() {
        0 => String::new(),
        1 => ", nor has one other host of the service".to_owned(),
        others => format!(", nor have {others} other hosts of the service"),
    };
    let message = format!("host `{}` has no label `{name}`{others}", first.name);
    let known = first.labels.keys().map(String::as_str);
    let help = match nearest(name, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("every host of the service is in one: `labels = {{ {name} = \"...\" }}`"),
    };
    f.wrong_help(&label.at, message, help);
}
