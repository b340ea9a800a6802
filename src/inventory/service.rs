//! `[services.*]`.

use crate::core::fleet::{Host, Scope, Service, Trust};
use crate::core::ids::{HostName, ServiceName, UnitName};
use crate::core::traffic::Traffic;

use super::channel;
use super::content;
use super::health;
use super::hooks;
use super::mistake::Findings;
use super::paths::{self, NamedFile};
use super::placeholder::Values;
use super::reader::{Entry, Table};
use super::select::{explain_no_match, parse, select};
use super::side;
use super::source::At;
use super::strategy::ReadStrategy;
use super::traffic;
use super::trust;
use super::units::{socket, units};
use super::window;

const REVISION_HISTORY_LIMIT: u32 = 10;
/// The longest name of a service: it becomes part of the names of units and folders.
const NAME_MAX: usize = 64;

/// A service with the places of what must be its own.
#[derive(Debug)]
pub(crate) struct ReadService {
    pub(crate) service: Service,
    pub(crate) install_dir: At,
    pub(crate) units: At,
    pub(crate) link: At,
}

/// What a service is read against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'h> {
    pub(crate) hosts: &'h [Host],
    /// The fleet's own `[trust]`.
    pub(crate) trust: Option<&'h Trust>,
    /// Whether all hosts could be read: only then it can be said that none matches.
    pub(crate) sound: bool,
}

pub(crate) fn read(
    entry: &Entry<'_>,
    around: Around<'_>,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<ReadService> {
    check_name(entry, f);
    let mut table = entry.table(f)?;
    let hosts = selected(&mut table, &entry.key, around, f);
    let (units, units_at) = units(&mut table, &entry.key, f);
    let port = table.take("port");
    let ports = side::ports(&mut table, port.as_ref(), f);
    let is_template = units.iter().any(UnitName::is_template);
    let spares = spare_hosts(&mut table, &hosts, is_template, around, f);
    let all: Vec<&Host> = hosts.iter().chain(&spares).copied().collect();
    let (all, ordinary): (&[_], &[_]) = if around.sound {
        (&all, &hosts)
    } else {
        (&[], &[])
    };
    let values = Values {
        hosts: all,
        port: port.is_some() || ports.is_some(),
    };
    let strategy_table = sub_table(&mut table, "strategy", f);
    let carried = is_template || !spares.is_empty();
    let strategy = ReadStrategy::read(strategy_table, ordinary, carried, f);
    warn_of_idle_spares(&spares, &strategy, &entry.key, f);
    let health = health::read(table.take("health"), &entry.key, values, f);
    check_times(&strategy, &health, &entry.key, f);
    let traffic = table
        .take("traffic")
        .and_then(|balancers| traffic::read(&balancers, entry.name, values, around, f, files));
    check_drain(traffic.as_ref(), &strategy, &entry.key, f);
    let places = Places::read(&mut table, entry, f);
    let artifact_entry = table.take("artifact");
    let artifact = artifact_entry
        .as_ref()
        .and_then(|entry| content::artifact(entry, f));
    let service = Service {
        name: ServiceName::new(entry.name),
        hosts: names(&hosts, false),
        spare_hosts: names(&spares, false),
        out_of_service: names(&hosts, true)
            .into_iter()
            .chain(names(&spares, true))
            .collect(),
        scope: table
            .take("scope")
            .and_then(|entry| entry.choice(f, &[("system", Scope::System), ("user", Scope::User)]))
            .unwrap_or(Scope::System),
        socket: table.take("socket").and_then(|entry| socket(&entry, f)),
        unit_files: table
            .take("unit_file")
            .map(|entry| content::unit_files(&entry, &units, f, files))
            .unwrap_or_default(),
        units,
        link: places.link,
        install_dir: places.install_dir,
        channel: channel::read(
            &mut table,
            artifact_entry.as_ref(),
            artifact.as_ref(),
            f,
            files,
        ),
        artifact,
        environment: sub_table(&mut table, "environment", f)
            .map(|table| content::environment(&table, f))
            .unwrap_or_default(),
        files: sub_table(&mut table, "files", f)
            .map(|table| content::more_files(&table, &places.binary, f, files))
            .unwrap_or_default(),
        binary: places.binary,
        port: port
            .and_then(|entry| entry.number(f, 1..=65535))
            .and_then(|port| u16::try_from(port).ok()),
        ports: ports.as_ref().and_then(|(_, pair)| *pair),
        revision_history_limit: table
            .take("revision_history_limit")
            .and_then(|entry| entry.number(f, 1..=u32::MAX))
            .unwrap_or(REVISION_HISTORY_LIMIT),
        strategy: strategy.strategy,
        health: health.check,
        traffic,
        hooks: hooks::read(&mut table, f, files),
        trust: trust::read(table.take("trust"), around.trust, f, files),
        window: window::read(&mut table, f),
    };
    side::check(&service, ports.as_ref().map(|(at, _)| at), &units_at, f);
    warn_of_empty(&service, &entry.key, around, f);
    table.finish(f, hint);
    Some(ReadService {
        service,
        install_dir: places.install_dir_at,
        units: units_at,
        link: places.link_at,
    })
}

