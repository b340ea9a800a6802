//! `order = ["role=replica", "role=primary"]`: hosts of the first selector first.

use std::collections::BTreeMap;

use crate::core::fleet::Host;
use crate::core::ids::HostName;

use super::mistake::Findings;
use super::reader::{Entry, Table};
use super::select::{explain_no_match, parse};

/// For each host that a selector matches, the place of the first that does. `hosts` are the service's; nothing when
/// they are not known.
pub(crate) fn order(
    table: &mut Table<'_>,
    hosts: &[&Host],
    f: &mut Findings<'_>,
) -> BTreeMap<HostName, u32> {
    let mut ranks = BTreeMap::new();
    let Some(entry) = table.take("order") else {
        return ranks;
    };
    let selectors = entry.list(f).unwrap_or_default();
    for (place, element) in (0_u32..).zip(&selectors) {
        rank(element, place, hosts, &mut ranks, f);
    }
    ranks
}

fn rank(
    element: &Entry<'_>,
    place: u32,
    hosts: &[&Host],
    ranks: &mut BTreeMap<HostName, u32>,
    f: &mut Findings<'_>,
) {
    let Some((text, selector)) = parse(element, f) else {
        return;
    };
    let mut found = hosts
        .iter()
        .filter(|host| selector.matches(host))
        .peekable();
    if found.peek().is_none() {
        if !hosts.is_empty() {
            let hosts: Vec<_> = hosts.iter().map(|host| (*host).clone()).collect();
            f.warn(
                &element.at,
                format!("selector `{text}` matches no host of the service"),
                explain_no_match(&selector, &hosts),
            );
        }
        return;
    }
    let before = ranks.len();
    for host in found {
        ranks.entry(host.name.clone()).or_insert(place);
    }
    if ranks.len() == before {
        f.warn(
            &element.at,
            format!("selector `{text}` orders nothing: each of its hosts matches one before it"),
            "the first selector that matches a host says when its turn is",
        );
    }
}
