//! A program that the inventory names, of a hook or of a balancer: `{ on = "controller", run = ["./script"], timeout = "30s" }`.

use std::time::Duration;

use crate::core::program::{Program, RunsOn};

use super::mistake::Findings;
use super::paths::{NamedFile, named_program};
use super::reader::Entry;
use super::traffic::required;

/// The word for this machine.
pub(crate) const HERE: (&str, RunsOn) = ("controller", RunsOn::Controller);
/// The word for the instance's host.
pub(crate) const THERE: (&str, RunsOn) = ("host", RunsOn::Host);

/// Reads one that may take `timeout` unless it says otherwise; `on` reads where it runs, which is here unless it says so.
pub(crate) fn read(
    entry: &Entry<'_>,
    timeout: Duration,
    on: impl FnOnce(&Entry<'_>, &mut Findings<'_>) -> Option<RunsOn>,
    f: &mut Findings<'_>,
    files: &mut Vec<NamedFile>,
) -> Option<Program> {
    let mut table = entry.table(f)?;
    let on = match table.take("on") {
        None => Some(RunsOn::Controller),
        Some(entry) => on(&entry, f),
    };
    let run = required(&mut table, "run", "[\"./script\"]", f).and_then(|run| {
        command_line(&run, f, |program, f| match on {
            Some(RunsOn::Controller) => named_program(program, f, files),
            _ => program.text(f).map(str::to_owned),
        })
    });
    let timeout = table
        .take("timeout")
        .map_or(Some(timeout), |entry| entry.duration(f));
    table.finish(f, |key| {
        (key == "command").then(|| "write `run = [\"./script\", \"argument\"]`".to_owned())
    });
    Some(Program {
        on: on?,
        run: run?,
        timeout: timeout?,
    })
}

/// A program, as `program` reads it, and its arguments.
pub(crate) fn command_line(
    entry: &Entry<'_>,
    f: &mut Findings<'_>,
    program: impl FnOnce(&Entry<'_>, &mut Findings<'_>) -> Option<String>,
) -> Option<Vec<String>> {
    let words = entry.list(f)?;
    let Some((first, rest)) = words.split_first() else {
        f.wrong(&entry.at, format!("`{}` is empty", entry.name));
        return None;
    };
    let program = program(first, f);
    let rest: Vec<_> = rest
        .iter()
        .filter_map(|word| word.any_text(f).map(str::to_owned))
        .collect();
    let mut run = vec![program?];
    run.extend(rest);
    Some(run)
}