/// Where a service lives on its hosts.
struct Places {
    install_dir: String,
    install_dir_at: At,
    binary: String,
    link: Option<String>,
    link_at: At,
}

impl Places {
    fn read(table: &mut Table<'_>, service: &Entry<'_>, f: &mut Findings<'_>) -> Self {
        let install_dir = required(table, "install_dir", "\"/opt/web\"", &service.key, f);
        let link = table.take("link");
        let place = |entry: &Option<Entry<'_>>| {
            entry
                .as_ref()
                .map_or(&service.key, |entry| &entry.at)
                .clone()
        };
        let (install_dir_at, link_at) = (place(&install_dir), place(&link));
        let install_dir = install_dir
            .and_then(|entry| paths::install_dir(&entry, f))
            .unwrap_or_default();
        Self {
            link: link.and_then(|entry| paths::link(&entry, &install_dir, f)),
            install_dir,
            install_dir_at,
            binary: binary(table, service.name, f),
            link_at,
        }
    }
}

fn names(hosts: &[&Host], out_of_service: bool) -> Vec<HostName> {
    let wanted = hosts
        .iter()
        .filter(|host| host.out_of_service == out_of_service);
    wanted.map(|host| host.name.clone()).collect()
}

fn check_name(entry: &Entry<'_>, f: &mut Findings<'_>) {
    if !is_name(entry.name) {
        f.wrong_help(
            &entry.key,
            format!("`{}` cannot be the name of a service", entry.name),
            format!("letters, digits, `.`, `_` and `-` are allowed, at most {NAME_MAX}; a letter or a digit begins it"),
        );
    }
}

fn sub_table<'t>(
    table: &mut Table<'t>,
    key: &'static str,
    f: &mut Findings<'_>,
) -> Option<Table<'t>> {
    table.take(key)?.table(f)
}

fn required<'t>(
    table: &mut Table<'t>,
    key: &'static str,
    example: &str,
    service: &At,
    f: &mut Findings<'_>,
) -> Option<Entry<'t>> {
    let entry = table.take(key);
    if entry.is_none() {
        let message = format!("`{key}` is missing in `[{}]`", service.key);
        f.wrong_help(service, message, format!("write `{key} = {example}`"));
    }
    entry
}

fn selected<'h>(
    table: &mut Table<'_>,
    service: &At,
    around: Around<'h>,
    f: &mut Findings<'_>,
) -> Vec<&'h Host> {
    required(table, "hosts", "\"role=web\"", service, f)
        .and_then(|entry| select(&entry, around.hosts, around.sound, f))
        .unwrap_or_default()
}

/// `spare_hosts`: hosts of their own, which a template unit does not need.
fn spare_hosts<'h>(
    table: &mut Table<'_>,
    ordinary: &[&Host],
    is_template: bool,
    around: Around<'h>,
    f: &mut Findings<'_>,
) -> Vec<&'h Host> {
    let Some(entry) = table.take("spare_hosts") else {
        return Vec::new();
    };
    let selector = parse(&entry, f);
    let matching = selector.iter().flat_map(|(_, selector)| {
        let hosts = around.hosts.iter();
        hosts.filter(|host| selector.matches(host))
    });
    let spares: Vec<&Host> = matching.collect();
    if let (Some((text, selector)), true, true) = (&selector, spares.is_empty(), around.sound) {
        f.warn(
            &entry.at,
            format!("`spare_hosts` = `{text}` matches no host: nothing carries the surge"),
            explain_no_match(selector, around.hosts),
        );
    }
    if is_template {
        f.wrong(
            &entry.key,
            "`spare_hosts` and a template unit exclude each other: side by side needs no spare",
        );
    }
    let is_both = |spare: &&&Host| ordinary.iter().any(|host| host.name == spare.name);
    if let Some(both) = spares.iter().find(is_both) {
        f.wrong_help(
            &entry.at,
            format!("host `{}` is in `hosts` and in `spare_hosts`", both.name),
            "a spare host carries the service only during a rollout: leave it out of one of them",
        );
    }
    spares
}

