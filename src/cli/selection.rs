//! Which hosts a rollout may touch, and where each stands in the service's order and domains.

use super::args::RolloutArgs;
use super::error::CliError;
use crate::core::fleet::{Fleet, Host, Service, Strategy};
use crate::core::spec::{DomainBudget, HostSpec};
use crate::inventory::{Selector, explain_no_match, parse_selector};

/// The service's hosts as a rollout sees them. Budgets and domains are over all of them, selected or not.
#[derive(Debug)]
pub(crate) struct Selection {
    /// The ordinary hosts in service, in inventory order, then the spare ones.
    pub(crate) hosts: Vec<HostSpec>,
    /// The failure domains that [`HostSpec::values`] point into.
    pub(crate) domains: Vec<DomainBudget>,
}

impl Selection {
    /// How many hosts the rollout may touch.
    pub(crate) fn selected(&self) -> u32 {
        let ordinary = self.hosts.iter().filter(|host| !host.spare);
        let selected = ordinary.filter(|host| host.selected).count();
        u32::try_from(selected).unwrap_or(u32::MAX)
    }
}

/// What `--hosts` and `--exclude` leave of the service's hosts.
///
/// # Errors
/// Exit code 2 when one of them matches no host of the service, or when no host is left.
pub(crate) fn selection(
    fleet: &Fleet,
    service: &Service,
    args: &RolloutArgs,
) -> Result<Selection, CliError> {
    let by_name = fleet.by_name();
    let found = |name| by_name.get(name).copied();
    let members: Vec<&Host> = service.hosts.iter().filter_map(found).collect();
    let only = match args.hosts.as_deref() {
        Some(text) => Some(flag("--hosts", text, service, &members)?),
        None => None,
    };
    // A host that is out of service is excluded already; to say so twice is no mistake.
    let aside = service.out_of_service.iter().filter_map(found);
    let spares = service.spare_hosts.iter().filter_map(found);
    let all: Vec<&Host> = (members.iter().copied().chain(aside))
        .chain(spares.clone())
        .collect();
    let except = args
        .exclude
        .iter()
        .map(|text| flag("--exclude", text, service, &all))
        .collect::<Result<Vec<_>, _>>()?;
    let is_selected = |host: &Host| {
        only.as_ref().is_none_or(|only| only.matches(host))
            && !except.iter().any(|except| except.matches(host))
    };
    let mut hosts: Vec<_> = members
        .iter()
        .map(|host| HostSpec::new(host.name.clone(), is_selected(host)))
        .collect();
    if !except.is_empty() && !hosts.iter().any(|host| host.selected) {
        return Err(nobody_left(service, args));
    }
    place_in_order(&mut hosts, &service.strategy);
    let domains = place_in_domains(&mut hosts, &members, &service.strategy);
    // Which hosts are updated, `--hosts` says; what carries the surge meanwhile is another question.
    hosts.extend(spares.map(|host| HostSpec {
        selected: !except.iter().any(|except| except.matches(host)),
        ..HostSpec::spare(host.name.clone())
    }));
    Ok(Selection { hosts, domains })
}

/// A selector that was typed and matches at least one of the hosts.
fn flag(name: &str, text: &str, service: &Service, hosts: &[&Host]) -> Result<Selector, CliError> {
    let selector = parse_selector(text).map_err(|error| CliError {
        hint: error.hint(),
        ..CliError::usage(format!("{name}: {error}"))
    })?;
    if hosts.iter().any(|host| selector.matches(host)) {
        return Ok(selector);
    }
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).clone()).collect();
    let what = format!("{name} `{text}` matches no host of `{}`", service.name);
    Err(CliError::usage(what).hint(explain_no_match(&selector, &hosts)))
}

fn nobody_left(service: &Service, args: &RolloutArgs) -> CliError {
    let of = match &args.hosts {
        Some(hosts) => format!("--exclude leaves none of the hosts that --hosts `{hosts}` selects"),
        None => format!("--exclude leaves no host of `{}`", service.name),
    };
    CliError::usage(of)
        .hint("each `--exclude` takes its hosts out of the rollout; drop one of them")
}

/// Hosts that no selector of `order` matches come after all others.
fn place_in_order(hosts: &mut [HostSpec], strategy: &Strategy) {
    let last = strategy.order.values().max().map_or(0, |rank| rank + 1);
    for host in hosts {
        host.rank = strategy.order.get(&host.name).copied().unwrap_or(last);
    }
}

