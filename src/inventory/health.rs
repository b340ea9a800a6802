//! `[services.*.health]`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::fleet::{HealthCheck, Probe, Through};

use super::mistake::Findings;
use super::placeholder::{Braces, Values, check, check_url, filled};
use super::reader::{Entry, Table};
use super::source::At;

const EXPECT_STATUS: u16 = 200;
const INTERVAL: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(2);
const SUCCESSES: u32 = 2;
const DEADLINE: Duration = Duration::from_secs(60);

/// What a service must write when it has no health check.
const WAYS: &str = "write one of `http = \"http://{address}:{port}/healthz\"`, `tcp = \"{address}:{port}\"`, \
                    `command = \"...\"` (on the host), or `unit = true` (the unit's state alone)";

/// A health check with the place of its `deadline`.
#[derive(Debug)]
pub(crate) struct ReadHealth {
    pub(crate) check: HealthCheck,
    pub(crate) deadline: Option<At>,
    /// Whether `deadline` could be read.
    pub(crate) sound: bool,
}

/// The units' state alone, with every default.
pub(crate) fn unit_alone() -> HealthCheck {
    HealthCheck {
        probe: Probe::Unit,
        through: Through::Ssh,
        interval: INTERVAL,
        timeout: TIMEOUT,
        successes: SUCCESSES,
        deadline: DEADLINE,
    }
}

/// Reads the table; without one the service is refused, since nothing would prove that a release works.
pub(crate) fn read(
    entry: Option<Entry<'_>>,
    service: &At,
    values: Values<'_>,
    f: &mut Findings<'_>,
) -> ReadHealth {
    let mut read = ReadHealth {
        check: unit_alone(),
        deadline: None,
        sound: true,
    };
    let Some(entry) = entry else {
        let message = format!(
            "`[{}.health]` is missing: nothing would show that an instance is healthy",
            service.key
        );
        f.wrong_help(service, message, WAYS);
        return read;
    };
    let Some(mut table) = entry.table(f) else {
        return read;
    };
    let health = &mut read.check;
    health.probe = probe(&mut table, values, f);
    health.through = through(&mut table, &health.probe, values, f);
    if let Some(entry) = table.take("interval") {
        health.interval = entry.duration(f).unwrap_or(INTERVAL);
    }
    if let Some(entry) = table.take("timeout") {
        health.timeout = entry.duration(f).unwrap_or(TIMEOUT);
    }
    if let Some(entry) = table.take("successes") {
        health.successes = entry.number(f, 1..=u32::MAX).unwrap_or(SUCCESSES);
    }
    if let Some(entry) = table.take("deadline") {
        let deadline = entry.duration(f);
        read.sound = deadline.is_some();
        health.deadline = deadline.unwrap_or(DEADLINE);
        read.deadline = Some(entry.at);
    }
    table.finish(f, hint);
    read
}

fn probe(table: &mut Table<'_>, values: Values<'_>, f: &mut Findings<'_>) -> Probe {
    let asked: Vec<_> = ["http", "tcp", "command", "unit"]
        .into_iter()
        .filter_map(|key| table.take(key))
        .collect();
    let expect = Expect::read(table, values, f);
    match asked.as_slice() {
        [] => {
            let at = table.at.clone();
            f.wrong_help(&at, "the health check asks nothing", WAYS);
        }
        [_] => {}
        [first, rest @ ..] => {
            for other in rest {
                let message = format!("`{}` and `{}` exclude each other", first.name, other.name);
                f.wrong_help(
                    &other.key,
                    message,
                    "a service has one probe: keep one of them",
                );
            }
        }
    }
    let Some(entry) = asked.first() else {
        return Probe::Unit;
    };
    if entry.name != "http" && asked.len() == 1 {
        expect.refuse(entry.name, f);
    }
    match entry.name {
        "http" => Probe::Http {
            url: http(entry, values, f).unwrap_or_default(),
            expect_status: expect.status.unwrap_or(EXPECT_STATUS),
            expect_body: expect.body,
            expect_json: expect.json,
        },
        "tcp" => Probe::Tcp {
            address: tcp(entry, values, f).unwrap_or_default(),
        },
        "command" => Probe::Command {
            command: command(entry, values, f).unwrap_or_default(),
        },
        _ => {
            if entry.flag(f) == Some(false) {
                f.wrong_help(&entry.at, "`unit = false` asks nothing", WAYS);
            }
            Probe::Unit
        }
    }
}

/// The `expect_*` keys.
struct Expect {
    keys: Vec<At>,
    status: Option<u16>,
    body: Option<String>,
    json: BTreeMap<String, String>,
}

