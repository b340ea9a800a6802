//! `[services.*.hooks]`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::hooks::HookKind;
use crate::core::program::Program;

use super::mistake::Findings;
use super::paths::NamedFile;
use super::program::{self, HERE, THERE};
use super::reader::{Entry, Table};

/// How long a hook may take.
const TIMEOUT: Duration = Duration::from_secs(30);

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
    let on = |on: &Entry<'_>, f: &mut Findings<'_>| {
        if kind.is_of_an_instance() {
            return on.choice(f, &[HERE, THERE]);
        }
        // There is no one host that a rollout is on.
        if on.is(THERE.0) {
            f.wrong_help(
                &on.at,
                format!("`{kind}` runs once for the whole rollout, and on no host"),
                "leave out `on`; `before_instance` and `after_instance` may run on the host",
            );
            return None;
        }
        on.choice(f, &[HERE])
    };
    program::read(entry, TIMEOUT, on, f, files)
}
