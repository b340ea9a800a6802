//! `[services.*.hooks]`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::hooks::HookKind;
use crate::core::program::{Program, RunsOn};

use super::mistake::Findings;
use super::paths::{NamedFile, named_program};
use super::reader::{Entry, Table};

/// How long a hook may take.
const TIMEOUT: Duration = Duration::from_secs(30);

const HERE: (&str, RunsOn) = ("controller", RunsOn::Controller);
const THERE: (&str, RunsOn) = ("host", RunsOn::Host);

/// The hooks of a service.
pub(crate) fn read(
    table: &mut Table<'_>,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> BTreeMap<HookKind, Program> {
    let mut hooks = BTreeMap::new();
    let Some(mut table) = table.take("hooks").and_then(|entry| entry.table(f)) else {
        return hooks;
    };
    for kind in HookKind::ALL {
        let hook = table
            .take(kind.as_str())
            .and_then(|entry| hook(kind, &entry, f, files));
        hooks.extend(hook.map(|hook| (kind, hook)));
    }
    table.finish(f, |_| None);
    hooks
}

fn hook(
    kind: HookKind,
    entry: &Entry<'_>,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<Program> {
    let mut table = entry.table(f)?;
    let on = match table.take("on") {
        None => Some(RunsOn::Controller),
        // There is no one host that a rollout is on.
        Some(on) if kind.action().is_none() && on.is(THERE.0) => {
            f.wrong_help(
                &on.at,
                format!("`{kind}` runs once for the whole rollout, and on no host"),
                "leave out `on`; `before_instance` and `after_instance` may run on the host",
            );
            None
        }
        Some(on) if kind.action().is_none() => on.choice(f, &[HERE]),
        Some(on) => on.choice(f, &[HERE, THERE]),
    };
    let run = match table.take("run") {
        Some(run) => command_line(&run, on == Some(RunsOn::Controller), f, files),
        None => {
            f.wrong_help(
                &entry.key,
                "`run` is missing",
                "write `run = [\"./script\"]`",
            );
            None
        }
    };
    let timeout = table
        .take("timeout")
        .map_or(Some(TIMEOUT), |entry| entry.duration(f));
    table.finish(f, |key| {
        (key == "command").then(|| "write `run = [\"./script\", \"argument\"]`".to_owned())
    });
    Some(Program {
        on: on?,
        run: run?,
        timeout: timeout?,
    })
}

/// A program and its arguments; a path of this machine is relative to the inventory's folder.
fn command_line(
    entry: &Entry<'_>,
    is_here: bool,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<Vec<String>> {
    let words = entry.list(f)?;
    let Some((first, rest)) = words.split_first() else {
        f.wrong(&entry.at, "`run` is empty");
        return None;
    };
    let program = match is_here {
        true => named_program(first, f, files),
        false => first.text(f).map(str::to_owned),
    };
    let rest: Vec<_> = rest
        .iter()
        .filter_map(|word| word.any_text(f).map(str::to_owned))
        .collect();
    let mut run = vec![program?];
    run.extend(rest);
    Some(run)
}
