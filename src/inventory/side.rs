//! Side by side: a template unit, and the two ports that old and new take turns with.

use crate::core::fleet::{Probe, Service};
use crate::core::traffic::{DrainMark, TrafficDriver, TrafficRequest};

use super::mistake::Findings;
use super::reader::{Entry, Table};
use super::source::At;

/// `ports = [8080, 8081]`, and the place where they are written.
pub(crate) fn ports(
    table: &mut Table<'_>,
    port: Option<&Entry<'_>>,
    f: &mut Findings<'_>,
) -> Option<(At, Option<[u16; 2]>)> {
    let entry = table.take("ports")?;
    if port.is_some() {
        f.wrong(&entry.key, "`port` and `ports` exclude each other");
    }
    let at = entry.key.clone();
    let Some(list) = entry.list(f) else {
        return Some((at, None));
    };
    let ports: Vec<_> = list.iter().map(|port| port.number(f, 1..=65535)).collect();
    let pair = match ports.as_slice() {
        [Some(old), Some(new)] if old == new => {
            f.wrong(&entry.at, "the two ports are the same");
            None
        }
        [Some(old), Some(new)] => u16::try_from(*old)
            .ok()
            .zip(u16::try_from(*new).ok())
            .map(|(old, new)| [old, new]),
        [_, _] => None,
        _ => {
            f.wrong(&entry.at, "`ports` are two: old and new take turns");
            None
        }
    };
    Some((at, pair))
}

/// What a template unit needs and excludes, and that only it has two ports.
pub(crate) fn check(service: &Service, ports: Option<&At>, at: &At, f: &mut Findings<'_>) {
    let Some(template) = service.units.iter().find(|unit| unit.is_template()) else {
        if let Some(ports) = ports {
            f.wrong_help(
                ports,
                "`ports` go with a template unit: side by side, old and new take turns",
                "write `port = 8080`, or `unit = \"web@.service\"`",
            );
        }
        return;
    };
    if service.units.len() > 1 {
        f.wrong(at, format!("side by side, `{template}` is the only unit"));
    }
    if ports.is_none() {
        f.wrong_help(
            at,
            format!("`ports` is missing: old and new run side by side as `{template}`"),
            "write `ports = [8080, 8081]`; the service finds its own in `$PORT`",
        );
    }
    if service.unit_files.is_empty() {
        f.wrong_help(
            at,
            format!("`unit_file` is missing: each revision of `{template}` runs from its own"),
            format!("write `unit_file = \"{template}\"`, with `ExecStart` in `revisions/%i/`"),
        );
    }
    if let Some(ports) = ports {
        check_texts(service, ports, f);
    }
    if service.link.is_some() {
        f.wrong(
            at,
            "`link` and a template unit exclude each other: it would lead to one of two",
        );
    }
    if service.socket.is_some() {
        f.wrong(
            at,
            "`socket` and a template unit exclude each other: one socket cannot lead to two",
        );
    }
}

/// Where old and new are told apart by their port alone, the texts that name an instance have to name it.
fn check_texts(service: &Service, ports: &At, f: &mut Findings<'_>) {
    let has_port = |text: &String| text.contains("{port}");
    let of_health = match &service.health.probe {
        Probe::Http { url, .. } if !has_port(url) => Some("health.http"),
        Probe::Tcp { address } if !has_port(address) => Some("health.tcp"),
        _ => None,
    };
    let of_request = |request: &TrafficRequest| {
        let texts = [&request.body, &request.expect_body];
        has_port(&request.url) || texts.into_iter().flatten().any(has_port)
    };
    let of_traffic = match service.traffic.as_ref().map(|traffic| &traffic.driver) {
        Some(TrafficDriver::Nginx { server, .. }) if !has_port(server) => Some("traffic.server"),
        Some(TrafficDriver::Http(moves)) => [
            ("traffic.attach", &moves.attach),
            ("traffic.drain", &moves.drain),
            ("traffic.observe", &moves.observe),
        ]
        .into_iter()
        .find_map(|(key, request)| (!of_request(request)).then_some(key)),
        Some(TrafficDriver::Health { through, .. }) => match through {
            DrainMark::File(path) if !has_port(path) => Some("traffic.drain_file"),
            DrainMark::Url(url) if !has_port(url) => Some("traffic.drain_url"),
            _ => None,
        },
        _ => None,
    };
    for key in of_health.into_iter().chain(of_traffic) {
        f.wrong_help(
            ports,
            format!("`{key}` would be the same for old and new: they differ only in their port"),
            "let it hold `{port}`",
        );
    }
}
