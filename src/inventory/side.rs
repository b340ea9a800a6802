//! Side by side: a template unit, and the two ports that old and new take turns with.

use crate::core::fleet::Service;
use crate::core::ids::UnitName;

use super::mistake::Findings;
use super::reader::{Entry, Table};
use super::source::At;

/// Whether it is a template: `web@.service`.
pub(crate) fn is_template(unit: &UnitName) -> bool {
    unit.as_str().ends_with("@.service")
}

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
    let Some(template) = service.units.iter().find(|unit| is_template(unit)) else {
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
