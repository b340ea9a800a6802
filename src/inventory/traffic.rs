//! `[services.*.traffic]`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::fleet::Host;
use crate::core::traffic::{Traffic, TrafficDriver};

use super::mistake::Findings;
use super::paths::NamedFile;
use super::placeholder::{Braces, Values, check, words};
use super::reader::{Entry, Table};
use super::service::Around;
use super::traffic_drivers as drivers;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The drivers, each with the keys that it knows.
const DRIVERS: [(&str, &[&str]); 5] = [
    ("haproxy", &["endpoints", "backend", "server"]),
    ("nginx", &["endpoints", "upstream", "server", "nginx"]),
    ("command", &["attach", "drain", "observe"]),
    ("http", &["attach", "drain", "observe"]),
    (
        "health",
        &["drain_file", "drain_url", "poll", "fall", "rise"],
    ),
];

/// What a driver's keys are read against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    /// The service's name.
    pub(crate) service: &'a str,
    /// What placeholders can stand for; without hosts when they are not known.
    pub(crate) values: Values<'a>,
    /// All hosts of the fleet.
    pub(crate) around: Around<'a>,
    /// How long sessions are waited for.
    pub(crate) drain_timeout: Duration,
}

/// Reads the table; nothing when it has a mistake.
pub(crate) fn read<'a>(
    entry: &Entry<'_>,
    service: &'a str,
    values: Values<'a>,
    around: Around<'a>,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<Traffic> {
    let before = f.errors();
    let mut table = entry.table(f)?;
    let names = DRIVERS.map(|(name, _)| (name, name));
    let name = match table.take("driver") {
        Some(driver) => driver.choice(f, &names),
        None => {
            f.wrong_help(
                &entry.key,
                "`driver` is missing",
                "write `driver = \"haproxy\"`; there are also nginx, command, http and health",
            );
            None
        }
    };
    let drain_timeout = table
        .take("drain_timeout")
        .map_or(Some(DRAIN_TIMEOUT), |entry| entry.duration_or_zero(f));
    let setting = Setting {
        service,
        values,
        around,
        drain_timeout: drain_timeout.unwrap_or(DRAIN_TIMEOUT),
    };
    let driver = name.and_then(|name| driver(name, &mut table, setting, f, files));
    match name {
        Some(name) => finish(table, name, f),
        // Nothing is known of what a driver that does not exist would want.
        None => {
            for key in DRIVERS.iter().flat_map(|(_, keys)| keys.iter()) {
                table.take(key);
            }
            table.finish(f, |_| None);
        }
    }
    let driver = driver.filter(|_| f.errors() == before)?;
    Some(Traffic {
        driver,
        drain_timeout: drain_timeout?,
    })
}

fn driver(
    name: &str,
    table: &mut Table<'_>,
    setting: Setting<'_>,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<TrafficDriver> {
    match name {
        "haproxy" => drivers::haproxy(table, setting, f),
        "nginx" => drivers::nginx(table, setting, f),
        "command" => drivers::command(table, setting, f, files),
        "http" => drivers::http(table, setting, f),
        _ => drivers::health(table, setting, f),
    }
}

/// A key of another driver is told as such.
fn finish(table: Table<'_>, driver: &str, f: &mut Findings<'_>) {
    table.finish(f, |key| {
        let theirs: Vec<&str> = DRIVERS
            .iter()
            .filter(|(name, keys)| *name != driver && keys.contains(&key))
            .map(|(name, _)| *name)
            .collect();
        match (key, theirs.as_slice()) {
            ("interval", []) if driver == "health" => {
                Some("how often the balancer polls is `poll`".to_owned())
            }
            ("timeout", []) => {
                Some("how long sessions are waited for is `drain_timeout`".to_owned())
            }
            (_, []) => None,
            (key, theirs) => Some(format!(
                "`{key}` goes with the driver {}, not with {driver}",
                theirs.join(" and ")
            )),
        }
    });
}

/// A text with placeholders; `{revision}` stands for nothing where traffic is moved.
pub(crate) fn template<'t>(
    entry: &Entry<'t>,
    values: Values<'_>,
    f: &mut Findings<'_>,
) -> Option<&'t str> {
    let text = entry.text(f)?;
    check_template(entry, text, values, f);
    Some(text)
}

/// The same where the text is read already.
pub(crate) fn check_template(
    entry: &Entry<'_>,
    text: &str,
    values: Values<'_>,
    f: &mut Findings<'_>,
) {
    check(entry, text, Braces::Placeholders, values, f);
    if let Some((span, _)) = words(text).find(|(_, word)| *word == "revision") {
        let at = entry.within(f, span);
        f.wrong_help(
            &at,
            "`{revision}` stands for nothing here: a balancer knows an instance by its host and port",
            "use `{host}`, `{address}`, `{port}` or `{label.NAME}`",
        );
    }
}

/// Two hosts under one name would be taken out together.
pub(crate) fn check_distinct(
    entry: &Entry<'_>,
    text: &str,
    values: Values<'_>,
    f: &mut Findings<'_>,
) {
    let mut seen: BTreeMap<String, &Host> = BTreeMap::new();
    for host in values.hosts {
        let name = filled_for(text, host);
        if let Some(other) = seen.insert(name.clone(), host) {
            f.wrong_help(
                &entry.at,
                format!(
                    "`{}`: hosts `{}` and `{}` would both be `{name}`",
                    entry.name, other.name, host.name
                ),
                "each instance has a name of its own there: use `{host}` or `{address}`",
            );
            return;
        }
    }
}

fn filled_for(text: &str, host: &Host) -> String {
    let mut out = String::new();
    let mut done = 0;
    for (span, word) in words(text) {
        out.push_str(text.get(done..span.start).unwrap_or_default());
        match (word, word.strip_prefix("label.")) {
            ("host", _) => out.push_str(host.name.as_str()),
            ("address", _) => out.push_str(&host.address),
            (_, Some(label)) => {
                out.push_str(host.labels.get(label).map_or("", String::as_str));
            }
            _ => out.push_str(text.get(span.clone()).unwrap_or_default()),
        }
        done = span.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// A key that a driver cannot do without.
pub(crate) fn required<'t>(
    table: &mut Table<'t>,
    key: &'static str,
    example: &str,
    f: &mut Findings<'_>,
) -> Option<Entry<'t>> {
    let entry = table.take(key);
    if entry.is_none() {
        let at = table.at.clone();
        f.wrong_help(
            &at,
            format!("`{key}` is missing"),
            format!("write `{key} = {example}`"),
        );
    }
    entry
}