impl Expect {
    fn read(table: &mut Table<'_>, values: Values<'_>, f: &mut Findings<'_>) -> Self {
        let status = table.take("expect_status");
        let body = table.take("expect_body");
        let json = table.take("expect_json");
        let keys = [&status, &body, &json]
            .into_iter()
            .filter_map(|entry| entry.as_ref().map(|entry| entry.key.clone()))
            .collect();
        Self {
            keys,
            status: status
                .and_then(|entry| entry.number(f, 100..=599))
                .and_then(|status| u16::try_from(status).ok()),
            body: body.and_then(|entry| {
                let text = entry.any_text(f)?;
                check(&entry, text, Braces::Placeholders, values, f);
                Some(text.to_owned())
            }),
            json: json
                .and_then(|entry| entry.table(f))
                .map(|table| pointers(&table, values, f))
                .unwrap_or_default(),
        }
    }

    fn refuse(&self, probe: &str, f: &mut Findings<'_>) {
        for key in &self.keys {
            let name = key.key.rsplit('.').next().unwrap_or_default();
            let message = format!("`{name}` goes with `http`, not with `{probe}`");
            f.wrong(key, message);
        }
    }
}

fn pointers(
    table: &Table<'_>,
    values: Values<'_>,
    f: &mut Findings<'_>,
) -> BTreeMap<String, String> {
    let mut pointers = BTreeMap::new();
    for entry in table.names() {
        if !entry.name.is_empty() && !entry.name.starts_with('/') {
            f.wrong_help(
                &entry.key,
                format!("`{}` is not a JSON pointer", entry.name),
                format!("write \"/{}\"", entry.name.replace('.', "/")),
            );
            continue;
        }
        if let Some(text) = entry.any_text(f) {
            check(entry, text, Braces::Placeholders, values, f);
            pointers.insert(entry.name.to_owned(), text.to_owned());
        }
    }
    pointers
}

fn http(entry: &Entry<'_>, values: Values<'_>, f: &mut Findings<'_>) -> Option<String> {
    let text = entry.text(f)?;
    check(entry, text, Braces::Placeholders, values, f);
    check_url(entry, text, "http://{address}:{port}/healthz", f);
    Some(text.to_owned())
}

fn tcp(entry: &Entry<'_>, values: Values<'_>, f: &mut Findings<'_>) -> Option<String> {
    let text = entry.text(f)?;
    check(entry, text, Braces::Placeholders, values, f);
    let address = super::address::parse(&filled(text), None);
    if !address.is_ok_and(|address| address.port.is_some()) {
        f.wrong_help(
            &entry.at,
            format!("`tcp` is not a host and a port: `{text}`"),
            "write it as `{address}:{port}` or `{address}:5432`",
        );
    }
    Some(text.to_owned())
}

fn command(entry: &Entry<'_>, values: Values<'_>, f: &mut Findings<'_>) -> Option<String> {
    // A script of several lines is fine here.
    let text = entry.any_text(f)?;
    if text.trim().is_empty() {
        f.wrong(&entry.at, "`command` is empty");
    }
    check(entry, text, Braces::Shell, values, f);
    Some(text.to_owned())
}

fn through(
    table: &mut Table<'_>,
    probe: &Probe,
    values: Values<'_>,
    f: &mut Findings<'_>,
) -> Through {
    let entry = table.take("through");
    let written = entry
        .as_ref()
        .and_then(|entry| entry.choice(f, &[("direct", Through::Direct), ("ssh", Through::Ssh)]));
    if !matches!(probe, Probe::Http { .. } | Probe::Tcp { .. }) {
        if let (Some(entry), Some(Through::Direct)) = (entry, written) {
            f.wrong_help(
                &entry.at,
                "`through = \"direct\"` goes with `http` and `tcp`",
                "a command and the unit's state are always asked on the host: leave it out",
            );
        }
        return Through::Ssh;
    }
    let is_behind_jump = |jump: &str| jump != "none";
    let behind_jump = values
        .hosts
        .iter()
        .any(|host| host.ssh.jump.as_deref().is_some_and(is_behind_jump));
    written.unwrap_or(if behind_jump {
        Through::Ssh
    } else {
        Through::Direct
    })
}

fn hint(key: &str) -> Option<String> {
    let hint = match key {
        "url" => "write `http = \"http://{address}:{port}/healthz\"`",
        "min_ready" | "progress_deadline" => "it belongs to `[services.*.strategy]`",
        "port" => "it belongs to the service, next to `unit`",
        _ => return None,
    };
    Some(hint.to_owned())
}
