//! What the contract describes and this version of rollctl cannot do. It is read and checked like the rest, so that
//! its mistakes are found, and then refused.

use super::mistake::Findings;
use super::reader::{Entry, Table};

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
