//! `[services.*.traffic]`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::fleet::Host;
use crate::core::ids::HostName;
use crate::core::traffic::{Endpoint, TrafficDriver, TrafficSettings};

use super::mistake::Findings;
use super::placeholder::words;
use super::reader::{Entry, Table};
use super::suggest::nearest;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
const SERVER: &str = "{host}";

/// The drivers of the contract; those that are not there yet are known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Driver {
    Haproxy,
    Later,
}

const DRIVERS: [(&str, Driver); 5] = [
    ("haproxy", Driver::Haproxy),
    ("nginx", Driver::Later),
    ("http", Driver::Later),
    ("command", Driver::Later),
    ("health", Driver::Later),
];

/// Reads the table; nothing when there is none. `hosts` are the service's, `all` the inventory's.
pub(crate) fn read(
    table: &mut Table<'_>,
    hosts: &[&Host],
    all: &[Host],
    f: &mut Findings<'_>,
) -> Option<TrafficSettings> {
    let entry = table.take("traffic")?;
    let mut table = entry.table(f)?;
    let driver = match table.take("driver") {
        Some(driver) => {
            let chosen = driver.choice(f, &DRIVERS);
            if chosen == Some(Driver::Later) {
                let name = driver.text(f).unwrap_or_default();
                f.not_yet(
                    &driver.at,
                    &format!("the driver `{name}`"),
                    "leave `traffic` out for now, or let HAProxy balance",
                );
            }
            chosen
        }
        None => {
            f.wrong_help(
                &entry.key,
                "`driver` is missing",
                "write `driver = \"haproxy\"`",
            );
            None
        }
    };
    let endpoints = endpoints(&mut table, driver, &entry, all, f);
    let backend = backend(&mut table, driver, &entry, f);
    let servers = servers(&mut table, hosts, f);
    let drain_timeout = table
        .take("drain_timeout")
        .and_then(|entry| entry.duration_or_zero(f))
        .unwrap_or(DRAIN_TIMEOUT);
    table.finish(f, |_| None);
    (driver == Some(Driver::Haproxy)).then_some(TrafficSettings {
        driver: TrafficDriver::Haproxy {
            endpoints,
            backend,
            servers,
        },
        drain_timeout,
    })
}

fn endpoints(
    table: &mut Table<'_>,
    driver: Option<Driver>,
    traffic: &Entry<'_>,
    all: &[Host],
    f: &mut Findings<'_>,
) -> Vec<Endpoint> {
    let Some(entry) = table.take("endpoints") else {
        if driver == Some(Driver::Haproxy) {
            f.wrong_help(
                &traffic.key,
                "`endpoints` is missing: nobody knows where HAProxy is",
                "write `endpoints = [\"tcp://192.0.2.5:9999\"]`, a `unix:/PATH` here, or `ssh://HOST/PATH` on a host of the inventory",
            );
        }
        return Vec::new();
    };
    let list = entry.list(f).unwrap_or_default();
    if list.is_empty() {
        f.wrong(&entry.at, "`endpoints` is empty");
    }
    let mut endpoints = Vec::new();
    for one in &list {
        let Some(endpoint) = one.text(f).and_then(|text| endpoint(one, text, all, f)) else {
            continue;
        };
        if endpoints.contains(&endpoint) {
            f.wrong(&one.at, format!("`{endpoint}` is named twice"));
        } else {
            endpoints.push(endpoint);
        }
    }
    endpoints
}

