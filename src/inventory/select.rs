//! A service's hosts, and what a selector that matches nothing may have meant.

use std::collections::BTreeSet;

use crate::core::fleet::Host;

use super::mistake::Findings;
use super::reader::Entry;
use super::selector::{Selector, Term, parse_selector};
use super::suggest::{list, nearest};

/// A selector with its text; nothing where it is wrong.
pub(crate) fn parse<'t>(entry: &Entry<'t>, f: &mut Findings<'_>) -> Option<(&'t str, Selector)> {
    let text = entry.text(f)?;
    match parse_selector(text) {
        Ok(selector) => Some((text, selector)),
        Err(error) => {
            let at = entry.within(f, error.span.clone());
            f.wrong_help(&at, error.to_string(), error.hint().unwrap_or_default());
            None
        }
    }
}

/// The hosts that a selector matches, in inventory order; nothing where it is wrong.
///
/// `hosts` is nothing when some of them could not be read: then a selector that matches none is no mistake.
pub(crate) fn select<'h>(
    entry: &Entry<'_>,
    hosts: &'h [Host],
    sound: bool,
    f: &mut Findings<'_>,
) -> Option<Vec<&'h Host>> {
    let (text, selector) = parse(entry, f)?;
    let found: Vec<_> = hosts.iter().filter(|host| selector.matches(host)).collect();
    if found.is_empty() && sound {
        f.wrong_help(
            &entry.at,
            format!("selector `{text}` matches no host"),
            explain_no_match(&selector, hosts),
        );
        return None;
    }
    Some(found)
}

/// What a selector that matches none of the hosts may have meant: the nearest label, value or name.
pub fn explain_no_match(selector: &Selector, hosts: &[Host]) -> String {
    for term in selector.terms() {
        if hosts.iter().any(|host| term.matches(host)) {
            continue;
        }
        return match term {
            Term::Is { label, values } => explain_label(label, values, hosts),
            Term::IsNot { label, value } => format!("every host has `{label}={value}`"),
            Term::Name { glob } => explain_name(glob.glob().glob(), hosts),
            Term::NotName { glob } => format!("`!{}` excludes every host", glob.glob().glob()),
        };
    }
    let names: Vec<_> = selector
        .terms()
        .iter()
        .filter_map(|term| match term {
            Term::Name { glob } => Some(glob.glob().glob()),
            _ => None,
        })
        .collect();
    if names.len() > 1 {
        return format!(
            "a comma means and; either of them is `{{{}}}`",
            names.join(",")
        );
    }
    "each part matches some host, but no host matches all of them: a comma means and".to_owned()
}

fn explain_label(label: &str, values: &[String], hosts: &[Host]) -> String {
    let labels: BTreeSet<&str> = hosts
        .iter()
        .flat_map(|host| host.labels.keys().map(String::as_str))
        .collect();
    if !labels.contains(label) {
        return match nearest(label, labels.iter().copied()) {
            Some(meant) => format!("no host has the label `{label}`, did you mean `{meant}`?"),
            None if labels.is_empty() => format!("no host has the label `{label}`, or any other"),
            None => format!(
                "no host has the label `{label}`; there are {}",
                list(labels)
            ),
        };
    }
    let known: BTreeSet<String> = hosts
        .iter()
        .filter_map(|host| host.labels.get(label))
        .map(|value| format!("{label}={value}"))
        .collect();
    let known = || known.iter().map(String::as_str);
    let meant = values
        .iter()
        .find_map(|value| nearest(&format!("{label}={value}"), known()));
    match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", list(known())),
    }
}

fn explain_name(glob: &str, hosts: &[Host]) -> String {
    let names = || hosts.iter().map(|host| host.name.as_str());
    let is_label_value = |host: &&Host| host.labels.values().any(|value| value == glob);
    if let Some(host) = hosts.iter().find(is_label_value)
        && let Some((label, value)) = host.labels.iter().find(|(_, value)| *value == glob)
    {
        return format!("no host is called `{glob}`, did you mean `{label}={value}`?");
    }
    match nearest(glob, names()) {
        Some(meant) => format!("no host is called `{glob}`, did you mean `{meant}`?"),
        None => format!("no host is called `{glob}`; there are {}", list(names())),
    }
}