fn warn_of_idle_spares(
    spares: &[&Host],
    strategy: &ReadStrategy,
    service: &At,
    f: &mut Findings<'_>,
) {
    if !spares.is_empty() && strategy.strategy.max_surge.is_zero() {
        f.warn(
            service,
            "`spare_hosts` carry nothing: `max_surge` is 0",
            "write `max_surge = 1` in its `strategy`",
        );
    }
}

fn binary(table: &mut Table<'_>, service: &str, f: &mut Findings<'_>) -> String {
    let Some(entry) = table.take("binary") else {
        return service.to_owned();
    };
    let Some(text) = entry.text(f) else {
        return service.to_owned();
    };
    if let Err(problem) = paths::inside_revision(text) {
        f.wrong_help(
            &entry.at,
            format!("`binary` `{text}` {problem}"),
            "write the artifact's name inside the revision: `web` or `bin/web`",
        );
    }
    text.to_owned()
}

/// min_ready < deadline < progress_deadline
fn check_times(
    strategy: &ReadStrategy,
    health: &health::ReadHealth,
    service: &At,
    f: &mut Findings<'_>,
) {
    if !(strategy.sound && health.sound) {
        return;
    }
    let (min_ready, deadline, progress) = (
        strategy.strategy.min_ready,
        health.check.deadline,
        strategy.strategy.progress_deadline,
    );
    let at = |first: &Option<At>, second: &Option<At>| {
        first
            .as_ref()
            .or(second.as_ref())
            .unwrap_or(service)
            .clone()
    };
    if min_ready >= deadline {
        f.wrong_help(
            &at(&strategy.min_ready, &health.deadline),
            format!("`min_ready` of {min_ready:?} must be less than the health check's `deadline` of {deadline:?}"),
            "an instance that needs longer to be available than it has would always fail",
        );
    }
    if deadline >= progress {
        f.wrong_help(
            &at(&health.deadline, &strategy.progress_deadline),
            format!("the health check's `deadline` of {deadline:?} must be less than `progress_deadline` of {progress:?}"),
            "or a rollout would stall before its instance has failed",
        );
    }
}

/// A drain is one phase: while it lasts nothing else ends.
fn check_drain(
    traffic: Option<&Traffic>,
    strategy: &ReadStrategy,
    service: &At,
    f: &mut Findings<'_>,
) {
    let progress = strategy.strategy.progress_deadline;
    let Some(drain) = traffic.map(|traffic| traffic.drain_timeout) else {
        return;
    };
    if strategy.sound && drain >= progress {
        f.wrong_help(
            service,
            format!(
                "`drain_timeout` of {drain:?} must be less than `progress_deadline` of {progress:?}"
            ),
            "or a rollout would stall while an instance finishes what it is at",
        );
    }
}

fn warn_of_empty(service: &Service, at: &At, around: Around<'_>, f: &mut Findings<'_>) {
    if around.sound && service.hosts.is_empty() && !service.out_of_service.is_empty() {
        f.warn(
            at,
            format!("all hosts of service `{}` are out of service", service.name),
            "it cannot be rolled until one of them is back",
        );
    }
}

pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn hint(key: &str) -> Option<String> {
    let hint = match key {
        "max_surge" | "max_unavailable" | "min_ready" | "progress_deadline" | "max_failures"
        | "on_failure" | "steps" | "order" | "domains" => "it belongs to `[services.*.strategy]`",
        "http" | "tcp" | "command" | "expect_status" | "expect_body" | "expect_json"
        | "through" | "interval" | "timeout" | "successes" | "deadline" => {
            "it belongs to `[services.*.health]`"
        }
        "version" => "write `version_from`, and `{version}` in `artifact`",
        "env" => "write `environment = { NAME = \"value\" }`",
        "unit_files" => "write `unit_file = { \"web.service\" = \"web.service\" }`",
        "replicas" => "the number of instances is the number of hosts that `hosts` selects",
        _ => return None,
    };
    Some(hint.to_owned())
}
