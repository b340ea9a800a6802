//! Hooks in words.

use super::escape::printable;
use crate::core::hooks::{HookEnd, HookKind, HookResult};

/// So many lines of a hook's output are told at the end of a rollout.
const LINES: usize = 20;

/// How a hook ended, how long it took, and what it wrote: on one line.
pub(crate) fn hook_ended(end: &HookEnd) -> String {
    let took = match &end.result {
        HookResult::Exited { .. } | HookResult::Killed => {
            format!(" after {:.1}s", end.took.as_secs_f64())
        }
        HookResult::TimedOut | HookResult::NotRun { .. } | HookResult::Removed => String::new(),
    };
    let told = end.told().map(|told| format!(": {told}"));
    let words = format!("{}{took}{}", end.how(), told.unwrap_or_default());
    printable(&words).into_owned()
}

/// What a hook of the rollout did that failed, and the last lines that it wrote.
pub(crate) fn hook_lines((hook, end): (&HookKind, &HookEnd)) -> Vec<String> {
    let written: Vec<_> = end.output.lines().collect();
    let skipped = written.len().saturating_sub(LINES);
    let indent = " ".repeat(hook.as_str().len() + 2);
    let first = format!("{hook}: {}", end.how());
    let last = written.iter().skip(skipped);
    let last = last.map(|line| format!("{indent}{}", line.trim_end()));
    std::iter::once(first).chain(last).collect()
}
