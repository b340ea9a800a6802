//! What two services on one host may not share.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::ids::HostName;

use super::mistake::Findings;
use super::service::ReadService;
use super::source::At;

/// Refuses one `install_dir`, one unit or one `link` for two services that share a host.
pub(crate) fn check(services: &[ReadService], f: &mut Findings<'_>) {
    shared(services, "install_dir", f, |read| {
        (vec![read.service.install_dir.clone()], &read.install_dir)
    });
    shared(services, "unit", f, |read| {
        let scoped = |unit| format!("{unit} ({:?})", read.service.scope);
        (read.service.units.iter().map(scoped).collect(), &read.units)
    });
    shared(services, "link", f, |read| {
        (read.service.link.iter().cloned().collect(), &read.link)
    });
}

fn shared<'r>(
    services: &'r [ReadService],
    what: &str,
    f: &mut Findings<'_>,
    values: impl Fn(&'r ReadService) -> (Vec<String>, &'r At),
) {
    let mut owners: BTreeMap<String, Vec<(&ReadService, &At)>> = BTreeMap::new();
    for read in services {
        let (values, at) = values(read);
        for value in values.into_iter().filter(|value| !value.is_empty()) {
            let owners = owners.entry(value.clone()).or_default();
            let twin = owners
                .iter()
                .find_map(|(other, place)| Some((other, place, common_host(other, read)?)));
            if let Some((other, place, host)) = twin {
                let value = value.split(" (").next().unwrap_or_default();
                let message = format!(
                    "services `{}` and `{}` have the same {what} `{value}` on host `{host}`",
                    other.service.name, read.service.name
                );
                let help = format!("the other is at {}; give each its own", f.location(place));
                f.wrong_help(at, message, help);
            }
            owners.push((read, at));
        }
    }
}

fn common_host<'r>(one: &'r ReadService, other: &'r ReadService) -> Option<&'r HostName> {
    let all = |read: &'r ReadService| (read.service.carriers()).chain(&read.service.out_of_service);
    let of_one: BTreeSet<_> = all(one).collect();
    all(other).find(|host| of_one.contains(host))
}
