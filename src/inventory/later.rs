//! What the contract describes and this version of rollctl cannot do. It is read and checked like the rest, so that
//! its mistakes are found, and then refused.

use super::mistake::Findings;
use super::placeholder::Values;
use super::reader::{Entry, Table};
use super::selector::parse_selector;
use super::strategy::quantity;
use super::text::parse_quantity;
use crate::core::budget::Quantity;

/// Reads, checks, and refuses when nothing else was wrong with it.
fn refuse(entry: &Entry<'_>, f: &mut Findings<'_>, check: impl FnOnce(&mut Findings<'_>)) {
    let before = f.errors();
    check(f);
    if f.errors() == before {
        f.not_yet(
            &entry.key,
            &format!("`{}`", entry.name),
            "leave it out for now",
        );
    }
}

/// `steps = ["1", "25%", { to = "100%", bake = "5m", approve = true }]`
pub(crate) fn steps(table: &mut Table<'_>, f: &mut Findings<'_>) {
    let Some(entry) = table.take("steps") else {
        return;
    };
    refuse(&entry, f, |f| {
        let mut last: Option<Quantity> = None;
        for step in entry.list(f).unwrap_or_default() {
            let Some(quantity) = step_to(&step, f) else {
                continue;
            };
            let goes_back = match (last, quantity) {
                (Some(Quantity::Count(a)), Quantity::Count(b))
                | (Some(Quantity::Percent(a)), Quantity::Percent(b)) => b <= a,
                _ => false,
            };
            if goes_back {
                f.wrong(
                    &step.at,
                    "steps are cumulative: each must be more than the one before",
                );
            }
            last = Some(quantity);
        }
    });
}

fn step_to(step: &Entry<'_>, f: &mut Findings<'_>) -> Option<Quantity> {
    let mut to = step.clone();
    if step.is_table() {
        let mut table = step.table(f)?;
        let inner = table.take("to");
        if let Some(bake) = table.take("bake") {
            bake.duration_or_zero(f);
        }
        if let Some(approve) = table.take("approve") {
            approve.flag(f);
        }
        table.finish(f, |_| None);
        let Some(inner) = inner else {
            f.wrong_help(
                &step.at,
                "a step says nowhere how far it goes",
                "write `to = \"25%\"`",
            );
            return None;
        };
        to = inner;
    }
    let (text, _) = to.number_or_text(f)?;
    match parse_quantity(&text) {
        Ok(quantity) if quantity.is_zero() || matches!(quantity, Quantity::Percent(101..)) => {
            f.wrong(
                &to.at,
                format!("a step to `{text}` is none: it is at least 1 and at most \"100%\""),
            );
            None
        }
        Ok(quantity) => Some(quantity),
        Err(error) => {
            f.wrong(&to.at, format!("step: {error}"));
            None
        }
    }
}

/// `order = ["role=replica", "role=primary"]`
pub(crate) fn order(table: &mut Table<'_>, f: &mut Findings<'_>) {
    let Some(entry) = table.take("order") else {
        return;
    };
    refuse(&entry, f, |f| {
        for part in entry.list(f).unwrap_or_default() {
            selector(&part, f);
        }
    });
}

fn selector(entry: &Entry<'_>, f: &mut Findings<'_>) {
    let Some(text) = entry.text(f) else {
        return;
    };
    if let Err(error) = parse_selector(text) {
        let at = entry.within(f, error.span.clone());
        f.wrong_help(&at, error.to_string(), error.hint().unwrap_or_default());
    }
}

/// `[[services.web.strategy.domains]]`
pub(crate) fn domains(table: &mut Table<'_>, values: Values<'_>, f: &mut Findings<'_>) {
    let Some(entry) = table.take("domains") else {
        return;
    };
    refuse(&entry, f, |f| {
        for domain in entry.list(f).unwrap_or_default() {
            domain_table(&domain, values, f);
        }
    });
}

fn domain_table(domain: &Entry<'_>, values: Values<'_>, f: &mut Findings<'_>) {
    let Some(mut table) = domain.table(f) else {
        return;
    };
    let label = table.take("label");
    if let Some(at_once) = table.take("at_once") {
        at_once.number(f, 1..=u32::MAX);
    }
    if let Some(entry) = table.take("max_unavailable")
        && let Some(Quantity::Percent(101..)) = quantity(&entry, f)
    {
        f.wrong(&entry.at, "`max_unavailable` is more than 100%");
    }
    table.finish(f, |_| None);
    let Some(label) = label else {
        f.wrong_help(
            &domain.key,
            "a domain names no label",
            "write `label = \"zone\"`",
        );
        return;
    };
    if let Some(name) = label.text(f)
        && let Some(host) = values
            .hosts
            .iter()
            .find(|host| !host.labels.contains_key(name))
    {
        f.wrong(
            &label.at,
            format!("host `{}` has no label `{name}`", host.name),
        );
    }
}

/// `spare_hosts`, which a template unit excludes.
pub(crate) fn spare_hosts(table: &mut Table<'_>, is_template: bool, f: &mut Findings<'_>) {
    let Some(entry) = table.take("spare_hosts") else {
        return;
    };
    refuse(&entry, f, |f| {
        selector(&entry, f);
        if is_template {
            f.wrong(
                &entry.key,
                "`spare_hosts` and a template unit exclude each other: side by side needs no spare",
            );
        }
    });
}

/// `ports = [8080, 8081]`; whether it is written.
pub(crate) fn ports(table: &mut Table<'_>, port: Option<&Entry<'_>>, f: &mut Findings<'_>) -> bool {
    let Some(entry) = table.take("ports") else {
        return false;
    };
    refuse(&entry, f, |f| {
        if port.is_some() {
            f.wrong(&entry.key, "`port` and `ports` exclude each other");
        }
        let Some(list) = entry.list(f) else {
            return;
        };
        let ports: Vec<_> = list.iter().map(|port| port.number(f, 1..=65535)).collect();
        match ports.as_slice() {
            [Some(old), Some(new)] if old == new => {
                f.wrong(&entry.at, "the two ports are the same")
            }
            [_, _] => {}
            _ => f.wrong(&entry.at, "`ports` are two: old and new take turns"),
        }
    });
    true
}

/// `[services.web.traffic]`
pub(crate) fn traffic(table: &mut Table<'_>, f: &mut Findings<'_>) {
    let Some(entry) = table.take("traffic") else {
        return;
    };
    refuse(&entry, f, |f| {
        let Some(mut table) = entry.table(f) else {
            return;
        };
        let drivers = ["haproxy", "nginx", "http", "command", "health"].map(|name| (name, ()));
        match table.take("driver") {
            Some(driver) => {
                driver.choice(f, &drivers);
            }
            None => f.wrong_help(
                &entry.key,
                "`driver` is missing",
                "write `driver = \"haproxy\"`",
            ),
        }
        if let Some(endpoints) = table.take("endpoints") {
            for endpoint in endpoints.list(f).unwrap_or_default() {
                endpoint.text(f);
            }
        }
        for key in ["backend", "server"] {
            if let Some(entry) = table.take(key) {
                entry.text(f);
            }
        }
        if let Some(drain) = table.take("drain_timeout") {
            drain.duration_or_zero(f);
        }
        table.finish(f, |_| None);
    });
}

/// `[services.web.hooks]`
pub(crate) fn hooks(table: &mut Table<'_>, f: &mut Findings<'_>) {
    let Some(entry) = table.take("hooks") else {
        return;
    };
    refuse(&entry, f, |f| {
        let Some(mut table) = entry.table(f) else {
            return;
        };
        for key in ["before_rollout", "after_rollout", "on_failure"] {
            if let Some(hook) = table.take(key) {
                hook_table(&hook, &[("controller", ())], f);
            }
        }
        for key in ["before_instance", "after_instance"] {
            if let Some(hook) = table.take(key) {
                hook_table(&hook, &[("controller", ()), ("host", ())], f);
            }
        }
        table.finish(f, |_| None);
    });
}

fn hook_table(hook: &Entry<'_>, places: &[(&'static str, ())], f: &mut Findings<'_>) {
    let Some(mut table) = hook.table(f) else {
        return;
    };
    if let Some(on) = table.take("on") {
        on.choice(f, places);
    }
    match table.take("run") {
        None => f.wrong_help(
            &hook.key,
            "`run` is missing",
            "write `run = [\"./script\"]`",
        ),
        Some(run) => {
            let words = run.list(f);
            if words.as_ref().is_some_and(Vec::is_empty) {
                f.wrong(&run.at, "`run` is empty");
            }
            for word in words.unwrap_or_default() {
                word.any_text(f);
            }
        }
    }
    if let Some(timeout) = table.take("timeout") {
        timeout.duration(f);
    }
    table.finish(f, |_| None);
}

/// Sections whose form is not settled: known by name, refused unread.
pub(crate) fn unread(table: &mut Table<'_>, key: &'static str, f: &mut Findings<'_>) {
    if let Some(entry) = table.take(key) {
        f.not_yet(&entry.key, &format!("`{key}`"), "leave it out for now");
    }
}