fn place_in_domains(
    hosts: &mut [HostSpec],
    members: &[&Host],
    strategy: &Strategy,
) -> Vec<DomainBudget> {
    let mut domains = Vec::new();
    for domain in &strategy.domains {
        // The inventory refuses a host without the label.
        let labels = members
            .iter()
            .map(|host| host.labels.get(&domain.label).map_or("", String::as_str));
        let (budget, places) = DomainBudget::resolve(domain, labels);
        for (host, place) in hosts.iter_mut().zip(places) {
            host.values.push(place);
        }
        domains.push(budget);
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::ExitCode;

    const INVENTORY: &str = r#"
[hosts."web-[1-4]"]
labels = { role = "web", zone = "a" }
[hosts.web-5]
labels = { role = "web", zone = "b" }
[hosts.web-6]
labels = { role = "web", zone = "b" }
out_of_service = true
[hosts.db-1]
[services.web]
hosts = "web-*"
unit = "web.service"
install_dir = "/opt/web"
health.unit = true
[services.web.strategy]
order = ["zone=b", "web-3", "web-[23]"]
[[services.web.strategy.domains]]
label = "zone"
at_once = 1
max_unavailable = "50%"
[[services.web.strategy.domains]]
label = "role"
max_unavailable = 2
"#;

    fn fleet() -> Fleet {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.toml");
        std::fs::write(&path, INVENTORY).unwrap();
        crate::inventory::load(&path).unwrap().fleet
    }

    fn select(hosts: &str, exclude: &[&str]) -> Result<Selection, CliError> {
        let fleet = fleet();
        let args = RolloutArgs {
            hosts: Some(hosts.to_owned()).filter(|text| !text.is_empty()),
            exclude: exclude.iter().map(|text| (*text).to_owned()).collect(),
            ..RolloutArgs::default()
        };
        selection(&fleet, &fleet.services[0], &args)
    }

    #[test]
    fn hosts_are_chosen_and_taken_out() {
        for (hosts, exclude, expected) in [
            ("", &[][..], "12345"),
            ("zone=a", &[], "1234"),
            ("", &["web-3"], "1245"),
            ("", &["web-3", "web-4"], "125"),
            ("", &["web-[12]", "web-2"], "345"),
            ("", &["zone=b"], "1234"),
            ("zone=a", &["web-1"], "234"),
            // Out of service, so that it is no part of it anyway; not selected, likewise.
            ("", &["web-6"], "12345"),
            ("zone=a", &["web-5"], "1234"),
        ] {
            let selection = select(hosts, exclude).unwrap();
            assert_eq!(selection.hosts.len(), 5, "budgets are over all of them");
            let found: String = selection
                .hosts
                .iter()
                .filter(|host| host.selected)
                .map(|host| host.name.as_str().replace("web-", ""))
                .collect();
            assert_eq!(found, expected, "{hosts} without {exclude:?}");
            assert_eq!(selection.selected() as usize, expected.len());
        }
    }

    #[test]
    fn what_selects_nobody_is_explained() {
        for (hosts, exclude, message, hint) in [
            (
                "web-9",
                &[][..],
                "--hosts `web-9` matches no host of `web`",
                "did you mean `web-1`?",
            ),
            ("web=", &[], "--hosts: selector `web=`", "parts are"),
            (
                "",
                &["wbe-3"],
                "--exclude `wbe-3` matches no host of `web`",
                "did you mean `web-3`?",
            ),
            (
                "",
                &["web-1", "db-1"],
                "--exclude `db-1` matches no host of `web`",
                "no host is called `db-1`",
            ),
            (
                "",
                &["web-1,web-2"],
                "--exclude `web-1,web-2` matches no host",
                "either of them is `{web-1,web-2}`",
            ),
            ("", &["(x"], "--exclude: selector `(x`", "parts are"),
            ("", &["web-*"], "--exclude leaves no host of `web`", "drop"),
            (
                "zone=b",
                &["web-5"],
                "--exclude leaves none of the hosts that --hosts `zone=b` selects",
                "drop",
            ),
        ] {
            let error = select(hosts, exclude).unwrap_err();
            assert_eq!(error.code, ExitCode::Usage, "{}", error.message);
            assert!(error.message.contains(message), "{}", error.message);
            let said = error.hint.unwrap_or_default();
            assert!(said.contains(hint), "{message}: {said}");
        }
    }

    #[test]
    fn each_host_has_its_place() {
        let selection = select("zone=a", &["web-1"]).unwrap();
        let places: Vec<_> = selection
            .hosts
            .iter()
            .map(|host| (host.rank, host.values.clone()))
            .collect();
        // web-1 and web-4 match no selector; zone a is the first value, zone b the second.
        let expected = [(3, 0), (2, 0), (1, 0), (3, 0), (0, 1)];
        assert_eq!(places, expected.map(|(rank, zone)| (rank, vec![zone, 0])));
        let budgets: Vec<_> = selection
            .domains
            .iter()
            .map(|domain| {
                let values = domain.values.iter();
                let values: Vec<_> = values
                    .map(|value| (value.value.as_str(), value.desired, value.max_unavailable))
                    .collect();
                (domain.label.as_str(), domain.at_once, values)
            })
            .collect();
        assert_eq!(
            budgets,
            [
                ("zone", Some(1), vec![("a", 4, Some(2)), ("b", 1, Some(1))]),
                ("role", None, vec![("web", 5, Some(2))]),
            ]
        );
    }
}