fn endpoint(entry: &Entry<'_>, text: &str, all: &[Host], f: &mut Findings<'_>) -> Option<Endpoint> {
    let wrong = |f: &mut Findings<'_>, message: String| {
        f.wrong_help(
            &entry.at,
            message,
            "write `tcp://ADDRESS:PORT`, `unix:/PATH` for a socket here, or `ssh://HOST/PATH` for one on a host of the inventory",
        );
        None
    };
    if let Some(rest) = text.strip_prefix("tcp://") {
        let Some((address, port)) = rest
            .rsplit_once(':')
            .and_then(|(address, port)| Some((address, port.parse().ok()?)))
            .filter(|(address, port)| !address.is_empty() && *port > 0)
        else {
            return wrong(f, format!("`{text}` does not name an address and a port"));
        };
        let address = address.trim_matches(['[', ']']).to_owned();
        return Some(Endpoint::Tcp { address, port });
    }
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') {
            return wrong(f, format!("`{text}` has no absolute path"));
        }
        let path = path.to_owned();
        return Some(Endpoint::Unix { path });
    }
    let Some((host, path)) = text
        .strip_prefix("ssh://")
        .and_then(|rest| Some((rest, rest.find('/')?)))
        .map(|(rest, slash)| rest.split_at(slash))
    else {
        return wrong(f, format!("`{text}` is not the address of a runtime API"));
    };
    let Some(found) = all.iter().find(|one| one.name.as_str() == host) else {
        let message = format!("no host is called `{host}`");
        let meant = nearest(host, all.iter().map(|one| one.name.as_str()));
        let help = match meant {
            Some(meant) => format!("did you mean `ssh://{meant}{path}`?"),
            None => format!("add it: `[hosts.{host}]`"),
        };
        f.wrong_help(&entry.at, message, help);
        return None;
    };
    Some(Endpoint::Ssh {
        host: found.name.clone(),
        path: path.to_owned(),
    })
}

fn backend(
    table: &mut Table<'_>,
    driver: Option<Driver>,
    traffic: &Entry<'_>,
    f: &mut Findings<'_>,
) -> String {
    let Some(entry) = table.take("backend") else {
        if driver == Some(Driver::Haproxy) {
            f.wrong_help(
                &traffic.key,
                "`backend` is missing",
                "write `backend = \"web\"`: the backend's name in HAProxy's configuration",
            );
        }
        return String::new();
    };
    let text = entry.text(f).unwrap_or_default();
    check_name(&entry, text, "a backend", f);
    text.to_owned()
}

/// The name of every host's server.
fn servers(
    table: &mut Table<'_>,
    hosts: &[&Host],
    f: &mut Findings<'_>,
) -> BTreeMap<HostName, String> {
    let entry = table.take("server");
    let template = entry
        .as_ref()
        .and_then(|entry| entry.text(f))
        .unwrap_or(SERVER);
    if let Some(entry) = &entry {
        for (span, word) in words(template) {
            if word != "host" && !word.starts_with("label.") {
                let at = entry.within(f, span);
                f.wrong_help(
                    &at,
                    format!("unknown placeholder `{{{word}}}`"),
                    "known are `{host}` and `{label.NAME}`",
                );
                return BTreeMap::new();
            }
        }
    }
    let mut servers: BTreeMap<HostName, String> = BTreeMap::new();
    for host in hosts {
        let name = filled(template, host);
        if let Some(entry) = &entry {
            let Some(name) = &name else {
                f.wrong(
                    &entry.at,
                    format!("`{template}`: host `{}` lacks a label of it", host.name),
                );
                return servers;
            };
            check_name(entry, name, "a server", f);
            if let Some((other, _)) = servers.iter().find(|(_, one)| *one == name) {
                f.wrong_help(
                    &entry.at,
                    format!("`{other}` and `{}` are both the server `{name}`", host.name),
                    "write `server = \"{host}\"`, or a name with a placeholder in it",
                );
                return servers;
            }
        }
        servers.insert(host.name.clone(), name.unwrap_or_default());
    }
    servers
}

/// The template for one host; nothing when it lacks a label.
fn filled(template: &str, host: &Host) -> Option<String> {
    let mut name = template.replace("{host}", host.name.as_str());
    for (_, word) in words(template) {
        if let Some(label) = word.strip_prefix("label.") {
            let value = host.labels.get(label)?;
            name = name.replace(&format!("{{{word}}}"), value);
        }
    }
    Some(name)
}

/// HAProxy's own rule for names: letters, digits, `.`, `_`, `:` and `-`.
fn check_name(entry: &Entry<'_>, name: &str, what: &str, f: &mut Findings<'_>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    if name.is_empty() || !name.chars().all(allowed) {
        f.wrong_help(
            &entry.at,
            format!("`{name}` cannot be the name of {what} in HAProxy"),
            "letters, digits, `.`, `_`, `:` and `-` are allowed",
        );
    }
}
